"""The CA that a stack's machines have, by the settings of `cluster`."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from admission import authorities, outputs
from admission.settings_file import CA, CA_PATH, CLUSTER, FROM


async def of_cluster(cluster: Mapping[str, Any], stack: str) -> str:
    """Return the CA that the settings of a stack's cluster name, in PEM; "": they name none.

    Raises:
        ValueError: it can't be read; says why.
    """
    if path := cluster.get(CA_PATH):
        return of_file(str(path))
    source = cluster.get(FROM) or {}
    if not source.get(CA):
        return ""
    try:
        found = str(await outputs.output({"stack": source["stack"], "output": source[CA]}))
        # As the settings take it: credentials/certificate_authority.py.
        pem = found if "-----BEGIN" in found else base64.b64decode(found).decode(errors="replace")
    except ValueError as error:
        raise ValueError(f"{CLUSTER}.{FROM}.{CA} of the stack {stack}: {error}") from None
    return authorities.readable(pem)


def of_file(path: str) -> str:
    """Return the CA in a file, in PEM.

    Raises:
        ValueError: it can't be read; says why.
    """
    try:
        return authorities.readable(Path(path).expanduser().read_text(errors="replace"))
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such user"
        raise ValueError(f'the CA "{path}" cannot be read: {reason}') from None
