"""Which name somebody may have meant who mistyped one."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like a wrong one, or None if none is like it."""
    folded = {candidate.lower(): candidate for candidate in names if candidate}
    found = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.75)
    return folded[found[0]] if found else None


def hint(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean X?`, or nothing if no name is like it."""
    found = nearest(name, names)
    return f"; did you mean {found}?" if found else ""
