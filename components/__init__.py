"""The resources of the program, a component a file. Each takes what it needs as plain values."""
