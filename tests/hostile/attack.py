"""Attacks on an API server with stolen credentials, while a gate is at work on it."""

import itertools
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from admission.rules import MOST_PENDING
from tests.hostile import VECTORS
from tests.hostile.api_server import CSRS, Caller, administrator, object_of
from tests.hostile.vector import (
    HONEST_LOOKING,
    THIEF_OF_CERTIFICATE,
    THIEF_OF_TOKEN,
    Vector,
    client,
    client_vector,
    dns,
    serving,
)

PREFIX = "hostile-"
JUNK = 1000
JUNK_CALLERS = 4
# What an honest request needs at most while nobody floods.
PROMPT_S = 20
# Few enough of each requester at once to be no flood.
BATCH = MOST_PENDING - 5
HONEST = Vector(title="an honest request of node-1", pem=HONEST_LOOKING, reason="")
JUNK_VECTORS = (
    Vector(title="junk", pem=serving(dns("kubernetes")), reason=""),
    client_vector("junk", client("node-2"), ""),
)


class Attack:
    """The stolen credentials, and what was made with them.

    `world` says what `{id-of-NODE}` and `{group-of-NODE}` stand for, `certificate` is a file with
    node-1's certificate and key, `token` is node-3's.
    """

    def __init__(
        self, kubeconfig: Mapping[str, Any], world: Mapping[str, str], certificate: Path, token: str
    ) -> None:
        self._kubeconfig, self._world = kubeconfig, world
        self._certificate = certificate
        self._numbers = itertools.count()
        self.admin = administrator(kubeconfig, certificate.parent)
        self._callers = {THIEF_OF_CERTIFICATE: self._with_certificate()}
        self.steal(token)

    def steal(self, token: str) -> None:
        """Go on with another token of node-3: each run in which it is to join makes one."""
        self._token = token
        self._callers[THIEF_OF_TOKEN] = self._with_token()

    def _with_certificate(self) -> Caller:
        return Caller(self._kubeconfig, self._certificate)

    def _with_token(self) -> Caller:
        return Caller(self._kubeconfig, token=self._token)

    def ask(self, vector: Vector) -> tuple[int, dict[str, Any]]:
        """Make the request as an object, and return the API server's answer."""
        body = object_of(vector, f"{PREFIX}{next(self._numbers)}")
        if vector.by in self._callers:
            return self._callers[vector.by].call("POST", CSRS, body)
        return self.admin.call("POST", CSRS, body, vector.by.known(self._world))

    def ours(self) -> dict[str, dict[str, Any]]:
        """Return each request that was made here."""
        _, listed = self.admin.call("GET", CSRS)
        named = {item["metadata"]["name"]: item for item in listed["items"]}
        return {name: item for name, item in named.items() if name.startswith(PREFIX)}

    def decided(self) -> set[str]:
        """Return the names of those that somebody has approved, denied or signed."""
        return {name for name, item in self.ours().items() if item.get("status")}

    def clear(self) -> None:
        """Delete every request that was made here."""
        for name in self.ours():
            self.admin.call("DELETE", f"{CSRS}/{name}")

    def await_approval(self, vector: Vector, *, limit_s: float = PROMPT_S) -> None:
        """Make an honest request, and wait for the gate to approve it."""
        status, answer = self.ask(vector)
        assert status == 201, answer
        name, deadline = answer["metadata"]["name"], time.monotonic() + limit_s
        while name not in self.decided():
            assert time.monotonic() < deadline, f"{vector.title} was not approved"
            time.sleep(0.2)
        _, approved = self.admin.call("GET", f"{CSRS}/{name}")
        assert [c["type"] for c in approved["status"]["conditions"]] == ["Approved"]
        self.admin.call("DELETE", f"{CSRS}/{name}")

    def with_all_vectors(self) -> int:
        """Make every hostile request; return how many the API server has stored.

        None is approved, though the gate sees an honest one behind each batch and approves that.
        """
        stored, wrong = 0, []
        for batch in batches():
            for vector in batch:
                status, answer = self.ask(vector)
                said = answer.get("message", "")
                stored += status == 201
                if (status == 201) == bool(vector.unstored) or vector.unstored not in said:
                    wrong.append(f"{vector.title}: {status} {said}")
            self.await_approval(HONEST)
            assert self.decided() == set()
            self.clear()
        assert wrong == []
        return stored

    def with_a_used_token(self) -> None:
        """Ask rightly with node-3's token, and then again, for its own name and another."""
        self.await_approval(client_vector("node-3's own name", client("node-3"), ""))
        for name in ("node-3", "node-2"):
            status, answer = self.ask(client_vector("again", client(name), ""))
            assert status == 201, answer
        self.await_approval(HONEST)
        assert self.decided() == set()
        self.clear()

    def with_junk(self) -> None:
        """Make a thousand junk requests at once."""
        with ThreadPoolExecutor(JUNK_CALLERS) as threads:
            floods = [threads.submit(self._flood, number) for number in range(JUNK_CALLERS)]
            statuses = [status for flooding in floods for status in flooding.result()]
        assert statuses == [201] * JUNK

    def _flood(self, number: int) -> list[int]:
        caller = self._with_token() if number % 2 else self._with_certificate()
        vector = JUNK_VECTORS[number % 2]
        names = [f"{PREFIX}{number}-{count}" for count in range(JUNK // JUNK_CALLERS)]
        return [caller.call("POST", CSRS, object_of(vector, name))[0] for name in names]


def batches() -> Iterator[list[Vector]]:
    """Yield the vectors, few of each requester at once."""
    waiting = list(VECTORS)
    while waiting:
        batch: list[Vector] = []
        for vector in waiting:
            if sum(other.by == vector.by for other in batch) < BATCH:
                batch.append(vector)
        waiting = [vector for vector in waiting if vector not in batch]
        yield batch
