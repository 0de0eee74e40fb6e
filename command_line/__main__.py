"""The command line, `./ktb`: it runs a command and turns errors into one line each."""

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from command_line import diff, render, report, status
from command_line.exit_status import ERROR
from command_line.terminal import say
from settings.problem import SettingsError

COMMANDS: dict[str, ModuleType] = {
    "render": render,
    "diff": diff,
    "report": report,
    "status": status,
}


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        say(f"{self.prog}: {message}; see {self.prog} --help")
        sys.exit(ERROR)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(COMMANDS[parsed.command].run(parsed))
    except (ValueError, OSError, SettingsError) as error:
        say(f"error: {error}")
        return ERROR
    except KeyboardInterrupt:
        say("error: interrupted")
        return ERROR


def _parser() -> Parser:
    parser = Parser(
        prog="ktb", description="Shows what kubelet-tls-bootstrap will do and has done."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.SUMMARY, description=module.__doc__)
        module.add_arguments(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
