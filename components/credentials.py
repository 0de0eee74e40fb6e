"""What the settings name but don't hold: the kubeconfig, the CA, the SSH keys, the hosts' keys.

Files are read and checked here, before the first resource. What is secret is an Output marked so
the moment that it is read.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from components import known_hosts
from components.known_hosts import KnownHosts
from components.problems import Problem

if TYPE_CHECKING:
    from components.layers import Ssh
    from components.settings import Settings

# pulumi-command offers only `ssh-rsa` for a pinned RSA key, which an OpenSSH server since 8.8
# refuses: golang.org/x/crypto/ssh.FixedHostKey, and openssh.com/txt/release-8.8.
HOST_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How to reach the cluster and its machines."""

    kubeconfig_path: str | None  # or else the content of the secret key `kubeconfig`
    kubeconfig: pulumi.Output[str] | None = field(repr=False)
    server: str
    ca_certificate: str  # PEM
    private_key: pulumi.Output[str] | None = field(repr=False)  # the secret key sshPrivateKey
    host_keys: dict[str, str]  # by the host's name: "TYPE KEY"
    bastion_keys: Mapping[str, str] = field(default_factory=dict)  # by ADDRESS:PORT
    key_files: Mapping[str, pulumi.Output[str]] = field(default_factory=dict, repr=False)

    def key(self, path: str | None) -> pulumi.Output[str] | None:
        """Return the private key of that file, or else the stack's; None: the SSH agent has it."""
        return self.key_files[path] if path else self.private_key


def load(
    settings: "Settings",
    *,
    kubeconfig: pulumi.Output[str] | None,
    private_key: pulumi.Output[str] | None,
    kubeconfig_text: str | None,
) -> tuple[Credentials | None, list[Problem]]:
    """Return what the settings name, or else None and every problem with it."""
    problems: list[Problem] = []
    server, ca = cluster(settings, kubeconfig_text, problems)
    if settings.ssh.private_key_path and private_key is not None:
        problems.append(
            Problem("ssh.privateKeyPath", "and the secret key sshPrivateKey are both set; give one")
        )
    key_files = _private_keys(settings, problems)
    bastion_keys: dict[str, str] = {}
    host_keys = pinned_keys(settings, problems, bastion_keys)
    if problems:
        return None, problems
    return (
        Credentials(
            kubeconfig_path=settings.kubeconfig_path,
            kubeconfig=kubeconfig,
            server=server,
            ca_certificate=ca,
            private_key=private_key,
            host_keys=host_keys,
            bastion_keys=bastion_keys,
            key_files=key_files,
        ),
        [],
    )


def _read(setting: str, path: str, problems: list[Problem]) -> str | None:
    try:
        return Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        problems.append(Problem(setting, f'"{path}" can\'t be read: {reason}'))
        return None


def cluster(
    settings: "Settings", secret_text: str | None, problems: list[Problem]
) -> tuple[str, str]:
    """Return the API server's URL and the CA's PEM, from the settings or else the kubeconfig."""
    path = settings.kubeconfig_path
    if bool(path) == bool(secret_text):
        given = "are both set" if path else "are both missing"
        problems.append(
            Problem("kubeconfigPath", f"and the secret key kubeconfig {given}; give one of them")
        )
        return "", ""
    name = "kubeconfigPath" if path else "kubeconfig"
    text = _read(name, path, problems) if path else secret_text
    if text is None:
        return "", ""
    found = _current_cluster(text)
    if found is None:
        problems.append(Problem(name, "is no kubeconfig with a current context and its cluster"))
        return "", ""
    server = settings.cluster.server or str(found.get("server", ""))
    if not server.startswith("https://"):
        problems.append(Problem("cluster.server", "is missing and the kubeconfig has no https URL"))
    return server, certificate_authority(settings, path, found, problems)


def certificate_authority(
    settings: "Settings",
    kubeconfig_path: str | None,
    cluster: dict[str, Any],
    problems: list[Problem],
) -> str:
    """Return the CA's PEM, from the settings or else what a kubeconfig says of its cluster."""
    setting = "cluster.caPath"
    if settings.cluster.ca_path:
        pem = _read(setting, settings.cluster.ca_path, problems)
    elif cluster.get("certificate-authority-data"):
        try:
            pem = base64.b64decode(str(cluster["certificate-authority-data"])).decode()
        except ValueError:
            pem = ""
    elif kubeconfig_path and cluster.get("certificate-authority"):
        beside = Path(kubeconfig_path).expanduser().parent / str(cluster["certificate-authority"])
        pem = _read(setting, str(beside), problems)
    else:
        problems.append(Problem(setting, "is missing and the kubeconfig names no CA"))
        return ""
    if pem is None:
        return ""
    if "PRIVATE KEY-----" in pem:
        problems.append(
            Problem(
                setting, "or the kubeconfig's CA holds a private key; give its certificate alone"
            )
        )
        return ""
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        problems.append(Problem(setting, "or the kubeconfig's CA is no certificate in PEM"))
        return ""
    for certificate in certificates:
        if certificate.not_valid_after_utc < datetime.now(UTC):
            end = certificate.not_valid_after_utc.date()
            problems.append(Problem(setting, f"or the kubeconfig's CA expired on {end}"))
    return pem


def _current_cluster(text: str) -> dict[str, Any] | None:
    """The cluster of a kubeconfig's current context."""
    try:
        document = yaml.safe_load(text)
        contexts = {c["name"]: c["context"] for c in document["contexts"]}
        clusters = {c["name"]: c["cluster"] for c in document["clusters"]}
        found = clusters[contexts[document["current-context"]]["cluster"]]
    except (yaml.YAMLError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def _private_keys(settings: "Settings", problems: list[Problem]) -> dict[str, pulumi.Output[str]]:
    """The content of each key file that the settings name, each read once, by its path."""
    found: dict[str, pulumi.Output[str] | None] = {}
    for place, ssh in settings.ssh_layers():
        bastion = ssh.bastion and ssh.bastion.private_key_path
        for setting, path in (("", ssh.private_key_path), (".bastion", bastion)):
            if path and path not in found:
                found[path] = _private_key(f"{place}{setting}.privateKeyPath", path, problems)
    return {path: key for path, key in found.items() if key is not None}


def _private_key(setting: str, path: str, problems: list[Problem]) -> pulumi.Output[str] | None:
    text = _read(setting, path, problems)
    if text is None:
        return None
    try:
        load_ssh_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        # Not the error's own words: they might quote the file.
        problems.append(
            Problem(
                setting,
                f'"{path}" is no SSH private key without a passphrase; load a key with a'
                " passphrase into the SSH agent and leave this setting out",
            )
        )
        return None
    return pulumi.Output.secret(text)


def pinned_keys(
    settings: "Settings", problems: list[Problem], bastion_keys: dict[str, str] | None = None
) -> dict[str, str]:
    """Return the pinned key of every host of the settings, `TYPE KEY`, by the host's name.

    Those of bastions are put into `bastion_keys`, by `ADDRESS:PORT`.
    """
    files = _KnownHostsFiles(settings, problems)
    found: dict[str, str] = {}
    bastions: dict[str, str] = {} if bastion_keys is None else bastion_keys
    for place, host, ssh in settings.hosts():
        names = known_hosts.names(host.address, ssh.port, host.name)
        known = files.read(ssh)
        key, fault = _pinned(host.address, host.host_key, names, known)
        if key:
            found[host.name] = key
        else:
            problems.append(Problem(f"{place}.hostKey", fault))
        bastion = ssh.bastion
        if bastion is None or bastion.destination in bastions:
            continue
        names = known_hosts.names(bastion.address, bastion.port)
        key, fault = _pinned(bastion.address, bastion.host_key, names, known)
        bastions[bastion.destination] = key
        if not key:
            problems.append(Problem(f"{files.place(ssh)}.bastion.hostKey", fault))
    return found


class _KnownHostsFiles:
    """The known_hosts files that the settings name, each read once."""

    def __init__(self, settings: "Settings", problems: list[Problem]) -> None:
        self._layers = list(settings.ssh_layers())
        self._problems = problems
        self._read: dict[str, KnownHosts] = {}

    def read(self, ssh: "Ssh") -> KnownHosts:
        path = ssh.known_hosts_path or ""
        if path not in self._read:
            place = next((p for p, said in self._layers if said.known_hosts_path == path), "ssh")
            text = _read(f"{place}.knownHostsPath", path, self._problems) if path else None
            self._read[path] = KnownHosts(text or "")
        return self._read[path]

    def place(self, ssh: "Ssh") -> str:
        """The first place that names the bastion of these settings."""
        wanted = ssh.bastion and ssh.bastion.address
        return next(
            (p for p, s in self._layers if s.bastion and s.bastion.address == wanted), "ssh"
        )


def _pinned(
    address: str, given: str | None, names: Sequence[str], known: KnownHosts
) -> tuple[str, str]:
    """The key to pin, from the setting itself or else a known_hosts file, or what is wrong."""
    candidates = [" ".join(given.split()[:2])] if given else known.keys(names)
    fit = [key for key in candidates if key.split(" ")[0] in HOST_KEY_TYPES]
    live = [key for key in fit if not known.revoked(names, key)]
    if live:
        return live[0], ""
    if fit:
        fault = "is revoked in knownHostsPath; give the machine a new host key, and that one here"
    elif candidates:
        types = ", ".join(sorted({key.split(" ")[0] for key in candidates}))
        fault = (
            f"is of the type {types}; give the machine's ed25519 or ecdsa key:"
            f" ssh-keyscan -t ed25519 {address}"
        )
    else:
        fault = (
            f"is missing and {address} is not in ssh.knownHostsPath; without it"
            " anybody could answer in the machine's place"
        )
    return "", fault
