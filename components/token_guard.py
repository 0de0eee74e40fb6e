"""What ends a run's tokens, however the run ends: a small process that outlives it.

The gate ends the tokens of a run that it sees to its end. One that is killed, or in which no gate
runs, would leave them alive until they expire. Each is told to the guard before its Secret is made;
the guard waits for the end of the program's process, which closes the pipe between the two. A
program that ends by itself waits a while for the guard: in a container nothing outlives the run.
"""

import atexit
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pulumi

from components.former_tokens import SECRET_PREFIX

PROJECT = Path()  # the program runs in its directory, where its settings are
WAIT_AT_EXIT_S = 20


_STARTED: list["TokenGuard"] = []


@atexit.register
def _end_all() -> None:
    """Tell all of them first, then wait: they work side by side."""
    processes = [guard._told() for guard in _STARTED]
    deadline = time.monotonic() + WAIT_AT_EXIT_S
    for process in processes:
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))


class TokenGuard:
    """The guard of a pool's tokens: a process, from the first of them on."""

    hooks: pulumi.ResourceHookBinding
    """What the Secret of each of the pool's tokens has, in every run."""
    after_gate: pulumi.ResourceHook
    """What lets the program end without a wait: a gate that succeeds has ended the tokens."""

    def __init__(
        self,
        pool: str,
        *,
        stack: str,
        server: str,
        directory: str,
        tokens: Collection[str],
        ends: bool,
    ) -> None:
        """Begin it; no process starts yet.

        `server` is where the kubeconfig of the stack's settings must lead; `directory` where the
        guard writes what it has done or could not do; `tokens` names their Secrets, as resources;
        `ends` says whether the run's end is theirs.
        """
        self._arguments = ("--stack", stack, "--server", server, "--pool", pool)
        self._log = Path(directory, stack, f"{pool}-tokens.log")
        self._tokens = tokens if ends else ()
        self._pipe: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self._needless = False
        at_token = pulumi.ResourceHook(f"{pool}-token-begins", self._begins)
        self.hooks = pulumi.ResourceHookBinding(before_create=[at_token])
        self.after_gate = pulumi.ResourceHook(f"{pool}-gate-succeeded", self._succeeded)

    def _begins(self, args: pulumi.ResourceHookArgs) -> None:
        if args.name in self._tokens:
            inputs = args.new_inputs or {}
            try:
                self.watch(str(inputs["metadata"]["name"]).removeprefix(SECRET_PREFIX))
            except OSError as error:
                raise ValueError(
                    "no token is made, since the process that would end it if this run is killed"
                    f" does not start or has ended ({error}); its log is {self._log}"
                ) from None

    def watch(self, token_id: str) -> None:
        """End the token of this id at the end of this process.

        Raises:
            OSError: nobody could end it: the guard does not start, or has ended.
        """
        with self._starting:
            if self._pipe is None:
                self._pipe = self._start()
            os.write(self._pipe, f"{token_id}\n".encode())

    def _succeeded(self, _: Any) -> None:
        self._needless = True

    def _told(self) -> subprocess.Popen[bytes] | None:
        """Tell the process that the program ends, and return it if it is to be waited for."""
        if self._pipe is None or self._needless:
            return None
        os.close(self._pipe)
        return self._process

    def _start(self) -> int:
        """Start the process, and return where it reads: nobody else has that end of the pipe."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        reading, writing = os.pipe()
        try:
            # In a session of its own, so that what interrupts or ends the run spares it.
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "admission", "end-tokens", *self._arguments],
                    stdin=reading,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    cwd=PROJECT,
                    start_new_session=True,
                )
        except OSError:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        _STARTED.append(self)
        return writing
