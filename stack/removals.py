"""No removals in a run in which a machine has not joined.

With `--continue-on-error` the engine deletes what has left the settings even after a failure. A
machine that is only renamed in the settings refuses its new name, and must not lose its old one in
the same run. The engine deletes nothing if the program itself ends with an error.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi


async def only_if_all_have_joined(pending: pulumi.Output[Sequence[Mapping[str, Any]]]) -> None:
    """End the program with an error if a node has not joined, after all resources and outputs.

    It is the last thing that the program awaits: the outputs are kept in spite of the error.

    Raises:
        RunError: a node has not joined; the message names each one.
    """
    # In a preview of a change it is unknown, and then no node.
    if entries := await pending.future():
        names = sorted(str(entry["name"]) for entry in entries)
        have = "have" if len(names) > 1 else "has"
        raise pulumi.RunError(
            f"{', '.join(names)} {have} not joined, for the reasons above. This run removes"
            " nothing; the next pulumi up in which all nodes join will. To continue without a"
            " machine, remove it from the settings"
        )
