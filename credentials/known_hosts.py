"""A known_hosts file, read as sshd(8) describes it under SSH_KNOWN_HOSTS FILE FORMAT."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

HASHED = "|1|"
REVOKED = "@revoked"
DEFAULT_PORT = 22
WITH_PORT = re.compile(r"\[(.*)\](:[0-9]+)")


def names(address: str, port: int, *others: str) -> tuple[str, ...]:
    """Return the names under which a host's key may be listed, in the order in which ssh(1) looks.

    With another port than 22 that is `[host]:port`, and then the host alone. A hash is of the form
    that somebody has typed, so that is among them.
    """
    given = (address, *others)
    hosts = tuple(dict.fromkeys(form(h) for h in given for form in (str.lower, _one_form)))
    with_port = () if port == DEFAULT_PORT else tuple(f"[{host}]:{port}" for host in hosts)
    return (*with_port, *hosts)


@dataclass(frozen=True)
class Entry:
    """A line: its hosts, and their key."""

    hosts: str
    key: str  # TYPE KEY

    def matches(self, name: str) -> bool:
        if self.hosts.startswith(HASHED):
            return _hash_matches(self.hosts, name)
        patterns = [_one_form(pattern) for pattern in self.hosts.split(",")]
        refused = any(_fits(pattern[1:], name) for pattern in patterns if pattern[:1] == "!")
        return not refused and any(_fits(pattern, name) for pattern in patterns)


class KnownHosts:
    """The keys in a known_hosts file, and those that it revokes.

    Its certificate authorities are ignored: pulumi-command pins keys and can't check certificates.
    """

    def __init__(self, text: str) -> None:
        self._plain: dict[str, list[str]] = {}  # lines without patterns and hashes
        self._entries: list[Entry] = []
        self._revoked: list[Entry] = []
        for marker, entry in _entries(text):
            if marker == REVOKED:
                self._revoked.append(entry)
            elif marker:
                continue
            elif re.search(r"[*?!|]", entry.hosts):
                self._entries.append(entry)
            else:
                for host in entry.hosts.split(","):
                    self._plain.setdefault(_one_form(host), []).append(entry.key)

    def keys(self, wanted: Sequence[str]) -> list[str]:
        """Return the keys of a host, `TYPE KEY`; those of its first name come first."""
        return list(dict.fromkeys(self._keys(wanted)))

    def revoked(self, wanted: Iterable[str], key: str) -> bool:
        """Return whether the file revokes the key for the host."""
        listed = [entry for entry in self._revoked if _blob(entry.key) == _blob(key)]
        return any(entry.matches(name) for entry in listed for name in wanted)

    def _keys(self, wanted: Sequence[str]) -> Iterator[str]:
        for name in wanted:
            yield from self._plain.get(name, ())
            yield from (entry.key for entry in self._entries if entry.matches(name))


def _entries(text: str) -> Iterator[tuple[str, Entry]]:
    # As OpenSSH does (hostfile.c): no other character ends a line or parts two fields.
    for line in text.split("\n"):
        fields = re.split(r"[ \t]+", line.strip(" \t\r"))
        if not fields[0] or fields[0].startswith("#"):
            continue
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if len(fields) >= 3:
            yield marker, Entry(hosts=fields[0], key=f"{fields[1]} {fields[2]}")


def _one_form(host: str) -> str:
    """Return a host in lower case, and an address in its shortest form: it may be typed in any."""
    host = host.lower()
    with_port = WITH_PORT.fullmatch(host)
    try:
        address = str(ip_address(with_port[1] if with_port else host))
    except ValueError:
        return host
    return f"[{address}]{with_port[2]}" if with_port else address


def _fits(pattern: str, name: str) -> bool:
    """Return whether a name matches a pattern: * is any characters, ? is any one character."""
    if pattern[:1] == "!":
        return False
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), name) is not None


def _hash_matches(hosts: str, name: str) -> bool:
    """Return whether the HMAC-SHA1 of a name, with the salt as its key, is the entry's."""
    salt, _, digest = hosts.removeprefix(HASHED).partition("|")
    try:
        key = base64.b64decode(salt, validate=True)
        expected = base64.b64decode(digest, validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(key, name.encode(), "sha1"), expected)


def _blob(key: str) -> bytes:
    """Return what a key's text stands for: there are several texts for the same."""
    encoded = key.split(" ")[1]
    try:
        return base64.b64decode(encoded)
    except (binascii.Error, ValueError):
        return encoded.encode()
