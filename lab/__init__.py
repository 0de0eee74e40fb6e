"""A real Kubernetes cluster on one Linux machine, for trying and testing the program.

`python -m lab` is its command line, `lab.cluster.Lab` its Python side. Nothing outside of tests
imports this package.
"""
