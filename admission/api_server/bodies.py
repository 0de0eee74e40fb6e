"""Bodies of answers, of which no more is kept in memory than can be said beforehand."""

from collections.abc import AsyncIterator

import aiohttp

from admission.api_server.api import LARGEST_OBJECT_BYTES, Unreadable
from admission.api_server.reading import BEGINNING_BYTES

MEBIBYTE = 1024 * 1024
LARGEST_ERROR_BYTES = 64 * 1024


async def whole(answer: aiohttp.ClientResponse, most_bytes: int = LARGEST_OBJECT_BYTES) -> bytes:
    """Return a body, if it is not too long.

    Raises:
        Unreadable: it is longer; the connection is closed then.
    """
    data = bytearray()
    async for chunk in answer.content.iter_any():
        data += chunk
        if len(data) > most_bytes:
            answer.close()
            raise Unreadable(_too_long(most_bytes), bytes(data[:BEGINNING_BYTES]))
    return bytes(data)


async def beginning(answer: aiohttp.ClientResponse) -> bytes:
    """Return the beginning of a body that says what is wrong."""
    data = bytearray()
    async for chunk in answer.content.iter_any():
        data += chunk
        if len(data) > LARGEST_ERROR_BYTES:
            answer.close()
            break
    return bytes(data[:LARGEST_ERROR_BYTES])


async def lines(
    answer: aiohttp.ClientResponse, most_bytes: int = LARGEST_OBJECT_BYTES
) -> AsyncIterator[bytes | Unreadable]:
    """Yield each complete line, or of one that is too long why it can't be read."""
    line, is_long = bytearray(), False
    async for chunk in answer.content.iter_any():
        start = 0
        while start < len(chunk):
            end = chunk.find(b"\n", start)
            part = chunk[start : len(chunk) if end < 0 else end]
            start += len(part) + 1
            if not is_long:
                line += part
            if len(line) > most_bytes:
                is_long = True
                del line[BEGINNING_BYTES:]
            if end >= 0:
                yield Unreadable(_too_long(most_bytes), bytes(line)) if is_long else bytes(line)
                line, is_long = bytearray(), False


def _too_long(most_bytes: int) -> str:
    return f"it has more than {most_bytes // MEBIBYTE} MiB"
