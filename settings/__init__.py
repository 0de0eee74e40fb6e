"""What a stack's settings say: their models, how they are read, and whether they fit together.

Files that the settings name are read by `credentials`; `stack` puts the two together.
"""
