"""OpenSSH to the machines of a stack, each host key pinned."""
