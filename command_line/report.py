"""Turns what `pulumi preview --json` prints into Markdown for a comment on a pull request.

With --json it also writes what happens to which node as JSON, for policy checks.
"""

import argparse
import json
import sys
from pathlib import Path

from command_line.exit_status import SAME
from preview.document import document
from preview.report import report

SUMMARY = "turn the output of `pulumi preview --json` into Markdown"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "preview", nargs="?", default="-", help="the file with that output (default: stdin)"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="also write the report as JSON to this file; -: print that instead of Markdown",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    path, target = arguments.preview, arguments.json
    text = sys.stdin.read() if path == "-" else _text(path)
    for_machines = json.dumps(document(text), indent=2) + "\n" if target else ""
    if target == "-":
        print(for_machines, end="")
        return SAME
    if target:
        _write(target, for_machines)
    print(report(text), end="")
    return SAME


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text)
    except OSError as error:
        raise ValueError(f'"{path}" cannot be written: {error.strerror}') from None


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        raise ValueError(f'"{path}" cannot be read: {error.strerror}') from None
    except UnicodeDecodeError:
        raise ValueError(f'"{path}" is not a text file') from None
