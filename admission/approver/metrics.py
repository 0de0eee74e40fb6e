"""Numbers of the resident approver in Prometheus' text format.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "kubelet_serving_approver"
APPROVE_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
HELP = {
    "decisions_total": "Decisions on serving requests: their result, and which rule refused.",
    "watch_starts_total": "How often a watch has started with a complete list.",
    "api_failures_total": "Requests to the API server that gave no answer and were made again.",
    "leader": "1 while this replica holds the Lease and approves, else 0.",
    "pending_requests": "Undecided serving requests.",
    "inventory_nodes": "Nodes whose requests can be approved.",
    "inventory_disputes": "Nodes left out, because two of them claim one name or address.",
    "inventory_problems": "Inventories that can't be read.",
    "node_address_mismatches": "Nodes that report an address that the inventory does not have.",
    "approve_seconds": "The time from first seeing a request to approving it.",
}


class Metrics:
    """Counters and one histogram; gauges are given when the text is made."""

    def __init__(self) -> None:
        self._counters: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._buckets = [0] * (len(APPROVE_BUCKETS_S) + 1)
        self._sum_s = 0.0

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
        self._counters[name, tuple(sorted(labels.items()))] += 1

    def observe_approval(self, seconds: float) -> None:
        """Take in how long an approval took."""
        self._buckets[bisect_left(APPROVE_BUCKETS_S, seconds)] += 1
        self._sum_s += seconds

    def text(self, gauges: Mapping[str, float]) -> str:
        """Return all of it, one line a value."""
        return "".join(f"{line}\n" for line in self._lines(gauges))

    def _lines(self, gauges: Mapping[str, float]) -> Iterator[str]:
        for name in dict.fromkeys(name for name, _ in sorted(self._counters)):
            yield from _header(name, "counter")
            for (counted, labels), value in sorted(self._counters.items()):
                if counted == name:
                    yield f"{PREFIX}_{name}{_labels(labels)} {value}"
        for name, gauge in gauges.items():
            yield from _header(name, "gauge")
            yield f"{PREFIX}_{name} {gauge:g}"
        yield from _header("approve_seconds", "histogram")
        total = 0
        for limit, number in zip((*APPROVE_BUCKETS_S, None), self._buckets, strict=True):
            total += number
            bound = "+Inf" if limit is None else f"{limit:g}"
            yield f'{PREFIX}_approve_seconds_bucket{{le="{bound}"}} {total}'
        yield f"{PREFIX}_approve_seconds_sum {self._sum_s:.6f}"
        yield f"{PREFIX}_approve_seconds_count {total}"


def _header(name: str, kind: str) -> Iterator[str]:
    yield f"# HELP {PREFIX}_{name} {HELP[name]}"
    yield f"# TYPE {PREFIX}_{name} {kind}"


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    quoted = (
        '{}="{}"'.format(key, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))
        for key, value in labels
    )
    return f"{{{','.join(quoted)}}}" if labels else ""
