"""Which certificate request is approved, and when a node counts as joined.

`rules` decides, `judge` acts on it: in `gate` for the nodes of one pool while they join, in `serve`
for those of all pools ever after. `leave` takes a node out, `status` tells what is. Talks to the
Kubernetes API; knows nothing of Pulumi.
"""
