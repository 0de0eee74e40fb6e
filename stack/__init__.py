"""A stack: its settings, the credentials that they name, and the components' arguments."""
