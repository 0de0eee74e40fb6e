"""What our parser reads in a request, beside what Go's reads."""

import json
import struct
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from admission.rules.certificate_request import CURVES, RSA_KEY_BITS, parse
from lab import go
from lab.cache import Entry, content_hash

READER = Path(__file__).parent / "reader"
SAN = "2.5.29.17"
SUBJECT = ["2.5.4.10", "2.5.4.3"]
BATCH = 2000


def build_reader(cache: Path) -> Path:
    """Return the path of the program in Go, built once for its source."""
    sources = sorted(READER.iterdir())
    key = content_hash(part for path in sources for part in (path.name, path.read_bytes()))
    entry = Entry(cache, "request-reader", key, ("reader",))

    def build(directory: Path) -> None:
        command = [str(go.ensure_go(cache)), "build", "-o", str(directory / "reader"), "."]
        subprocess.run(command, cwd=READER, env=go.environment(), check=True)

    return entry.ensure(build, thorough=False) / "reader"


@dataclass
class Tally:
    """How many inputs there were, and how many each parser accepted."""

    inputs: int = 0
    accepted: int = 0
    accepted_by_go: int = 0


def differences(reader: Path, inputs: Iterable[bytes], tally: Tally) -> Iterator[str]:
    """Yield a description of each input that we accept and Go does not read as we do."""
    batch: list[bytes] = []
    for data in inputs:
        batch.append(data)
        if len(batch) == BATCH:
            yield from _compare(reader, batch, tally)
            batch = []
    yield from _compare(reader, batch, tally)


def _compare(reader: Path, batch: list[bytes], tally: Tally) -> Iterator[str]:
    framed = b"".join(struct.pack(">I", len(data)) + data for data in batch)
    said = subprocess.run([reader], input=framed, capture_output=True, check=True).stdout
    for data, line in zip(batch, said.splitlines(), strict=True):
        theirs = json.loads(line)
        tally.inputs += 1
        tally.accepted_by_go += not theirs["error"]
        try:
            ours = _ours(data)
        except ValueError:
            continue
        tally.accepted += 1
        difference = _difference(ours, theirs)
        if difference:
            yield f"{difference} in\n{data.decode(errors='replace')}"


def _ours(data: bytes) -> dict[str, Any]:
    content = parse(data)
    return {
        "error": "",
        "rest": 0,
        "commonName": content.common_name,
        "organizations": [content.organization],
        "dnsNames": list(content.dns_names),
        "addresses": [address.packed.hex() for address in content.addresses],
        "others": 0,
        "fingerprint": content.key_fingerprint,
        "certified": content.key_fingerprint,
    }


def _difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    for field, value in ours.items():
        if value != (theirs[field] or type(value)()):
            return f"{field}: {value!r} here, {theirs[field]!r} ({theirs['error']}) in Go"
    if sorted(theirs["subject"]) != SUBJECT:
        return f"Go sees the subject {theirs['subject']}"
    if theirs["extensions"] not in (None, [SAN]):
        return f"Go sees the extensions {theirs['extensions']}"
    if theirs["key"] == "RSA":
        fit = theirs["keyBits"] in RSA_KEY_BITS
    else:
        fit = f"secp{theirs['keyBits']}r1" in CURVES
    return "" if fit else f"Go sees a key {theirs['key']} of {theirs['keyBits']} bits"
