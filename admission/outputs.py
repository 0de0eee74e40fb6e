"""What the `pulumi` command tells of stacks, which a run of the engine need not wait for."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from admission import program

# As `pulumi` begins to say it, with its name.
UNKNOWN = "no stack named"
RENAMED = (
    "; if it was renamed, run pulumi up once under the new name, with the nodes that are to leave"
    " still in the settings: from then on its resources have that name"
)
TIMEOUT_S = 60
PAUSES_S = (0.2, 0.5, 1, 2, 4)


async def ask(*words: str) -> tuple[int, str, str]:
    """Return the exit status of `pulumi`, and what it printed to stdout and stderr.

    Raises:
        ValueError: it is not on PATH, or has not ended in time.
    """
    command = ("pulumi", *words, "--non-interactive")
    for pause_s in PAUSES_S:
        status, text, errors = await program.run(*command, timeout_s=TIMEOUT_S)
        # It reads the state too, which an engine writes meanwhile: in a directory, not at once.
        if not status or "load checkpoint" not in errors:
            break
        await asyncio.sleep(pause_s)
    return status, text, errors


def remedy(why: str) -> str:
    """Return what to do about an error of `pulumi` about a stack; "": nothing is known."""
    return RENAMED if why.startswith(UNKNOWN) else ""


async def output(source: Mapping[str, Any], *options: str) -> Any:
    """Return the output of a stack that a setting names: `{stack, output}`.

    Raises:
        ValueError: it can't be read; the message says why, and nothing of what it holds.
        LookupError, TypeError: the setting names none.
    """
    words = ("stack", "output", source["output"], "--json", "--stack", source["stack"])
    status, text, errors = await ask(*words, *options)
    if status:
        raise ValueError(program.last_error(errors))
    return program.document(text)


async def kubeconfig(source: Mapping[str, Any]) -> str:
    """Return the kubeconfig that an output holds, as a text or as an object.

    Raises:
        ValueError, LookupError, TypeError: as `output`, or it is none.
    """
    found = await output(source, "--show-secrets")
    if isinstance(found, dict):
        return json.dumps(found)
    if not isinstance(found, str):
        raise ValueError("it is no kubeconfig")
    return found
