"""Turns what `pulumi preview --json` prints into Markdown for a comment on a pull request."""

import argparse
import sys
from pathlib import Path

from command_line.exit_status import SAME
from preview.report import report

SUMMARY = "turn the output of `pulumi preview --json` into Markdown"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "preview", nargs="?", default="-", help="the file with that output (default: stdin)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    path = arguments.preview
    print(report(sys.stdin.read() if path == "-" else _text(path)), end="")
    return SAME


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        raise ValueError(f'"{path}" cannot be read: {error.strerror}') from None
    except UnicodeDecodeError:
        raise ValueError(f'"{path}" is not a text file') from None
