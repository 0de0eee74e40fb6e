"""The lab's command provider: local.Command, remote.Command and remote.CopyToRemote.

Inputs, outputs, when a command runs, and errors are those of pulumi-resource-command 1.2.1. Left
out: `assetPaths` and `archivePaths` of local.Command, the function local.run, and the deprecated
remote.CopyFile.
"""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from lab.plugins import command_inputs, command_local, provider
from lab.plugins.command_diff import SIGNATURE, difference, same
from lab.plugins.command_inputs import Record
from lab.plugins.command_local import Running
from lab.plugins.command_output import Execution, Output
from lab.plugins.property_values import UNKNOWN, Object, Unknown, plain
from lab.plugins.provider import Difference, Failures, Operation, Package

VERSION = "1.2.1"
OUTPUTS = ("stdout", "stderr")
_ID_BYTES = 4


class _Resource:
    """What all types share: a state that holds the inputs, and nothing that could be read."""

    def __init__(self, inputs: Record) -> None:
        self.inputs = inputs

    def check(self, name: str, news: Object) -> tuple[Object, Failures]:
        return command_inputs.check(self.inputs, news)

    def diff(self, old_inputs: Object, state: Object, news: Object) -> Difference:
        return difference(old_inputs, news)

    def read(self, identity: str, state: Object, inputs: Object) -> tuple[str, Object, Object]:
        return identity, state, inputs


class Command(_Resource):
    """A command, wherever it runs: when it does, and what is kept of it."""

    def __init__(self, inputs: Record, run: Callable[[Execution], None]) -> None:
        super().__init__(inputs)
        self._run = run

    def create(self, operation: Operation, inputs: Object) -> tuple[str, Object]:
        identity = f"{operation.name}{secrets.token_hex(_ID_BYTES)}"
        if operation.preview:
            return identity, {**inputs, **dict.fromkeys(OUTPUTS, UNKNOWN)}
        return identity, {**inputs, **self._outputs(operation, inputs, inputs.get("create"), {})}

    def update(self, operation: Operation, state: Object, inputs: Object) -> Object:
        if operation.preview:
            return {**inputs, **self._foreseen(state, inputs)}
        command = inputs.get("create") if inputs.get("update") is None else inputs["update"]
        return {**inputs, **self._outputs(operation, inputs, command, state)}

    def delete(self, operation: Operation, state: Object) -> None:
        self._outputs(operation, state, state.get("delete"), state)

    def _outputs(
        self, operation: Operation, properties: Object, command: Any, before: Object
    ) -> Object:
        if command is None:
            return {name: before.get(name, "") for name in OUTPUTS}
        inputs, previous = plain(properties), {}
        if inputs.get("addPreviousOutputInEnv", True):
            last = {name: plain(before.get(name)) for name in OUTPUTS}
            previous = {f"PULUMI_COMMAND_{n.upper()}": text for n, text in last.items() if text}
        output = Output(inputs.get("logging"), operation.say)
        self._run(Execution(inputs, plain(command), previous, output, operation))
        return dict(output.outputs())

    def _foreseen(self, state: Object, inputs: Object) -> Object:
        """Return the outputs in a preview: unknown if an input has changed or is unknown."""
        changed = any(
            isinstance(inputs.get(name), Unknown)
            or (name in state and not same(state[name], inputs.get(name)))
            for name in self.inputs.fields
        )
        return {name: UNKNOWN if changed else state.get(name, "") for name in OUTPUTS}


class CopyToRemote(_Resource):
    """What is copied to a machine when its content or its path there changes."""

    def __init__(self) -> None:
        super().__init__(command_inputs.COPY_TO_REMOTE)

    def check(self, name: str, news: Object) -> tuple[Object, Failures]:
        inputs, failures = super().check(name, news)
        return inputs, [*failures, *_source_failures(plain(news.get("source")))]

    def create(self, operation: Operation, inputs: Object) -> tuple[str, Object]:
        if operation.preview:
            return "", {**inputs, "source": UNKNOWN}
        self._copy(operation, inputs)
        return secrets.token_hex(_ID_BYTES), inputs

    def update(self, operation: Operation, state: Object, inputs: Object) -> Object:
        if operation.preview:
            return {**inputs, "source": UNKNOWN}
        before, now = plain(state), plain(inputs)
        if (before["source"].get("hash"), before["remotePath"]) != (
            now["source"].get("hash"),
            now["remotePath"],
        ):
            self._copy(operation, inputs)
        return inputs

    def delete(self, operation: Operation, state: Object) -> None:
        """The file stays, as with the official provider."""

    def _copy(self, operation: Operation, inputs: Object) -> None:
        from lab.plugins import command_copy  # noqa: PLC0415 - asyncssh takes 0.2 s to import

        command_copy.copy(plain(inputs), operation)


_ASSET, _ARCHIVE = "c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7"


def _source_failures(source: Any) -> Failures:
    kind = source.get(SIGNATURE) if isinstance(source, dict) else None
    if kind not in (_ASSET, _ARCHIVE):
        return [("asset", "either asset or archive must be set")]
    if kind == _ARCHIVE and not source.get("path"):
        return [("archive", "archive must be a path to a file or directory")]
    if kind == _ASSET and not source.get("path") and source.get("text") is None:
        return [("asset", "asset must be a path-based file asset or a text asset")]
    return []


def _run_remotely(execution: Execution) -> None:
    from lab.plugins import command_remote  # noqa: PLC0415 - asyncssh takes 0.2 s to import

    command_remote.run(execution)


_RUNNING = Running()
PACKAGE = Package(
    name="command",
    version=VERSION,
    types={
        "command:local:Command": Command(
            command_inputs.LOCAL_COMMAND, partial(command_local.run, _RUNNING)
        ),
        "command:remote:Command": Command(command_inputs.REMOTE_COMMAND, _run_remotely),
        "command:remote:CopyToRemote": CopyToRemote(),
    },
    accept_secrets=True,
    cancel=_RUNNING.cancel,
)


def main() -> None:
    """Serve the provider."""
    provider.main(PACKAGE)
