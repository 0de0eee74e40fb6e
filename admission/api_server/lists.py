"""Lists in pages, each reduced to what is kept of it before the next is read.

A page that is too long, or holds what can't be read even without its managedFields, is read again
in smaller ones, down to a single object, which is then left out.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from admission.api_server.api import (
    LARGEST_OBJECT_BYTES,
    ApiError,
    Bound,
    Keep,
    NewBound,
    Unreadable,
    no_bound,
)
from admission.api_server.reading import list_head, read_deep

PAGE = 250
MOST_STARTS = 3
EXPIRED = 410
LONGEST_REASON = 300

# Returns the body of the answer to a GET request.
Fetch = Callable[[str], Awaitable[bytes]]


@dataclass
class Listed:
    """A complete list, and what had to be left out of it."""

    items: list[dict[str, Any]] = field(default_factory=list)
    version: str = ""
    left_out: list[tuple[str, str]] = field(default_factory=list)  # a name, and why


async def read_list(fetch: Fetch, path: str, keep: Keep, bound: NewBound = no_bound) -> Listed:
    """Return what is kept of each object in a list, after its last page.

    Raises:
        ApiError, UNREACHABLE: the API server refused, or did not answer, or not with a list.
    """
    for _ in range(MOST_STARTS - 1):
        try:
            return await _read_pages(fetch, path, keep, bound)
        except ApiError as error:
            if error.status != EXPIRED:  # it took too long: the API server has dropped this version
                raise
    return await _read_pages(fetch, path, keep, bound)


async def _read_pages(fetch: Fetch, path: str, keep: Keep, new_bound: NewBound) -> Listed:
    found, token, limit, bound = Listed(), "", PAGE, new_bound()
    while True:
        size = 0
        try:
            data = await fetch(_page(path, limit, token))
            size, page = len(data), await read_deep(data)
            del data
            metadata, items = page["metadata"], page.pop("items", None) or ()
        except Unreadable as error:
            head = list_head(error.beginning)
            if head is None:
                raise
            if limit > 1:
                limit = max(limit // 4, 1)
                continue
            metadata, items = head[0], ()
            found.left_out.append((head[1] or "an object", str(error)))
        except (KeyError, TypeError):
            raise Unreadable("it is not a list of objects") from None
        try:
            token, found.version = metadata.get("continue") or "", metadata["resourceVersion"]
        except (KeyError, TypeError, AttributeError):
            raise Unreadable("it is not a list of objects") from None
        for item in items:
            keep_one(item, keep, found, bound)
        found.items = [kept for kept in found.items if kept]  # what the bound has dropped is empty
        if not token:
            return found
        if size < LARGEST_OBJECT_BYTES // 4:
            limit = min(2 * limit, PAGE)


def keep_one(item: Any, keep: Keep, found: Listed, bound: Bound) -> None:
    """Add what is kept of an object, or why it is left out."""
    try:
        item["metadata"].pop("managedFields", None)
        kept = keep(item)
        if kept is not None:
            bound(kept)
    except Exception as error:  # noqa: BLE001 - whatever an object lacks, the others count
        found.left_out.append((name_of(item), why(error)))
    else:
        if kept is not None:
            found.items.append(kept)


def name_of(item: Any) -> str:
    """Return the name of an object that may lack one."""
    try:
        return str(item["metadata"]["name"])[:253]
    except (KeyError, TypeError):
        return "an object"


def why(error: Exception) -> str:
    """Return why an object can't be used."""
    if isinstance(error, ValueError):
        return str(error)[:LONGEST_REASON]
    return f"it lacks what we read ({type(error).__name__})"


def _page(path: str, limit: int, token: str) -> str:
    more = f"&continue={quote(token, safe='')}" if token else ""
    return f"{path}{'&' if '?' in path else '?'}limit={limit}{more}"
