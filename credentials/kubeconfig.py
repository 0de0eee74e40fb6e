"""An administrator's kubeconfig, and the cluster of its current context."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from credentials.text_file import read_text
from settings.outputs import KUBECONFIG_FROM
from settings.problem import Problem


@dataclass(frozen=True, kw_only=True)
class ClusterEntry:
    """What a kubeconfig says about a cluster, unchanged."""

    server: str = ""
    ca_data: str = ""  # PEM in base64
    ca_path: Path | None = None


def read_cluster(
    path: str | None, secret_text: str | None, problems: list[Problem], of_output: str | None = None
) -> ClusterEntry | None:
    """Return the current cluster of the kubeconfig in a file, a secret key or another's output.

    `of_output` is the path of the setting that names such an output, which the text is then.
    None with a problem added: both or neither is given, or it is not a kubeconfig.
    """
    if of_output is None and bool(path) == bool(secret_text):
        given = (
            "set; remove one of them" if path else f"missing; set one of them, or {KUBECONFIG_FROM}"
        )
        problems.append(
            Problem("kubeconfigPath", f"and the secret key kubeconfig are both {given}")
        )
        return None
    setting = of_output or ("kubeconfigPath" if path else "kubeconfig")
    text = read_text(setting, path, problems) if path else secret_text
    if text is None:
        return None
    entry = _current_cluster(text)
    if entry is None:
        problems.append(
            Problem(
                setting,
                "is not a kubeconfig with a current context and its cluster; give one that kubectl"
                " can use",
            )
        )
        return None
    if entry.get("insecure-skip-tls-verify"):
        problems.append(
            Problem(
                setting,
                "sets insecure-skip-tls-verify, so anybody on the way to the API server could take"
                " its place; give the cluster's certificate-authority in its place",
            )
        )
    ca_path = entry.get("certificate-authority")
    return ClusterEntry(
        server=str(entry.get("server", "")),
        ca_data=str(entry.get("certificate-authority-data") or ""),
        # As for kubectl, it is relative to the kubeconfig's directory; a secret key has none.
        ca_path=Path(path).expanduser().parent / str(ca_path) if path and ca_path else None,
    )


def server(given: str | None, entry: ClusterEntry, problems: list[Problem]) -> str:
    """Return the API server's URL, from the settings or else the kubeconfig."""
    found = given or entry.server
    if not found.startswith("https://"):
        problems.append(
            Problem("cluster.server", "is missing, and the kubeconfig has no https URL; set it")
        )
    return found


def _current_cluster(text: str) -> Mapping[str, Any] | None:
    try:
        document = yaml.safe_load(text)
        contexts = {c["name"]: c["context"] for c in document["contexts"]}
        clusters = {c["name"]: c["cluster"] for c in document["clusters"]}
        found = clusters[contexts[document["current-context"]]["cluster"]]
    except (yaml.YAMLError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) else None
