"""Lines for a terminal: what a node wrote must not look like a line of ours.

Pulumi's engine passes lines on, and reads <{%...%}> in them as a colour: what it does not know
there ends it with a panic, and what follows is lost (sdk/go/common/diag/colors of pulumi).
"""

import sys
from collections.abc import Iterator, Sequence

# Some causes and remedies; a message that a node wrote into its Node can have a megabyte.
LONGEST_LINE = 4000


def say(line: str) -> None:
    """Print a line of progress to stderr."""
    print(visible(line), file=sys.stderr, flush=True)


def visible(line: str) -> str:
    """Return a line without control characters and the engine's colours, and not too long."""
    shown = "".join(c if c.isprintable() else "?" for c in line[:LONGEST_LINE])
    shown = shown.replace("<{", "< {").replace("%}", "% }")
    return f"{shown} ..." if len(line) > LONGEST_LINE else shown


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the rows as lines whose cells stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()
