"""An administrator's kubeconfig, and the cluster of its current context."""

import base64
import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from admission.api_server.current_context import COMMAND, CurrentContext, parse
from admission.api_server.kubeconfig_content import MERGE, Absent, Unusable
from admission.api_server.named_files import checked
from credentials.text_file import read_text
from settings.outputs import KUBECONFIG_FROM
from settings.problem import Problem

# As distributions have them in /etc/hosts.
LOCAL = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


@dataclass(frozen=True, kw_only=True)
class ClusterEntry:
    """What a kubeconfig says about a cluster."""

    server: str = ""
    ca_data: str = ""  # PEM in base64
    ca_path: Path | None = None
    only_here: str = ""
    """What machines don't have by which its server is reached here."""


def read_cluster(
    path: str | None,
    secret_text: str | None,
    problems: list[Problem],
    of_output: str | None = None,
    *,
    runs: bool = True,
) -> ClusterEntry | None:
    """Return the current cluster of the kubeconfig in a file, a secret key or another's output.

    `of_output` is the path of the setting that names such an output, which the text is then.
    Without `runs`, as in a preview, its user and the files that it names need not be here.
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
    # What is no path at all is told by `read_text`.
    is_list = path and path.isprintable() and os.pathsep in path
    if is_list and not os.path.exists(str(path)):  # noqa: PTH110 - it may be too long for a path
        problems.append(Problem(setting, f"is a list of files; {MERGE}"))
        return None
    text = read_text(setting, path, problems) if path else secret_text
    if text is None:
        return None
    try:
        context = parse(text, needs_user=runs)
    except Unusable as error:
        problems.append(Problem(setting, str(error)))
        return None
    # As for kubectl, files are beside the kubeconfig, or beside the link if it is one.
    directory = Path(path).expanduser().parent if path else Path()
    try:
        _check_paths(context, path)
        checked(context, directory)
    except Unusable as error:
        if runs or not isinstance(error, Absent):
            problems.append(Problem(setting, str(error)))
    if not context.server.startswith("https://"):
        problems.append(
            Problem(
                setting, "names a server that is no https URL, so it could be anybody; give one"
            )
        )
    return ClusterEntry(
        server=context.server,
        ca_data=base64.b64encode(context.ca.data or b"").decode(),
        ca_path=directory / context.ca.path if context.ca.path else None,
        only_here=_only_here(context),
    )


def _check_paths(context: CurrentContext, path: str | None) -> None:
    """Raise Unusable for a path that Pulumi's Kubernetes provider takes for another one.

    It reads the kubeconfig's text alone (parseKubeconfigString in its util.go), so paths are
    relative to the project's directory, in which it runs.
    """
    is_beside = path is not None and Path(path).expanduser().absolute().parent == Path.cwd()
    plugin = context.plugin
    for name in context.relative_paths():
        # Go's filepath.Clean makes of ./plugin a name that is looked up in PATH.
        is_program = name == COMMAND and plugin and "/" not in os.path.normpath(plugin.command)
        if not is_beside or is_program:
            raise Unusable(
                f"gives {name} as a relative path, which Pulumi's Kubernetes provider does not look"
                f" for beside the kubeconfig; give the absolute path, or {MERGE}"
            )


def _only_here(context: CurrentContext) -> str:
    """Return what keeps machines from the server that is reached here; "": nothing does."""
    host = (urlsplit(context.server).hostname or "").rstrip(".")
    try:
        address = ip_address(host)
        address = getattr(address, "ipv4_mapped", None) or address
        is_here = address.is_loopback or address.is_unspecified  # as k3d writes it: 0.0.0.0
    except ValueError:
        is_here = host in LOCAL or host.endswith(".localhost")
    if is_here:
        return f"its server {context.server} is this machine itself"
    if context.proxy:
        return "its server is reached through a proxy (proxy-url)"
    if context.tls_server_name:
        return "its server's certificate is for another name (tls-server-name)"
    return ""


def server(given: str | None, entry: ClusterEntry, problems: list[Problem]) -> str:
    """Return the API server's URL, from the settings or else the kubeconfig."""
    if entry.only_here and not given:
        problems.append(
            Problem(
                "cluster.server",
                f"is missing, and the kubeconfig does not tell machines the way: {entry.only_here};"
                " set the URL at which they reach the API server",
            )
        )
    return given or entry.server
