"""Prints each directory and each whole file that nodes get, with mode and owner."""

import argparse

from command_line.exit_status import SAME
from command_line.project import add_stack_arguments, read_stack
from command_line.terminal import say
from preview.render import render

SUMMARY = "print what a node gets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_stack_arguments(parser)
    parser.add_argument(
        "--node", action="append", required=True, help="the node's name; may be repeated"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the files of the nodes."""
    stack = read_stack(arguments)
    for problem in stack.unknown:
        say(f"note: {stack.origins.told(problem)}; what is printed has a placeholder")
    print("\n".join(render(stack, entry) for entry in stack.nodes(arguments.node)), end="")
    return SAME
