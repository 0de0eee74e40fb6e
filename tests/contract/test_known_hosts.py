"""A known_hosts file means here what it means to `ssh-keygen -F`, which reads it as ssh does."""

import base64
import hmac
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from credentials.host_key import TYPES, _is_whole
from credentials.known_hosts import REVOKED, KnownHosts

pytestmark = pytest.mark.contract

SALT = b"01234567890123456789"


def key(number: int) -> str:
    blob = b"".join(struct.pack(">I", len(x)) + x for x in (b"ssh-ed25519", bytes([number]) * 32))
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def hashed(name: str) -> str:
    salt, digest = (
        base64.b64encode(x).decode() for x in (SALT, hmac.digest(SALT, name.encode(), "sha1"))
    )
    return f"|1|{salt}|{digest}"


ONE, TWO = key(17), key(34)
NAMES = [
    *("10.0.0.1", "[10.0.0.1]:2222", "n1.example.org", "[n1.example.org]:2222"),
    *("fd00::1", "[fd00::1]:2222"),
]
HOSTS = [
    *("10.0.0.1", "10.0.0.1,n1", "n1.example.org", "N1.Example.org", "10.0.0.*", "10.0.0.?", "*"),
    *("*.example.org", "*.example.org,!n1.example.org", "!n1.example.org,*", "!n1.example.org"),
    *("[10.0.0.1]:2222", "[10.0.0.1]:22", "[n1.example.org]:2222", "[*.example.org]:2222"),
    *("[10.0.0.*]:*", "[n1.example.org]:*", "fd00::1", "[fd00::1]:2222", "[fd00::1]:22"),
    *("FD00::1", "[fd00::1]", "!*", "10.0.0.1,", ",10.0.0.1", "10.0.0.1:2222", "n1", "n1."),
    *("n1.example.org.", "10.0.0.[1]", "10.0.0.1!", "10.0.0.1#", "a?b", "**", "*1", "10.0.0.1*"),
    *map(hashed, ("10.0.0.1", "n1.example.org", "N1.example.org", "[10.0.0.1]:2222", "*")),
    *(f"{hashed('10.0.0.1')},10.0.0.9", f"10.0.0.9,{hashed('10.0.0.1')}", "|1|x|y", "|1||"),
    *("|2|a|b", "|1|", "|", "!", "?", "10.0.0.1,10.0.0.1", "10.0.0.1,!10.0.0.1"),
]
PLAIN = ["{h} {one}", "@revoked {h} {one}"]
LINES = [
    *("{h} {one} comment", "{h}\t{one}", "  {h} {one}", "\t{h}  \t {one}\t", "{h} {one}\r"),
    *("#{h} {one}", "# {h} {one}", "@cert-authority {h} {one}", "@revoked\t{h} {one}"),
    *("@Revoked {h} {one}", "@other {h} {one}", "@revoked @cert-authority {h} {one}"),
    *("{h} {one}\n{h} {two}", "{h} {two}\n{h} {one}", "@revoked {h} {one}\n{h} {two}"),
    *("{h} {cut}", "{h} {type}", "{h} 256 {one}", "{h} {data}", "{h} ssh-rsa {data}"),
    *("{h} SSH-ED25519 {data}", "{h} ssh-foo {data}", "{h} ecdsa-sha2-nistp256 {data}"),
    *("{h} {one}\x0b{h} {two}", "{h} {one}\x0c", "{h} {one}\u2028{h} {two}", "{h} {one}\x85"),
    *("x {two} \x85{h} {one}", "x {two} \u2028{h} {one}", "x {two} \x0b{h} {one}"),
    *("\ufeff{h} {one}", "{h} {one}\\\n", '"{h}" {one}', "{h}\u00a0{one}", "{h} {one}\u00a0"),
    *("@revoked{h} {one}", "@ {h} {one}", "", "@revoked", "{h}"),
]


def files() -> Iterator[str]:
    for hosts in HOSTS:
        for line in (*PLAIN, *(LINES if hosts in HOSTS[:3] else ())):
            kind, data = ONE.split()
            text = line.format(h=hosts, one=ONE, two=TWO, cut=ONE[:-6], type=kind, data=data)
            yield f"{text}\n"


def usable(keys: list[str]) -> list[str]:
    return [each for each in keys if each.split()[0] in TYPES and _is_whole(each)]


def test_the_keys_of_a_host_are_those_that_openssh_finds(tmp_path: Path) -> None:
    path, found = tmp_path / "known_hosts", 0
    for text in dict.fromkeys(files()):
        path.write_bytes(text.encode())
        known = KnownHosts(text)
        for name in NAMES:
            done = subprocess.run(
                ["ssh-keygen", "-F", name, "-f", path], capture_output=True, check=False
            )
            printed = done.stdout.decode().split("\n")
            lines = [re.split(r"[ \t]+", line.strip(" \t\r")) for line in printed if line]
            keys = [" ".join(words[1:3]) for words in lines if words[0][0] not in "#@"]
            revoked = [" ".join(words[2:4]) for words in lines if words[0] == REVOKED]
            assert usable(known.keys([name])) == usable(keys), (text, name)
            # OpenSSH passes over a marker with a tab after it; here that key is revoked.
            if not text.startswith("@revoked\t"):
                assert known.revoked([name], ONE) is (ONE in revoked), (text, name)
            found += bool(keys or revoked)
    assert found > 100
