"""The gate: one run that admits the nodes of one pool and proves that each has joined."""
