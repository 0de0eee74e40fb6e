"""The options that name a stack, and the project's directory that its settings belong to.

The directory is the nearest one above the current one with a Pulumi.yaml, as it is for `pulumi`,
or else the program's own. Paths in settings are relative to it.
"""

import argparse
import os
from pathlib import Path

from stack import file
from stack.file import PROJECT_FILE, StackFile

PROGRAM = Path(__file__).resolve().parents[1]
DEFAULT_STACK = "dev"


def add_stack_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a stack."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--stack", default=DEFAULT_STACK, help="the stack (default: %(default)s)")
    source.add_argument("--settings", type=Path, help="or its file, such as Pulumi.dev.yaml")


def read_stack(arguments: argparse.Namespace) -> StackFile:
    """Return the stack that the options name, with its project's directory as the current one.

    Raises:
        SettingsError, ValueError: as `stack.file.read`.
    """
    given: Path | None = arguments.settings
    path = given.resolve() if given else project() / f"Pulumi.{arguments.stack}.yaml"
    if path.parent.is_dir():
        os.chdir(path.parent)
    return file.read(path)


def project() -> Path:
    """Return the project's directory."""
    here = Path.cwd()
    return next((d for d in (here, *here.parents) if (d / PROJECT_FILE).exists()), PROGRAM)
