"""A real Kubernetes cluster on one Linux machine, to try and to test the program.

`python -m lab` is its command line, `lab.cluster.Lab` its Python interface. Only tests import this
package.
"""
