"""JSON as an API server sends it, whatever somebody has written into an object.

Whoever writes an object also writes its `metadata.managedFields`, as deeply nested as they like;
nothing else that we read can nest. So they are left out where they can't be read. What can't be
read even so still begins with what names it: an API server writes a kind, the metadata, and only
then the rest, in the order of the fields in
staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/types.go.
"""

import asyncio
import json
import re
from typing import Any

from admission.api_server.api import Unreadable

MANAGED_FIELDS = b'"managedFields":['
# Other text and strings, then brackets that all open or all close.
BRACKETS = re.compile(
    rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"|\[[^"\[\]{}]*+\]|\{\})*+([\[{]++|[\]}]++)',
    re.DOTALL,
)
# The name of a certificate request may be any text without "/" and "%", of any length.
TEXT = rb'(?:[^"\\]++|\\.)'
OBJECT_HEAD = (
    rb'\{(?:"kind":"\w+","apiVersion":"[\w./]+",)?"metadata":\{"name":"(' + TEXT + rb'++)"'
    rb'(?:,"generateName":"' + TEXT + rb'*+")?(?:,"namespace":"[^"\\]*")?'
    rb'(?:,"uid":"([\w-]+)")?(?:,"resourceVersion":"(\w+)")?'
)
LIST = re.compile(
    rb'\A\{"kind":"\w+","apiVersion":"[\w./]+","metadata":(\{[^{}]*\}),"items":\[(?:'
    + OBJECT_HEAD
    + rb")?"
)
EVENT = re.compile(rb'\A\{"type":"([A-Z]+)","object":' + OBJECT_HEAD)
BEGINNING_BYTES = 64 * 1024  # of an answer that can't be read
LONGEST_TOLD = 253  # characters of a name


def read(data: bytes) -> dict[str, Any]:
    """Return the object that an answer or a line of one holds, without its managedFields.

    Raises:
        Unreadable: it is not JSON, not an object, or nested too deeply; the message says which.
    """
    try:
        found = json.loads(data)
    except RecursionError:
        raise Unreadable("it is nested too deeply", bytes(data[:BEGINNING_BYTES])) from None
    except ValueError:
        raise Unreadable("it is not JSON", bytes(data[:BEGINNING_BYTES])) from None
    if not isinstance(found, dict):
        raise Unreadable("it is not an object", bytes(data[:BEGINNING_BYTES]))
    metadata = found.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
    return found


async def read_deep(data: bytes) -> dict[str, Any]:
    """Return what `read` does, also if managedFields in it are nested too deeply.

    Those take half a second a megabyte at worst, in a thread.

    Raises:
        Unreadable: as `read` does.
    """
    try:
        return read(data)
    except Unreadable:
        if MANAGED_FIELDS not in data:
            raise
    return await asyncio.to_thread(lambda: read(_without_managed_fields(data)))


def _without_managed_fields(data: bytes) -> bytes:
    """Return JSON with empty lists in place of those; what is cut off within one stays."""
    parts, at = [], 0
    while (found := data.find(MANAGED_FIELDS, at)) >= 0:
        start = found + len(MANAGED_FIELDS)
        end = _end_of_list(data, start)
        if end is None:
            break
        parts += [data[at:start], b"]"]
        at = end
    return b"".join((*parts, data[at:]))


def _end_of_list(data: bytes, start: int) -> int | None:
    depth, end = 1, start
    while found := BRACKETS.match(data, end):
        first, end = found.start(1), found.end()
        if data[first] in b"[{":
            depth += end - first
        else:
            depth -= end - first
            if depth <= 0:
                return end + depth  # the last ones may close what is around the list
    return None


def list_head(beginning: bytes) -> tuple[dict[str, Any], str] | None:
    """Return a list's metadata and the name of its first object; None: it is no list."""
    match = LIST.match(beginning)
    if not match:
        return None
    try:
        return json.loads(match[1]), _text(match[2] or b"")[:LONGEST_TOLD]
    except ValueError:
        return None


def event_head(beginning: bytes) -> tuple[str, dict[str, str]] | None:
    """Return the kind of an event and what names its object; None: it is no event."""
    match = EVENT.match(beginning)
    if not match:
        return None
    named = zip(("name", "uid", "resourceVersion"), match.groups()[1:], strict=True)
    return match[1].decode(), {key: _text(value) for key, value in named if value}


def _text(escaped: bytes) -> str:
    """Return what stands between the quotes of a JSON string."""
    text = escaped.decode(errors="replace")
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text  # no API server writes such an escape
