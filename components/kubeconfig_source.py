"""Where the programs of `admission` find a kubeconfig: in a file, or in a secret of the stack."""

import shlex
from dataclasses import dataclass, field
from typing import Any

import pulumi


@dataclass(frozen=True, kw_only=True)
class KubeconfigSource:
    """A path, or else the content."""

    path: str | None = None
    content: pulumi.Output[str] | None = field(default=None, repr=False)
    """The value of the stack's secret key `kubeconfig`."""

    def orders(self) -> dict[str, Any]:
        """Return it in the form that the gate reads on stdin."""
        return {"path": self.path} if self.path else {"content": self.content}

    def leave_arguments(self) -> str:
        """Return the arguments of `admission leave`, quoted, without the content.

        With it, a rotated kubeconfig would change every node.
        """
        if self.path:
            return f"--kubeconfig {shlex.quote(self.path)}"
        return f"--stack-config {pulumi.get_stack()}"
