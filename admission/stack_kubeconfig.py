"""The kubeconfig that a stack keeps as its secret key `kubeconfig`.

No resource holds it, so that a new one changes none.
"""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from admission import program

CONFIG_TIMEOUT_S = 60


@contextlib.asynccontextmanager
async def kubeconfig_of_stack(stack: str) -> AsyncIterator[str]:
    """Yield the path of a private file with the stack's kubeconfig; remove it afterwards.

    Raises:
        ValueError: the stack has none, or `pulumi` can't read it.
    """
    status, content, errors = await program.run(
        "pulumi", "config", "get", "kubeconfig", "--stack", stack, "--non-interactive",
        timeout_s=CONFIG_TIMEOUT_S,
    )  # fmt: skip
    if status != 0:
        why = program.last_error(errors)
        raise ValueError(f"the secret key kubeconfig of the stack {stack} can't be read: {why}")
    descriptor, name = tempfile.mkstemp(prefix="kubelet-tls-bootstrap-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)  # noqa: ASYNC240 - it takes no time
