"""The resident approver: approves what the nodes of all pools ask for after they have joined."""
