"""What the gate checks of the cluster before it admits a node."""
