"""A text file that a setting names."""

from pathlib import Path

from settings.problem import Problem


def read_text(setting: str, path: str, problems: list[Problem]) -> str | None:
    """Return the file's text, or None with a problem added."""
    if not path.isprintable():
        # Not quoted: it may be a private key.
        problems.append(Problem(setting, "is the content of a file; give the file's path"))
        return None
    try:
        return Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        problems.append(Problem(setting, f'"{path}" cannot be read: {reason}'))
        return None
