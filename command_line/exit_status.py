"""The exit statuses, as of diff(1)."""

SAME, DIFFERENT, ERROR = 0, 1, 2
