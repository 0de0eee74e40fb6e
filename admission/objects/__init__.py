"""Objects of the Kubernetes API as JSON: what each says, in the terms of the rules and reports."""
