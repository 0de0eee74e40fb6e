"""A stack: its settings and the credentials that they name, and what the program makes of them."""
