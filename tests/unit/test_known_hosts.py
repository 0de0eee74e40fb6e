"""A known_hosts file says which key a host has, as ssh(1) would read it."""

import base64
import hmac

import pytest

from credentials.known_hosts import KnownHosts, names

KEY, OTHER = "ssh-ed25519 AAAAkey", "ssh-ed25519 AAAAother"


def hashed(name: str, salt: bytes = b"01234567890123456789") -> str:
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


# What stands before the key, the port, whether it is the key of 10.0.0.1 (n1.example.org).
LINES = {
    "an address": ("10.0.0.1", 22, True),
    "another address": ("10.0.0.11", 22, False),
    "one of several": ("10.0.0.9,10.0.0.1", 22, True),
    "the name": ("n1.example.org", 22, True),
    "the name in capitals": ("N1.Example.ORG", 22, True),
    "a port": ("[10.0.0.1]:2222", 2222, True),
    "another port": ("[10.0.0.1]:2222", 22, False),
    "without the port": ("10.0.0.1", 2222, True),
    "a star": ("10.0.0.*", 22, True),
    "a star in a name": ("*.example.org", 22, True),
    "a star and a port": ("[*.example.org]:2222", 2222, True),
    "a question mark": ("10.0.0.?", 22, True),
    "a dot is no pattern": ("10a0.0.*", 22, False),
    "a question mark is one character": ("10.0.0.1?", 22, False),
    "but not this one": ("*.example.org,!n1.example.org", 22, False),
    "but not another one": ("*.example.org,!n2.example.org", 22, True),
    "not this one, which says nothing of others": ("!n2.example.org", 22, False),
    "hashed": (hashed("10.0.0.1"), 22, True),
    "hashed with a port": (hashed("[10.0.0.1]:2222"), 2222, True),
    "the hash of another": (hashed("10.0.0.2"), 22, False),
    "a broken hash": ("|1|!|", 22, False),
    "a hash among others": (f"{hashed('10.0.0.1')},10.0.0.9", 22, False),
    "a hash after others": (f"10.0.0.9,{hashed('10.0.0.1')}", 22, False),
    "an authority": ("@cert-authority 10.0.0.1", 22, False),
    "revoked": ("@revoked 10.0.0.1", 22, False),
    "a comment": ("#10.0.0.1", 22, False),
}


@pytest.mark.parametrize(("line", "port", "found"), LINES.values(), ids=LINES)
def test_a_line_is_for_the_hosts_that_it_names(line: str, port: int, found: bool) -> None:
    known = KnownHosts(f"\n{line} {KEY} a comment\n")
    assert known.keys(names("10.0.0.1", port, "n1.example.org")) == ([KEY] if found else [])


def test_the_exact_port_comes_first() -> None:
    known = KnownHosts(f"10.0.0.1 {OTHER}\n[10.0.0.1]:2222 {KEY}\n")
    assert known.keys(names("10.0.0.1", 2222)) == [KEY, OTHER]


@pytest.mark.parametrize("hosts", ["10.0.0.1", "*", hashed("10.0.0.1")])
def test_a_revoked_key_is_revoked_for_the_hosts_of_its_line(hosts: str) -> None:
    known = KnownHosts(f"@revoked {hosts} {KEY}\n10.0.0.1 {KEY}\n")
    assert known.revoked(names("10.0.0.1", 22), KEY)
    assert not known.revoked(names("10.0.0.1", 22), OTHER)
    assert known.revoked(names("10.0.0.2", 22), KEY) == (hosts == "*")


@pytest.mark.parametrize("text", ["", "\n\n", "10.0.0.1", "10.0.0.1 ssh-ed25519", "@revoked"])
def test_what_is_no_entry_is_passed_over(text: str) -> None:
    assert KnownHosts(text).keys(names("10.0.0.1", 22)) == []


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_a_comment_ends_with_its_line_and_not_before(end: str) -> None:
    known = KnownHosts(f"10.0.0.2 {KEY} a comment{end}10.0.0.1 {OTHER}\n")
    assert known.keys(names("10.0.0.1", 22)) == []


def test_a_revoked_key_is_revoked_in_each_of_its_texts() -> None:
    key = "ssh-ed25519 QUJD"
    known = KnownHosts("@revoked * ssh-ed25519 QUJ\u200bD\n@revoked * ssh-ed25519 QUJD====\n")
    assert known.revoked(names("10.0.0.1", 22), key)


@pytest.mark.parametrize("text", ["fd00::1", "FD00:0::1", "fd00:0:0:0:0:0:0:1", "fd00:0000::0001"])
def test_an_address_is_the_same_in_each_of_its_forms(text: str) -> None:
    known = KnownHosts(f"{text} {KEY}\n[{text}]:2222 {OTHER}\n@revoked {text} {KEY}\n")
    for given in ("fd00::1", text):
        assert known.keys(names(given, 22)) == [KEY]
        assert known.keys(names(given, 2222)) == [OTHER, KEY]
        assert known.revoked(names(given, 22), KEY)
    assert known.keys(names("fd00::2", 22)) == []
