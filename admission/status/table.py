"""The status as tables for a person."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from admission.terminal import columns

MOST_OF_ONE = 20  # undecided requests of one requester


def lines(status: Mapping[str, Any]) -> Iterable[str]:
    """Yield the lines of a status document."""
    rows = [["node", "pool", "Ready", "serving certificate until", "client certificate until"]]
    for node in status["nodes"]:
        ends = [_until(node[f"{which}Certificate"]) for which in ("serving", "client")]
        rows.append([node["name"], node["pool"] or "-", node["ready"], *ends])
    yield from columns(rows)
    yield ""
    if status["pendingRequests"]:
        rows = [["undecided request", "requester", "the rules say"]]
        asked = Counter[str]()
        for item in status["pendingRequests"]:
            asked[item["requester"]] += 1
            if asked[item["requester"]] > MOST_OF_ONE:
                continue
            said = ": ".join(filter(None, (item["decision"], item["reason"])))
            rows.append([item["name"], item["requester"], said])
        yield from columns(rows)
        for requester, count in asked.items():
            if more := max(count - MOST_OF_ONE, 0):
                yield f"and {more} more undecided requests of {requester} (--json shows all)"
    else:
        yield "no undecided request"
    yield ""
    rows = [["token", "state", "until", "description"]]
    for token in status["tokens"]:
        until = token["expiration"] or "-"
        rows.append([token["id"], token["state"], until, token["description"]])
    yield from columns(rows) if status["tokens"] else ["no token of this program"]
    for problem in status["problems"]:
        yield f"problem: {problem}"


def _until(certificate: Mapping[str, Any]) -> str:
    return "; ".join(filter(None, (certificate["end"], certificate["problem"])))
