"""Watches: a list, then each change of it, for as long as it takes.

Lost connections, expired versions and an API server that restarts only cause a pause.
"""

import asyncio
import json
from typing import Any, Protocol

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from admission.api_server.api import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    RIGHTS_LIMIT_S,
    ApiError,
    Say,
    See,
)
from admission.api_server.outages import UNREACHABLE, UNTRUSTED

# Short, so that a connection whose other end is gone is not waited on for long.
WATCH_TIMEOUT_S = 30


class Source(Protocol):
    """The API server that lists and watches are read from."""

    server: str

    async def request(self, method: str, path: str) -> Any:
        """Make one request and return the JSON of the answer."""

    async def stream(self, path: str, timeout_s: float) -> aiohttp.ClientResponse:
        """Make a GET request and return the answer before its body is read."""


class Watcher:
    """All watches of one API server, and whether it answers them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.outage = ""  # how the API server fails now, if it does

    async def watch(self, path: str, see: See, say: Say) -> None:
        """Call `see` with ADDED, MODIFIED or DELETED and the object, forever.

        It begins with SYNC and the complete list, then each object in it, and does so again after a
        lost connection or an expired version, with pauses that grow. `say` gets a line when the API
        server stops answering, and another one when it is back.

        Raises:
            ApiError: the rights are missing (401, 403), and have been for some seconds.
            UNTRUSTED: the kubeconfig's CA did not sign the API server's certificate.
        """
        loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
        answered = loop.time()
        while True:
            began = loop.time()
            try:
                listed = await self._source.request("GET", path)
                answered = loop.time()
                self.note_answer(say)
                see("SYNC", listed)
                for item in listed.get("items") or []:
                    see("ADDED", item)
                await self._follow(path, listed["metadata"]["resourceVersion"], see)
            except UNTRUSTED:
                raise
            except ApiError as error:
                if error.status in (401, 403) and loop.time() - answered > RIGHTS_LIMIT_S:
                    raise
                self.note_outage(error, say)
            except UNREACHABLE as error:
                self.note_outage(error, say)
            if loop.time() - began > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def note_outage(self, error: Exception, say: Say) -> None:
        """Say how the API server fails, unless that has been said."""
        why = f"does not answer: {type(error).__name__} {error}"
        if isinstance(error, ApiError):
            why = f"answers {error}"
        if not self.outage:
            say(f"the API server {self._source.server} {why}; trying again")
        self.outage = why

    def note_answer(self, say: Say) -> None:
        """Say that the API server answers again, if it did not."""
        if self.outage:
            say(f"the API server {self._source.server} answers again")
        self.outage = ""

    async def _follow(self, path: str, version: str, see: See) -> None:
        """Pass on each change since a version, until the list must be read again."""
        loop = asyncio.get_running_loop()
        path += "&" if "?" in path else "?"
        path += f"watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_TIMEOUT_S}"
        while True:
            began = loop.time()
            answer = await self._source.stream(
                f"{path}&resourceVersion={version}", WATCH_TIMEOUT_S + 10
            )
            try:
                if answer.status >= 400:
                    return
                async for line in answer.content:
                    try:
                        event = json.loads(line)
                    except ValueError:
                        return  # the connection was cut in the middle of a line
                    if event["type"] == "ERROR":
                        return
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        see(event["type"], event["object"])
            except LineTooLong:
                return  # somebody has written a huge object; the list has no such limit
            finally:
                answer.close()
            if loop.time() - began < 1:
                return  # it closed at once: list again after a pause
