"""Watches: a list, then each change of it, for as long as it takes.

Lost connections, expired versions and an API server that restarts only cause a pause. An object
that can't be read counts as one that does not exist, and is told of once.
"""

import asyncio
import time
from functools import partial
from typing import Any, Protocol

import aiohttp

from admission.api_server.api import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    ApiError,
    Say,
    See,
    Unreadable,
    Watched,
)
from admission.api_server.bodies import lines
from admission.api_server.complaints import Complaints
from admission.api_server.lists import name_of, read_list, why
from admission.api_server.outages import UNREACHABLE, UNTRUSTED
from admission.api_server.reading import event_head, read_deep
from admission.api_server.rights import RightsGrace
from admission.api_server.transport import WATCH_TIMEOUT_S
from admission.panic import no_panic


class Source(Protocol):
    """The API server that lists and watches are read from."""

    server: str

    async def fetch(self, path: str) -> bytes:
        """Make a GET request and return the body of the answer."""

    async def stream(self, path: str) -> aiohttp.ClientResponse:
        """Make a GET request and return the answer before its body is read."""


class Watcher:
    """All watches of one API server, and whether it answers them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._complaints = Complaints(time.monotonic)
        self.outage = ""  # how the API server fails now, if it does

    async def watch(self, watched: Watched, see: See, say: Say) -> None:
        """Call `see` with ADDED, MODIFIED or DELETED and what is kept of the object, forever.

        It begins with SYNC and the complete list, then each object in it, and does so again after a
        lost connection or an expired version, with pauses that grow. `say` gets a line when the API
        server stops answering, another one when it is back, and one of an object that can't be
        read. If that has existed before it is DELETED, and may then have nothing but `metadata`.

        Raises:
            ApiError: the rights are missing (401, 403), and have been for some seconds.
            UNTRUSTED: the kubeconfig's CA did not sign the API server's certificate.
        """
        loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
        rights = RightsGrace(loop.time)
        pass_on = partial(self._pass_on, see, say)
        while True:
            began = loop.time()
            try:
                listed = await read_list(
                    self._source.fetch, watched.path, watched.keep, watched.bound
                )
                rights.restart()
                self.note_answer(say)
                for name, reason in listed.left_out:
                    self._complaints.tell(name, reason, say)
                pass_on("SYNC", {"items": listed.items})
                for item in listed.items:
                    pass_on("ADDED", item)
                version = listed.version
                del listed
                await self._follow(watched, version, pass_on, say)
            except UNTRUSTED:
                raise
            except ApiError as error:
                if error.status not in (401, 403):
                    rights.restart()
                elif rights.is_over():
                    raise
                self.note_outage(error, say)
            except UNREACHABLE as error:
                rights.restart()
                self.note_outage(error, say)
            if loop.time() - began > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def note_outage(self, error: Exception, say: Say) -> None:
        """Say how the API server fails, unless that has been said."""
        failure = f"does not answer: {type(error).__name__} {error}"
        if isinstance(error, ApiError):
            failure = f"answers {error}"
        elif isinstance(error, Unreadable):
            failure = f"gives an answer that can't be read: {error}"
        if not self.outage:
            say(f"the API server {self._source.server} {failure}; trying again")
        self.outage = failure

    def note_answer(self, say: Say) -> None:
        """Say that the API server answers again, if it did not."""
        if self.outage:
            say(f"the API server {self._source.server} answers again")
        self.outage = ""

    def _pass_on(self, see: See, say: Say, kind: str, item: dict[str, Any]) -> None:
        try:
            with no_panic():
                see(kind, item)
        except Exception as error:  # noqa: BLE001 - whatever an object causes, the others count
            name = "a list" if kind == "SYNC" else name_of(item)
            self._complaints.tell(name, f"it can't be judged ({type(error).__name__})", say)

    async def _follow(self, watched: Watched, version: str, pass_on: See, say: Say) -> None:
        """Pass on each change since a version, until the list must be read again."""
        loop = asyncio.get_running_loop()
        path = watched.path + ("&" if "?" in watched.path else "?")
        path += f"watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_TIMEOUT_S}"
        while True:
            began = loop.time()
            answer = await self._source.stream(f"{path}&resourceVersion={version}")
            try:
                if answer.status >= 400:
                    return
                async for line in lines(answer):
                    found = await self._event(line, watched, say)
                    if found is None:
                        return
                    kind, item, version = found
                    if item is not None:
                        pass_on(kind, item)
            finally:
                answer.close()
            if loop.time() - began < 1:
                return  # it closed at once: list again after a pause

    async def _event(
        self, line: bytes | Unreadable, watched: Watched, say: Say
    ) -> tuple[str, dict[str, Any] | None, str] | None:
        """Return an event's kind, what is kept of its object, and the version after it.

        None: what comes after it is not known.
        """
        try:
            if isinstance(line, Unreadable):
                raise line
            event = await read_deep(line)
            kind, item = event["type"], event["object"]
            metadata = item["metadata"] if kind != "ERROR" else {}
            version = metadata["resourceVersion"]
        except Unreadable as error:
            head = event_head(error.beginning)
            if head is None or not {"name", "uid", "resourceVersion"} <= head[1].keys():
                return None
            gone = {"metadata": head[1]}
            self._complaints.tell(name_of(gone), str(error), say)
            return "DELETED", gone, head[1]["resourceVersion"]
        except (KeyError, TypeError):
            return None
        if kind == "BOOKMARK":
            return kind, None, version
        try:
            metadata.pop("managedFields", None)
            return kind, watched.keep(item), version
        except Exception as error:  # noqa: BLE001 - whatever an object lacks, the others count
            if kind != "DELETED":
                self._complaints.tell(name_of(item), why(error), say)
            known = {key: str(metadata.get(key, "")) for key in ("name", "uid")}
            return "DELETED", {"metadata": known}, version
