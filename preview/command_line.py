"""The commands `render`, `diff` and `report` of `python -m node_files`."""

import argparse
import asyncio
import sys
from pathlib import Path

from preview import drift
from preview.render import render
from preview.report import report
from settings.problem import SettingsError
from stack import file as stack_file

SAME, DIFFERENT, TROUBLE = 0, 1, 2  # the exit status, as of diff(1)
DEFAULT_STACK = "dev"
DEFAULT_PARALLEL = 16


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        if parsed.command == "report":
            return _report(parsed.preview)
        return _render(parsed) if parsed.command == "render" else _diff(parsed)
    except (ValueError, OSError, SettingsError) as error:
        say(f"error: {error}")
        return TROUBLE


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m node_files", description="What a person sees before and after a change."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    of_stack = argparse.ArgumentParser(add_help=False)
    source = of_stack.add_mutually_exclusive_group()
    source.add_argument("--stack", default=DEFAULT_STACK, help="the stack (default: %(default)s)")
    source.add_argument("--settings", type=Path, help="or its file, such as Pulumi.dev.yaml")
    render = commands.add_parser("render", parents=[of_stack], help="print what a node gets")
    render.add_argument("--node", action="append", required=True, help="its name; may be repeated")
    diff = commands.add_parser(
        "diff",
        parents=[of_stack],
        help="compare with what is on the hosts",
        description="Exit status: 0 all the same, 1 something differs, 2 trouble.",
    )
    diff.add_argument("--node", action="append", default=[], help="only this one; may be repeated")
    diff.add_argument("--parallel", type=int, default=DEFAULT_PARALLEL, help="hosts at a time")
    report = commands.add_parser("report", help="make Markdown of `pulumi preview --json`")
    report.add_argument("preview", nargs="?", default="-", help="its file (default: stdin)")
    return parser


def _render(parsed: argparse.Namespace) -> int:
    found = _stack(parsed)
    for problem in found.unknown:
        say(f"note: {problem}; a placeholder stands in its place")
    print("\n".join(render(found, entry) for entry in found.nodes(parsed.node)), end="")
    return SAME


def _diff(parsed: argparse.Namespace) -> int:
    found = _stack(parsed)
    nodes = found.nodes(parsed.node)
    return drift.tell(asyncio.run(drift.drift(found, nodes, parallel=parsed.parallel)), say)


def _report(path: str) -> int:
    text = sys.stdin.read() if path == "-" else Path(path).read_text()
    print(report(text), end="")
    return SAME


def _stack(parsed: argparse.Namespace) -> stack_file.StackFile:
    return stack_file.read(parsed.settings or Path(f"Pulumi.{parsed.stack}.yaml"))
