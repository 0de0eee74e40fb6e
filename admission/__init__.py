"""Which certificate request is approved, and when a node counts as joined.

`rules` decides, `judge` acts on it, `gate` for the nodes of one pool, `leave` takes one out. Talks to the
Kubernetes API; knows nothing of Pulumi.
"""
