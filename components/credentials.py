"""What the settings name but don't hold: the kubeconfig, the CA, the SSH key, the hosts' keys.

Files are read and checked here, before the first resource. What is secret is an Output marked so
the moment that it is read.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from components.problems import Problem

if TYPE_CHECKING:
    from components.settings import Host, Settings

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
    private_key: pulumi.Output[str] | None = field(repr=False)  # None: the SSH agent has it
    host_keys: dict[str, str]  # by the host's name: "TYPE KEY"


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
    key_path = settings.ssh.private_key_path
    if key_path and private_key is not None:
        problems.append(
            Problem("ssh.privateKeyPath", "and the secret key sshPrivateKey are both set; give one")
        )
    elif key_path:
        private_key = _private_key(key_path, problems)
    host_keys = pinned_keys(settings, problems)
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


def _private_key(path: str, problems: list[Problem]) -> pulumi.Output[str] | None:
    text = _read("ssh.privateKeyPath", path, problems)
    if text is None:
        return None
    try:
        load_ssh_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        # Not the error's own words: they might quote the file.
        problems.append(
            Problem(
                "ssh.privateKeyPath",
                f'"{path}" is no SSH private key without a passphrase; load a key with a'
                " passphrase into the SSH agent and leave this setting out",
            )
        )
        return None
    return pulumi.Output.secret(text)


def pinned_keys(settings: "Settings", problems: list[Problem]) -> dict[str, str]:
    """Return the pinned key of every host of the settings, `TYPE KEY`, by the host's name."""
    path = settings.ssh.known_hosts_path
    text = _read("ssh.knownHostsPath", path, problems) if path else None
    known = list(_known_hosts(text or ""))
    found: dict[str, str] = {}
    for place, host in _hosts(settings):
        if host.host_key:
            candidates = [" ".join(host.host_key.split()[:2])]
        else:
            names = {host.address, f"[{host.address}]:{settings.ssh.port}", host.name}
            candidates = [key for pattern, key in known if _matches(pattern, names)]
        fit = [key for key in candidates if key.split(" ")[0] in HOST_KEY_TYPES]
        if fit:
            found[host.name] = fit[0]
        elif candidates:
            types = ", ".join(sorted({key.split(" ")[0] for key in candidates}))
            problems.append(
                Problem(
                    f"{place}.hostKey",
                    f"is of the type {types}; give the machine's ed25519 or ecdsa key:"
                    f" ssh-keyscan -t ed25519 {host.address}",
                )
            )
        else:
            problems.append(
                Problem(
                    f"{place}.hostKey",
                    f"is missing and {host.address} is not in ssh.knownHostsPath; without it"
                    " anybody could answer in the machine's place",
                )
            )
    return found


def _hosts(settings: "Settings") -> Iterator[tuple[str, "Host"]]:
    for index, host in enumerate(settings.control_plane.hosts):
        yield f"controlPlane.hosts[{index}]", host
    for pool_name, pool in settings.pools.items():
        for index, node in enumerate(pool.nodes):
            yield f"pools.{pool_name}.nodes[{index}]", node


def _known_hosts(text: str) -> Iterator[tuple[str, str]]:
    """Each pattern of a known_hosts file and its key; see sshd(8), SSH_KNOWN_HOSTS FILE FORMAT."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 3 or line.startswith(("#", "@")):
            continue
        for pattern in fields[0].split(","):
            yield pattern, f"{fields[1]} {fields[2]}"


def _matches(pattern: str, names: set[str]) -> bool:
    if not pattern.startswith("|1|"):
        return pattern in names
    _, _, salt, digest = pattern.split("|")
    key = base64.b64decode(salt)
    return any(
        hmac.compare_digest(
            base64.b64encode(hmac.new(key, name.encode(), hashlib.sha1).digest()).decode(), digest
        )
        for name in names
    )
