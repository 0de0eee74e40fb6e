"""No removals in a run in which a machine has not joined.

With `--continue-on-error` the engine deletes what has left the settings even after a failure. A
machine that is only renamed in the settings refuses its new name, and must not lose its old one in
the same run. The engine deletes nothing if the program itself ends with an error.
"""

from collections.abc import Sequence

import pulumi


def only_if_all_have_joined(pending: pulumi.Output[Sequence[str]]) -> None:
    """End the program with an error if a node has not joined, after all resources and outputs."""

    async def end() -> None:
        # In a preview of a change it is unknown, and then no name.
        if names := await pending.future():
            have = "have" if len(names) > 1 else "has"
            raise pulumi.RunError(
                f"{', '.join(names)} {have} not joined, for the reasons above. This run removes"
                " nothing; the next pulumi up in which all nodes join does. To go on without a"
                " machine, take it out of the settings"
            )

    pulumi.run(end)
