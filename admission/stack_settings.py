"""What the programs that the engine starts need of the stack's settings, as they are when it does.

No resource holds it: a new kubeconfig changes none, and a node leaves by the settings of the day on
which it leaves, not by those of the run before.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from admission import program

CONFIG_TIMEOUT_S = 60
PATH, CONTENT, POOLS = "kubeconfigPath", "kubeconfig", "pools"
REMEDY = "correct that and run pulumi up again, which reads the settings of that time"


@dataclass(frozen=True, kw_only=True)
class Kubeconfig:
    """A kubeconfig's path or its content."""

    path: str | None = None
    content: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """How a node leaves by the settings."""

    force: bool = False
    """Its machine is gone."""
    taken: frozenset[str] = frozenset()
    """The addresses that other nodes have."""


async def kubeconfig(stack: str) -> Kubeconfig:
    """Return the kubeconfig of a stack's settings.

    Raises:
        ValueError: the stack has none, or it can't be read; says which key of which stack.
    """
    if path := await _value(PATH, stack):
        path = os.path.expanduser(path)  # noqa: ASYNC240, PTH111 - kubectl knows no ~
        try:
            Path(path).open().close()  # noqa: ASYNC230
        except OSError as error:
            raise ValueError(
                f'{PATH} "{path}" of the stack {stack} can\'t be read: {error.strerror}; {REMEDY}'
            ) from None
        return Kubeconfig(path=path)
    if content := await _value(CONTENT, stack):
        return Kubeconfig(content=content)
    raise ValueError(
        f"the stack {stack} has neither {PATH} nor the secret key {CONTENT}, by which the cluster"
        f" is reached; {REMEDY}"
    )


@contextlib.asynccontextmanager
async def kubeconfig_file(stack: str) -> AsyncIterator[str]:
    """Give the path of a stack's kubeconfig: a private file for a while, if it is a secret key.

    Raises:
        ValueError: as `kubeconfig`.
    """
    found = await kubeconfig(stack)
    if found.path:
        yield found.path
        return
    descriptor, name = tempfile.mkstemp(prefix="kubelet-tls-bootstrap-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(found.content or "")
        yield name
    finally:
        Path(name).unlink(missing_ok=True)  # noqa: ASYNC240 - it takes no time


async def leaving(node: str, stack: str | None) -> Leaving:
    """Return what a stack's settings say of a node that leaves; None: the selected stack's.

    Settings that can't be read say nothing.
    """
    try:
        pools = json.loads(await _value(POOLS, stack) or "{}")
        entries = [entry for pool in pools.values() for entry in pool.get("nodes") or ()]
        return Leaving(
            force=any(e.get("name") == node and e.get("force") is True for e in entries),
            taken=frozenset(
                str(e["address"])
                for e in entries
                if e.get("name") != node and not e.get("force") and "address" in e
            ),
        )
    except (ValueError, AttributeError, TypeError):
        return Leaving()


async def _value(key: str, stack: str | None) -> str | None:
    which = ["--stack", stack] if stack else []
    status, value, errors = await program.run(
        "pulumi", "config", "get", key, *which, "--non-interactive", timeout_s=CONFIG_TIMEOUT_S
    )
    if status == 0:
        return value if key == CONTENT else value.strip()
    why = program.last_error(errors)
    if why.startswith("configuration key") and "not found" in why:
        return None
    raise ValueError(f"the key {key} of the stack {stack or 'selected'} can't be read: {why}")
