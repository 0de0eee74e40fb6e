"""What a person sees of a change: the files of a node, drift on hosts, a report of a preview.

Reads the settings by `components` and renders by `node_files`. Nothing imports it but the command
line entry `node_files/__main__.py`.
"""
