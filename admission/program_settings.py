"""How nodes leave by the settings of a program that gives them itself.

Such a program imports `kubelet_tls_bootstrap`, which writes this. The engine stores the outputs of
a run only after its deletes, so what the run says for those is in a file as well.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from admission.turns import DIRECTORY

OUTPUT = "kubeletTlsBootstrap"
FILE = "_leaving.json"
RUN = "run"  # the number of the run: that of the output that it found, and one


def newest(output: Any, stack: str | None) -> Mapping[str, Any]:
    """Return what the last run says, of which this may be the output; {}: nothing.

    It is the file's if that is by the run after the one whose outputs are there: the engine has not
    stored them yet, or it never will, since that run was interrupted. Any other is by a run on
    another machine, or of a former stack of this name.
    """
    exported = output.get("leaving") if isinstance(output, Mapping) else None
    exported = exported if isinstance(exported, Mapping) else {}
    written = _written(stack)
    return written if written.get(RUN) == exported.get(RUN, 0) + 1 else exported


def _written(stack: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(Path(DIRECTORY, stack or "_", FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
