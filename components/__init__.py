"""The program's resources, one component per file. Each takes what it needs as plain values."""
