"""How nodes leave, by settings that a program gives itself, which no file of the stack holds.

`admission.program_settings` reads it. The engine keeps it as an output, but only after a run's
deletes; until then it is in a file of this machine, on which the engine starts what drains a node.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.gate_report import DIRECTORY
from settings.model import Settings
from settings.problem import Problem, SettingsError

# A pool's name, by which the other files there are named, can't begin like this.
FILE = "_leaving.json"


def document(settings: Settings, run: int) -> dict[str, Any]:
    """Return what `admission leave` needs of the settings; `run` is the number of the run."""
    return {
        "run": run,
        "drain": _given(settings.drain),
        "namespace": settings.approver.namespace,
        "pools": {
            name: {
                "drain": _given(pool.drain),
                "nodes": [
                    {"name": node.name, "address": node.address, "force": node.force}
                    for node in pool.nodes
                ],
            }
            for name, pool in settings.pools.items()
        },
    }


def write(stack: str, found: Mapping[str, Any]) -> None:
    """Write what this run says, from the project's directory, in which commands run as well.

    Raises:
        SettingsError: the file can't be written; says why.
    """
    path = Path(DIRECTORY, stack, FILE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whoever reads it meanwhile finds a whole one.
        beside = path.with_name(f"{FILE}.new")
        beside.write_text(json.dumps(found))
        beside.replace(path)
    except OSError as error:
        message = (
            f"can't be written: {error.strerror}; what drains a node reads there how that is to"
            " leave, so make it a file in a directory that you may write to"
        )
        raise SettingsError([Problem(str(path), message)]) from None


def _given(drain: Any) -> dict[str, Any]:
    found: dict[str, Any] = drain.model_dump(by_alias=True, exclude_unset=True)
    return found
