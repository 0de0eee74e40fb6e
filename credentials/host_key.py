"""Which SSH host key is pinned for each machine and bastion.

It is the `hostKey` of the settings, or else the first in the known_hosts file that pulumi-command
can use.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from credentials.known_hosts import DEFAULT_PORT, KnownHosts, names
from credentials.text_file import read_text
from settings.layer import Bastion, Ssh
from settings.model import Machine
from settings.problem import Problem

# pulumi-command offers only `ssh-rsa` for a pinned RSA key, which an OpenSSH server since 8.8
# refuses: golang.org/x/crypto/ssh.FixedHostKey, and openssh.com/txt/release-8.8.
TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
)
TYPE = re.compile(r"\A(sk-)?(ssh|ecdsa)-[a-z0-9-]{1,30}(@openssh\.com)?\Z")


@dataclass(frozen=True, kw_only=True)
class HostKeys:
    """The pinned keys, `TYPE KEY`."""

    hosts: Mapping[str, str]  # by the host's name
    bastions: Mapping[str, str]  # by ADDRESS:PORT


def pin_keys(
    machines: Iterable[Machine], layers: Iterable[tuple[str, Ssh]], problems: list[Problem]
) -> HostKeys:
    """Return the key of each machine and each bastion; a missing key is a problem.

    Args:
        machines: with their merged SSH settings.
        layers: the SSH settings before they are merged, with their paths.
        problems: what is wrong is added here.
    """
    files = _KnownHostsFiles(layers, problems)
    hosts: dict[str, str] = {}
    bastions: dict[str, str] = {}
    for machine in machines:
        host, ssh = machine.host, machine.ssh
        known = files.read(ssh)
        key = _Candidates(
            address=host.reached_at,
            port=ssh.port,
            given=host.host_key,
            names=names(host.reached_at, ssh.port, host.name),
            others=names(host.address, ssh.port) if host.ssh_address else (),
        )
        hosts[host.name] = key.choose(known, f"{machine.path}.hostKey", problems)
        bastion = ssh.bastion
        if bastion is not None and bastion.destination not in bastions:
            key = _Candidates(
                address=bastion.address,
                port=bastion.port,
                given=bastion.host_key,
                names=names(bastion.address, bastion.port),
            )
            setting = f"{files.path_of(bastion)}.bastion.hostKey"
            bastions[bastion.destination] = key.choose(known, setting, problems)
    return HostKeys(hosts=hosts, bastions=bastions)


@dataclass(frozen=True, kw_only=True)
class _Candidates:
    """The key that the settings give a host, or the names under which a file may have it."""

    address: str
    port: int
    given: str | None
    names: Sequence[str]
    others: Sequence[str] = ()
    """More names under which a file may revoke it."""

    @property
    def _scan(self) -> str:
        """The command that prints the key."""
        port = "" if self.port == DEFAULT_PORT else f"-p {self.port} "
        return f"ssh-keyscan {port}-t ed25519 {self.address}"

    def choose(self, known: KnownHosts, setting: str, problems: list[Problem]) -> str:
        """Return the key to pin, or "" with a problem added."""
        given = list(keys_in(self.given)) if self.given else known.keys(self.names)
        of_type = [key for key in given if key.split(" ")[0] in TYPES]
        usable = [key for key in of_type if _is_whole(key)]
        for key in usable:
            if not known.revoked((*self.names, *self.others), key):
                return key
        if of_type and not usable:
            message = (
                "is cut, or not a key of the type that it names; give it as this prints it:"
                f" {self._scan}"
            )
        elif usable:
            message = (
                "is revoked in knownHostsPath; give the machine a new host key, and set it here"
            )
        elif given:
            types = ", ".join(sorted({key.split(" ")[0] for key in given}))
            message = (
                f"is of the type {types}; give the machine's ed25519 or ecdsa key: {self._scan}"
            )
        elif self.given:
            message = f"is not a host's key; give it as this prints it: {self._scan}"
        else:
            message = (
                f"is missing, and {self.names[0]} is not in ssh.knownHostsPath; without a key"
                " anybody could answer in the machine's place, so set it, or add it to that file"
            )
        problems.append(Problem(setting, message))
        return ""


def keys_in(text: str) -> Iterator[str]:
    """Yield each `TYPE KEY` in what is given as a host's key.

    That may be a file of the host, or what ssh-keyscan prints, which has the host first.
    """
    if len(text.split()) <= 3:  # one key, which may be folded
        text = " ".join(text.split())
    for line in text.splitlines():
        fields = [] if line.lstrip()[:1] in ("#", "@") else line.split()
        for at, word in enumerate(fields):
            # A host, too, may be named ssh-1.
            if TYPE.match(word) and not any(map(TYPE.match, fields[at + 1 : at + 2])):
                yield " ".join(fields[at : at + 2])
                break


def _is_whole(key: str) -> bool:
    """Return whether a key can be read, and is of the type that stands before it."""
    try:
        base64.b64decode(key.partition(" ")[2], validate=True)
        load_ssh_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


class _KnownHostsFiles:
    """The known_hosts files that the settings name, each read once."""

    def __init__(self, layers: Iterable[tuple[str, Ssh]], problems: list[Problem]) -> None:
        self._layers = list(layers)
        self._problems = problems
        self._files: dict[str, KnownHosts] = {}

    def read(self, ssh: Ssh) -> KnownHosts:
        path = ssh.known_hosts_path or ""
        if path not in self._files:
            at = next((at for at, layer in self._layers if layer.known_hosts_path == path), "ssh")
            setting = f"{at}.knownHostsPath"
            text = read_text(setting, path, self._problems, comments=True) if path else None
            self._files[path] = KnownHosts(text or "")
        return self._files[path]

    def path_of(self, bastion: Bastion) -> str:
        """Return the path of the first SSH settings that name a bastion's address."""
        return next(
            (
                at
                for at, layer in self._layers
                if layer.bastion and layer.bastion.address == bastion.address
            ),
            "ssh",
        )
