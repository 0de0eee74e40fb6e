"""Which certificate request is approved, and when a node counts as joined.

`rules` decides, and `judge` acts on it: in `gate` for the nodes of one pool while they join, in
`approver` for the nodes of all pools from then on. `leave` removes a node, `status` only reports.
`inventory` says which nodes may exist, `objects` reads what `api_server` returns. The package talks
to the Kubernetes API and does not import Pulumi.
"""
