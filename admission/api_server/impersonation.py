"""As whom a kubeconfig's user acts."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

LISTS = "as-groups"
EXTRA = "as-user-extra"


def impersonation(
    user: Mapping[str, Any], unusable: Callable[[str], Exception]
) -> list[tuple[str, str]]:
    """Return the headers with which a kubeconfig's user acts as another one.

    Raises:
        unusable: a value is no list or no text where kubectl wants one, or no header can hold it.
    """
    groups, extra = user.get(LISTS) or [], user.get(EXTRA) or {}
    if not isinstance(groups, list):
        raise unusable(f"is not a kubeconfig: {LISTS} of its user is not a list; correct it")
    if not isinstance(extra, dict) or not all(
        isinstance(key, str) and isinstance(values or [], list) for key, values in extra.items()
    ):
        raise unusable(f"is not a kubeconfig: {EXTRA} of its user holds no lists; correct it")
    headers = [("Impersonate-User", user.get("as")), ("Impersonate-Uid", user.get("as-uid"))]
    headers += [("Impersonate-Group", group) for group in groups]
    for key, values in extra.items():
        # Go writes a list of one header; HTTP makes no difference of capitals in its name.
        name = f"Impersonate-Extra-{quote(key, safe='')}"
        headers += [(name, value) for value in values or ()]
    for name, value in headers:
        if value is not None and not (isinstance(value, str) and value.isprintable()):
            raise unusable(
                f"has a user that acts as another one by what no header can hold ({name}); put text"
                " in quotes, and leave control characters out"
            )
    if not all(groups):
        raise unusable(f"has an empty text in {LISTS} of its user; remove it")
    if (user.get("as-uid") or groups or extra) and not user.get("as"):
        raise unusable("has as-uid, as-groups or as-user-extra without as; set it, or remove them")
    return [(name, value) for name, value in headers if value]
