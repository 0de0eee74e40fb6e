"""A private key that the settings take is one that Go's SSH and OpenSSH can use, and the same one.

pulumi-command reads it with golang.org/x/crypto/ssh, and `ssh` with OpenSSH.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from credentials.private_key import fingerprint, for_engine, for_openssh, problem_of
from tests.contract import judges, private_keys

pytestmark = [
    pytest.mark.contract,
    pytest.mark.filterwarnings("ignore:SSH DSA key"),
]

RAW, ENGINE = "as it is: ", "for the engine: "
# What Go reads and the settings refuse: headers that no tool writes there, DSA, which no sshd
# takes, and data that was changed by hand.
ON_PURPOSE = (": headers", ": headers without a blank line", ": a changed", "dsa, ")


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return private_keys.all_of()


@pytest.fixture(scope="module")
def taken(keys: dict[str, str]) -> dict[str, str]:
    """Those that the settings take."""
    return {name: text for name, text in keys.items() if problem_of(text) is None}


@pytest.fixture(scope="module")
def said(
    keys: dict[str, str], taken: dict[str, str], credentials_judge: Path
) -> Mapping[str, Mapping[str, str]]:
    given = {f"{RAW}{name}": text for name, text in keys.items()}
    given |= {f"{ENGINE}{name}": for_engine(text) for name, text in taken.items()}
    found: Mapping[str, Mapping[str, str]] = judges.ask_about(credentials_judge, {"keys": given})[
        "keys"
    ]
    return found


def test_the_engine_reads_every_key_that_is_taken_as_the_same(
    taken: dict[str, str], said: Mapping[str, Mapping[str, str]]
) -> None:
    for name, text in taken.items():
        assert said[ENGINE + name] == {"fingerprint": fingerprint(text)}, name
    assert len(taken) > 200


def test_a_key_that_the_engine_could_read_is_no_other_one(
    taken: dict[str, str], said: Mapping[str, Mapping[str, str]]
) -> None:
    read = {name: said[RAW + name].get("fingerprint") for name in taken}
    for name, found in read.items():
        assert found in (None, fingerprint(taken[name])), name


def test_openssh_reads_every_key_that_is_taken_as_the_same(
    taken: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    for name, text in taken.items():
        path.write_text(for_openssh(text))
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-f", path], capture_output=True, text=True, check=False
        )
        assert fingerprint(text) in shown.stdout.split(), (name, shown.stderr)


def test_what_the_engine_reads_is_taken_or_listed_here(
    keys: dict[str, str], taken: dict[str, str], said: Mapping[str, Mapping[str, str]]
) -> None:
    refused = [name for name in keys.keys() - taken.keys() if "fingerprint" in said[RAW + name]]
    assert [name for name in refused if not any(part in name for part in ON_PURPOSE)] == []


def test_a_key_with_a_passphrase_is_told_to_have_one(
    keys: dict[str, str], said: Mapping[str, Mapping[str, str]]
) -> None:
    whole = dict(private_keys.whole())
    for name in [name for name in keys if name in whole]:
        told = problem_of(keys[name]) or ""
        # Go says so of two of the three forms; PKCS #8 it does not read at all.
        assert ("passphrase" in told) is name.endswith("with a passphrase"), name
        if said[RAW + name].get("passphrase") == "true":
            assert "passphrase" in told, name
