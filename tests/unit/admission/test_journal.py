"""The approver's log and its numbers."""

import json
import re
from typing import Any

import pytest

from admission.approver.journal import BURST, PAUSE_S, Journal
from admission.approver.metrics import HELP, PREFIX, Metrics
from admission.rules.refusals import CONTENT, kind_of


class Written:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.time = 0.0
        self.journal = Journal(
            lambda line: self.lines.append(json.loads(line)), clock=lambda: self.time
        )


def test_a_line_is_one_json_document_without_empty_fields() -> None:
    it = Written()
    it.journal.tell("info", "a\nb", pool="", sans=[], uid=None, number=0)
    (line,) = it.lines
    assert line.keys() == {"time", "level", "message", "number"}
    assert line["message"] == "a\nb"


def test_long_texts_are_cut() -> None:
    it = Written()
    it.journal.tell("info", "x", reason="y" * 10_000)
    assert len(it.lines[0]["reason"]) == 500


def test_a_subject_has_a_burst_and_then_a_line_a_minute_that_counts_the_others() -> None:
    it = Written()
    for _ in range(100):
        it.journal.tell_of("node-1", "info", "x")
    assert len(it.lines) == BURST
    it.time += PAUSE_S
    it.journal.tell_of("node-1", "info", "x")
    it.journal.tell_of("node-1", "info", "x")
    assert len(it.lines) == BURST + 1
    assert it.lines[-1]["linesDropped"] == 100 - BURST


def test_one_subject_silences_no_other() -> None:
    it = Written()
    for _ in range(100):
        it.journal.tell_of("node-1", "info", "x")
    it.journal.tell_of("node-2", "info", "y")
    assert it.lines[-1]["message"] == "y"


def test_numbers_are_in_the_text_format() -> None:
    metrics = Metrics()
    metrics.count("decisions_total", rule="none", result="approved")
    metrics.count("decisions_total", rule="none", result="approved")
    metrics.count("watch_starts_total", resource='a"b\\c\nd')
    metrics.observe_approval(0.05)
    metrics.observe_approval(0.2)
    metrics.observe_approval(1000)
    text = metrics.text({"leader": True})
    assert f'{PREFIX}_decisions_total{{result="approved",rule="none"}} 2\n' in text
    assert f'{PREFIX}_watch_starts_total{{resource="a\\"b\\\\c\\nd"}} 1\n' in text
    assert f"# TYPE {PREFIX}_leader gauge\n{PREFIX}_leader 1\n" in text
    assert f'{PREFIX}_approve_seconds_bucket{{le="0.05"}} 1\n' in text
    assert f'{PREFIX}_approve_seconds_bucket{{le="0.25"}} 2\n' in text
    assert f'{PREFIX}_approve_seconds_bucket{{le="300"}} 2\n' in text
    assert f'{PREFIX}_approve_seconds_bucket{{le="+Inf"}} 3\n' in text
    assert f"{PREFIX}_approve_seconds_sum 1000.250000\n{PREFIX}_approve_seconds_count 3\n" in text
    line = r'# (HELP|TYPE) \w+ .+|\w+({\w+="[^\n]*"(,\w+="[^\n]*")*})? [0-9.+e]+'
    assert all(re.fullmatch(line, found) for found in text.splitlines())


def test_each_metric_is_described_once() -> None:
    metrics = Metrics()
    for name in HELP:
        if name.endswith("_total"):
            metrics.count(name)
    gauges = {n: 1.0 for n in HELP if not n.endswith(("_total", "_seconds"))}
    described = re.findall(r"^# HELP (\w+)", metrics.text(gauges), re.MULTILINE)
    assert sorted(described) == sorted(f"{PREFIX}_{name}" for name in HELP)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("node-1 is claimed by node-1 of the pool a and node-1 of the pool b; take", "dispute"),
        ("its requester mallory is not a node of the inventory", "requester"),
        ("its requester is not in the group system:nodes", "requester"),
        ("its signer is example.org/x", "signer"),
        ("it has been decided already", "decided"),
        ("its usages are client auth", "usages"),
        ("it asks for 400 days, 0:00:00, more than 366 days", "expiration"),
        ("it is older than an hour; restart", "age"),
        ("it was made in the future; the clocks", "age"),
        ("more than 20 requests of system:node:a are pending; find out", "flood"),
        ("system:node:a may not create certificatesigningrequests/selfnodeserver; the", "right"),
        ("the Node a does not exist yet", "node"),
        ("the Node a is being deleted", "node"),
        ("its common name is 'x', not 'y'", "subject"),
        ("its organization is 'x', not 'y'", "subject"),
        ("the name x is not one of the node's in the inventory", "name"),
        ("it asks for 'X', which is not a lower-case DNS name", "name"),
        ("it asks for an extension other than subject alternative names", CONTENT),
        ("localhost is one of the cluster's own names", "name"),
        ("api.example.org is the API server's name", "name"),
        ("the address 10.0.0.1 is one that no node may have", "address"),
        ("the address 10.0.0.1 is not one of the node's in the inventory", "address"),
        ("it holds a name or an address twice", CONTENT),
        ("its signature is not by its own key", CONTENT),
    ],
)
def test_a_reason_is_counted_by_what_it_is_about(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind
