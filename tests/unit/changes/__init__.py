"""What a change of a stack's settings does and touches: the rows of docs/changes.md."""
