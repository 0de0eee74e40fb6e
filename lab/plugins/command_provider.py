"""The lab's command provider: local.Command, remote.Command and remote.CopyToRemote.

Inputs, outputs, when a command runs, and errors are those of pulumi-resource-command 1.2. Left
out: `assetPaths` and `archivePaths` of local.Command, and the deprecated types.
"""

import json
import os
import secrets
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lab.plugins import command_ssh
from lab.plugins.kubernetes_values import UNKNOWN, Object, Secret, plain
from lab.plugins.provider import Difference, PluginError, ResourceType, changes, main

VERSION = "1.2.1"
LOGGED = {
    None: (True, True),
    "stdout": (True, False),
    "stderr": (False, True),
    "stdoutAndStderr": (True, True),
    "none": (False, False),
}
CONNECTION_DEFAULTS = {"user": "root", "port": 22, "dialErrorLimit": 10, "perDialTimeout": 15}
UNSUPPORTED = ("assetPaths", "archivePaths")
Say = Callable[[str], None]


class Command:
    """What local and remote commands share: what runs when, and what is kept of it."""

    required: tuple[str, ...] = ()

    def check(self, news: Object) -> tuple[Object, list[tuple[str, str]]]:
        failures = [
            (name, f"Missing required property '{name}'")
            for name in self.required
            if name not in news
        ]
        failures += [(n, "the lab's plugin does not have it") for n in UNSUPPORTED if n in news]
        return with_connection(news), failures

    def diff(self, old_inputs: Object, state: Object, news: Object) -> Difference:
        old, new = plain(old_inputs), plain(news)
        kinds = changes(old, new)
        if "triggers" in kinds:
            kinds["triggers"] += "_REPLACE"
        return Difference(kinds, ("triggers",) if "triggers" in kinds else ())

    def create(self, name: str, inputs: Object, *, preview: bool, say: Say) -> tuple[str, Object]:
        identity = f"{name}{secrets.token_hex(4)}"
        if preview:
            return identity, {**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN}
        return identity, {**inputs, **self._run(inputs, "create", {}, say)}

    def update(self, state: Object, inputs: Object, *, preview: bool, say: Say) -> Object:
        if preview:
            return {**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN}
        which = "update" if inputs.get("update") is not None else "create"
        before = {name: state.get(name, "") for name in ("stdout", "stderr")}
        return {**inputs, **self._run(inputs, which, before, say)}

    def delete(self, state: Object, say: Say) -> None:
        self._run(state, "delete", state, say)

    def _run(self, properties: Object, which: str, before: Object, say: Say) -> Object:
        inputs = plain(properties)
        if inputs.get(which) is None:
            return {name: plain(before).get(name, "") for name in ("stdout", "stderr")}
        environment = dict(inputs.get("environment") or {})
        if inputs.get("addPreviousOutputInEnv", True):
            for name in ("stdout", "stderr"):
                if plain(before).get(name):
                    environment[f"PULUMI_COMMAND_{name.upper()}"] = plain(before)[name]
        out, err = self.run(inputs, inputs[which], environment, say)
        return {"stdout": out.removesuffix("\n"), "stderr": err.removesuffix("\n")}

    def run(
        self, inputs: Object, command: str, environment: dict[str, str], say: Say
    ) -> tuple[str, str]:
        raise NotImplementedError


class LocalCommand(Command):
    """A command on this machine, by /bin/sh or another interpreter."""

    def run(
        self, inputs: Object, command: str, environment: dict[str, str], say: Say
    ) -> tuple[str, str]:
        words = [*(inputs.get("interpreter") or ["/bin/sh", "-c"]), command]
        try:
            process = subprocess.Popen(
                words,
                cwd=inputs.get("dir"),
                env={**os.environ, **environment},
                stdin=subprocess.PIPE if inputs.get("stdin") else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise PluginError(f"{error}: running {_quoted(command)}:\n") from None
        out, err, both = Collected(), Collected(), Collected()
        log_out, log_err = LOGGED[inputs.get("logging")]
        assert process.stdout is not None  # noqa: S101 - for the type checker
        assert process.stderr is not None  # noqa: S101
        readers = [
            threading.Thread(
                target=_read, args=(stream, [kept, both], say if logged else None), daemon=True
            )
            for stream, kept, logged in (
                (process.stdout, out, log_out),
                (process.stderr, err, log_err),
            )
        ]
        for reader in readers:
            reader.start()
        if process.stdin is not None:
            try:
                process.stdin.write(inputs["stdin"].encode())
                process.stdin.close()
            except BrokenPipeError:
                pass
        status = process.wait()
        for reader in readers:
            reader.join()
        if status != 0:
            ended = f"exit status {status}" if status > 0 else f"signal: {-status}"
            raise PluginError(f"{ended}: running {_quoted(command)}:\n{both.text}")
        return out.text, err.text


class RemoteCommand(Command):
    """A command on a machine that is reached over SSH."""

    required = ("connection",)

    def run(
        self, inputs: Object, command: str, environment: dict[str, str], say: Say
    ) -> tuple[str, str]:
        out, err, both = Collected(), Collected(), Collected()
        log_out, log_err = LOGGED[inputs.get("logging")]
        ended = command_ssh.run(
            inputs["connection"],
            command,
            stdin=inputs.get("stdin") or "",
            environment=environment,
            out=lambda text: _keep(text, [out, both], say if log_out else None),
            err=lambda text: _keep(text, [err, both], say if log_err else None),
            say=say,
        )
        if ended:
            raise PluginError(f"{ended}: running {_quoted(command)}:\n{both.text}")
        return out.text, err.text


class CopyToRemote:
    """A file that is copied to a machine when its content or its path there changes."""

    def check(self, news: Object) -> tuple[Object, list[tuple[str, str]]]:
        failures = [
            (name, f"Missing required property '{name}'")
            for name in ("connection", "source", "remotePath")
            if name not in news
        ]
        return with_connection(news), failures

    def diff(self, old_inputs: Object, state: Object, news: Object) -> Difference:
        kinds = changes(plain(old_inputs), plain(news))
        if "triggers" in kinds:
            kinds["triggers"] += "_REPLACE"
        return Difference(kinds, ("triggers",) if "triggers" in kinds else ())

    def create(self, name: str, inputs: Object, *, preview: bool, say: Say) -> tuple[str, Object]:
        if not preview:
            _copy(plain(inputs), say)
        return f"{name}{secrets.token_hex(4)}", inputs

    def update(self, state: Object, inputs: Object, *, preview: bool, say: Say) -> Object:
        before, now = plain(state), plain(inputs)
        moved = any(before.get(name) != now.get(name) for name in ("source", "remotePath"))
        if moved and not preview:
            _copy(now, say)
        return inputs

    def delete(self, state: Object, say: Say) -> None:
        """The file stays, as with the official provider."""


@dataclass
class Collected:
    """Output as it comes."""

    text: str = ""


def with_connection(news: Object) -> Object:
    """Return the inputs with the connection's defaults, all of it secret."""
    connection = news.get("connection")
    if not isinstance(plain(connection), dict):
        return news
    filled = {**CONNECTION_DEFAULTS, **plain(connection)}
    if isinstance(filled.get("proxy"), dict):
        filled["proxy"] = {**CONNECTION_DEFAULTS, **filled["proxy"]}
    return {**news, "connection": Secret(filled)}


def _copy(inputs: Object, say: Say) -> None:
    source = inputs["source"]
    content = source.get("text")
    if content is None and source.get("path"):
        content = Path(source["path"]).read_text()
    if content is None:
        raise PluginError("the lab's plugin copies a file or a text, nothing else")
    command_ssh.copy(inputs["connection"], content, inputs["remotePath"], say)


def _keep(text: str, places: list[Collected], say: Say | None) -> None:
    for place in places:
        place.text += text
    if say is not None:
        for line in text.splitlines():
            say(line)


def _read(stream: IO[bytes], places: list[Collected], say: Say | None) -> None:
    for line in stream:
        _keep(line.decode(errors="replace"), places, say)


def _quoted(command: str) -> str:
    """The command as Go's %q prints it."""
    return json.dumps(command, ensure_ascii=False)


TYPES: dict[str, ResourceType] = {
    "command:local:Command": LocalCommand(),
    "command:remote:Command": RemoteCommand(),
    "command:remote:CopyToRemote": CopyToRemote(),
}

if __name__ == "__main__":
    main("command", VERSION, TYPES)
