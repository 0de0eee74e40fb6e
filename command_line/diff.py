"""Compares the files of nodes with those on their hosts; it changes nothing.

Exit status: 0 no differences, 1 something differs, 2 a problem, such as a host that does not
answer.
"""

import argparse
import asyncio

from command_line.project import add_stack_arguments, read_stack
from command_line.terminal import say
from preview.drift import drift, tell

SUMMARY = "compare the files of nodes with those on their hosts"
DEFAULT_PARALLEL = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_stack_arguments(parser)
    parser.add_argument(
        "--node", action="append", default=[], help="only this node; may be repeated"
    )
    parser.add_argument(
        "--parallel",
        type=_count,
        default=DEFAULT_PARALLEL,
        help="how many hosts at a time (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what differs on the hosts of the nodes."""
    stack = read_stack(arguments)
    nodes = stack.nodes(arguments.node)
    return tell(asyncio.run(drift(stack, nodes, parallel=arguments.parallel)), say)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from 1')
    return int(text)
