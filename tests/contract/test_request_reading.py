"""Go's parser, which the API server and the signer use, reads what we accept as we do."""

import itertools
from pathlib import Path

import pytest

from admission.rules import certificate_request
from lab.layout import Layout
from tests.differential import comparison
from tests.differential.comparison import Tally, build_reader, differences
from tests.differential.generator import Generator
from tests.request_bytes import (
    ADDRESS,
    CN,
    NAME,
    SUBJECT,
    O,
    attribute,
    der,
    extension_request,
    request,
    sans,
    subject_of,
)

pytestmark = pytest.mark.contract

INPUTS = 5000  # `python -m tests.differential` is the long run


@pytest.fixture(scope="module")
def reader() -> Path:
    return build_reader(Layout.find().cache)


def test_no_request_that_we_accept_is_read_otherwise_by_go(reader: Path) -> None:
    tally = Tally()
    assert list(differences(reader, itertools.islice(Generator(1), INPUTS), tally)) == []
    assert tally.inputs == INPUTS
    assert tally.accepted_by_go > tally.accepted > INPUTS / 50


def test_a_kubelets_requests_are_accepted_by_both(reader: Path) -> None:
    tally = Tally()
    inputs = [request(), request(extension_request(sans(NAME, ADDRESS)), subject=SUBJECT)]
    assert list(differences(reader, inputs, tally)) == []
    assert (tally.inputs, tally.accepted, tally.accepted_by_go) == (2, 2, 2)


@pytest.mark.parametrize(
    "subject",
    [
        subject_of(attribute(O, "system:nodes"), attribute(CN, "a"), attribute(CN, "b")),
        subject_of(attribute(O, "system:nodes"), attribute(CN, "a@b", 0x16)),
    ],
)
def test_what_only_go_accepts_is_refused(reader: Path, subject: bytes) -> None:
    tally = Tally()
    assert list(differences(reader, [request(subject=subject)], tally)) == []
    assert (tally.accepted, tally.accepted_by_go) == (0, 1)


def test_a_difference_is_found(reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself, with a parser that does not see the second name."""
    one = certificate_request.parse(request(extension_request(sans(NAME))))
    monkeypatch.setattr(comparison, "parse", lambda _: one)
    two = request(extension_request(sans(NAME, der(0x82, b"node-2"))))
    found = list(differences(reader, [two], Tally()))
    assert len(found) == 1
    assert found[0].startswith("dnsNames: ['node-1'] here, ['node-1', 'node-2']")
