"""Requests that two parsers might read differently: ours, and the one that Kubernetes uses.

`generator` makes them, `reader` is a program in Go that says what an API server reads, and
`comparison` holds the property: what we accept is accepted there, and says the same.
"""
