"""Which certificate request is approved, and when a node counts as joined.

`rules` decides, `gate` acts on it for the nodes of one pool, `leave` takes a node out. Talks to the
Kubernetes API; knows nothing of Pulumi.
"""
