"""What a person sees of a change: a node's files, drift on its host, the report of a preview."""
