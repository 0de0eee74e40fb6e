"""A CA that the settings take is one for the kubelet, in whatever form it is given."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from admission import authorities
from tests.contract import judges
from tests.contract import odd_authorities as odd

pytestmark = pytest.mark.contract

GIVEN = odd.ALIKE | odd.ODD | odd.DAMAGED
# A kubelet passes over what has no end; whoever gives it wants it whole.
ON_PURPOSE = {"cut after a whole one", "no end, and a whole one"}


@pytest.fixture(scope="module")
def found(credentials_judge: Path) -> dict[str, list[str]]:
    """The certificates that a kubelet finds in what is given, and in what is handed on."""
    texts = {f"given: {name}": content for name, content in GIVEN.items()}
    for name, content in (odd.ALIKE | odd.ODD).items():
        handed_on = authorities.readable(content.decode(errors="replace"))
        texts[f"handed on: {name}"] = handed_on.encode()
    question = {name: base64.b64encode(content).decode() for name, content in texts.items()}
    said: dict[str, list[str]] = judges.ask_about(credentials_judge, {"cas": question})["cas"]
    return said


def test_a_kubelet_finds_each_certificate_in_what_is_handed_on(found: dict[str, list[str]]) -> None:
    for name, content in (odd.ALIKE | odd.ODD).items():
        certificates = authorities.certificates(content.decode(errors="replace"))
        ders = [each.public_bytes(Encoding.DER) for each in certificates]
        assert found[f"handed on: {name}"] == [base64.b64encode(der).decode() for der in ders]


def test_what_a_kubelet_takes_is_taken(found: dict[str, list[str]]) -> None:
    refused = {name for name in odd.DAMAGED if found[f"given: {name}"]}
    assert refused == ON_PURPOSE


def test_it_finds_none_in_most_of_the_odd_forms(found: dict[str, list[str]]) -> None:
    lost = [name for name in odd.ODD if not found[f"given: {name}"]]
    assert len(lost) > 10
