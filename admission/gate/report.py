"""What a run of the gate reports at its end: a table for people, a document for programs."""

import json
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from admission.gate.orders import Orders
from admission.gate.progress import Progress, Step
from admission.terminal import columns, visible

COLUMNS: tuple[tuple[str, Step], ...] = (
    ("asked", "asked"),
    ("client CSR", "admitted"),
    ("serving CSR", "approved"),
    ("Ready", "ready"),
    ("certificate in use", "presented"),
    ("API server reaches it", "reached"),
    ("joined", "joined"),
)
MOST_ROWS, MOST_NAMES = 30, 8
LONGEST_REASON = 1000
TIME = "%Y-%m-%dT%H:%M:%SZ"


def table(progresses: Iterable[Progress]) -> Iterator[str]:
    """Yield lines: a node each, with the seconds after which each step was seen, and its problems.

    A node that joined in an earlier run has not asked in this one, and was not approved. Of many
    nodes only those that have not joined have a line.
    """
    ordered = sorted(progresses, key=lambda p: p.entry.name)
    if len(ordered) > MOST_ROWS:
        yield summary(ordered)
        ordered = [progress for progress in ordered if not progress.joined]
    rows = [["node", *(title for title, _ in COLUMNS), "certificate until"]]
    for progress in ordered:
        seconds = [progress.seconds.get(step) for _, step in COLUMNS]
        end = progress.certificate and f"{progress.certificate.end:%Y-%m-%d %H:%M}Z"
        cells = ["-" if s is None else f"{s:.1f} s" for s in seconds]
        rows.append([progress.entry.name, *cells, end or "-"])
    yield from columns(rows) if ordered else ()
    for progress in ordered:
        if not progress.joined:
            what = "is NOT proven since its restart" if progress.restarted else "has NOT joined"
            yield f"{progress.entry.name} {what}: {reason(progress)}"


def summary(progresses: Sequence[Progress]) -> str:
    """Return how many have joined, and how long that took."""
    took = sorted(p.seconds["joined"] for p in progresses if p.joined)
    joined = f"{len(took)} of {len(progresses)} nodes have joined"
    if not took:
        return joined
    half, last = took[len(took) // 2], took[-1]
    return f"{joined}, half of them within {half:.1f} s, all within {last:.1f} s"


def waiting(progresses: Collection[Progress]) -> str:
    """Return how many have joined, and for whom the gate waits."""
    late = sorted(progress.entry.name for progress in progresses if not progress.joined)
    more = f" and {len(late) - MOST_NAMES} more" if len(late) > MOST_NAMES else ""
    names = f"{', '.join(late[:MOST_NAMES])}{more}"
    return f"{len(progresses) - len(late)} of {len(progresses)} nodes have joined; late: {names}"


def reason(progress: Progress) -> str:
    """Return what keeps a node from having joined, a part of which its kubelet may have written."""
    parts = (visible(part[:LONGEST_REASON]) for part in progress.missing())
    return "; ".join(parts) or "it has not been checked yet"


def shared_machine_ids(progresses: Iterable[Progress]) -> Iterator[str]:
    """Say which Nodes report the same machine-id, as copies of one disk image do."""
    by_id: dict[str, list[str]] = {}
    for progress in progresses:
        by_id.setdefault(progress.machine_id, []).append(progress.entry.name)
    for machine_id, names in by_id.items():
        if machine_id and len(names) > 1:
            yield (
                f"warning: {', '.join(sorted(names))} have the same machine-id {machine_id}, which"
                " breaks DHCP leases, network plug-ins and logs; on all but one of them run:"
                " rm /etc/machine-id && systemd-machine-id-setup, and restart"
            )


def document(
    progresses: Iterable[Progress], orders: Orders, token_states: Mapping[str, str], now: datetime
) -> dict[str, Any]:
    """Return what the stack's outputs are made from; it holds no secret."""
    ordered = sorted(progresses, key=lambda p: p.entry.name)
    nodes = [
        {
            "name": progress.entry.name,
            "address": str(progress.entry.addresses[0]),
            "join": orders.joins.get(progress.entry.name, ""),
            "kubeletVersion": progress.kubelet_version,
            "servingCertificateEnd": progress.certificate
            and progress.certificate.end.strftime(TIME),
            "proven": now.strftime(TIME),
        }
        for progress in ordered
        if progress.joined
    ]
    pending = [
        {"name": progress.entry.name, "reason": reason(progress)}
        for progress in ordered
        if not progress.joined
    ]
    tokens = [
        {"id": token.id, "node": token.node, "state": token_states[token.id]}
        for token in orders.tokens
        if token.id in token_states
    ]
    return {"nodes": nodes, "pending": pending, "tokens": tokens}


def write(path: str, document: Mapping[str, Any]) -> None:
    """Write a document for the program that has started the gate, whole or not at all.

    Raises:
        ValueError: it can't be written; says why.
    """
    target = Path(path)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent)  # mode 0600
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file)
        Path(name).replace(target)
    except OSError as error:
        raise ValueError(f"the report {path} can't be written: {error.strerror}") from None
