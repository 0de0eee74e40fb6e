"""A text file that a setting names."""

from pathlib import Path

from settings.problem import Problem

LONGEST_PATH = 4096  # PATH_MAX
LONGEST_SHOWN = 255  # what is longer may be a key in base64
NO_TEXT = "it is not a text file"


def read_text(
    setting: str, path: str, problems: list[Problem], *, comments: bool = False
) -> str | None:
    """Return the file's text, or None with a problem added.

    With `comments` there may be some in another encoding than UTF-8, around what counts.
    """
    if not path.isprintable() or "-----BEGIN" in path or len(path) > LONGEST_PATH:
        # Not quoted: it may be a private key.
        problems.append(Problem(setting, "is the content of a file; give the file's path"))
        return None
    try:
        text = Path(path).expanduser().read_text(None, "replace" if comments else "strict")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else NO_TEXT
        if isinstance(error, RuntimeError):
            reason = "there is no such user"  # of a path such as ~ops/.ssh/id_ed25519
    else:
        # UTF-16 has NULs between its letters.
        if not {"\0", "\ufffd"} <= {*text}:
            return text
        reason = NO_TEXT
    shown = f'"{path}" ' if len(path) <= LONGEST_SHOWN else ""
    problems.append(Problem(setting, f"{shown}cannot be read: {reason}"))
    return None
