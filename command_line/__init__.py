"""What people type: `./ktb render`, `diff`, `report` and `status`, one module each.

They only read their arguments and print; `preview` and `admission` do the work.
"""
