"""The real engine on a small program."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.layout import Layout
from lab.toolchain import find
from tests.contract import driver

LANGUAGE_HOST = "pulumi-language-python"
STACK = "dev"
PROJECT = "tiny"
LIMIT_S = 300


def pulumi() -> Path:
    """Return the engine's program.

    Raises:
        FileNotFoundError: it is neither on PATH nor in the lab's cache.
    """
    toolchain = find(Layout.find().cache)
    places = os.pathsep.join(map(str, toolchain.path)) if toolchain else ""
    found = shutil.which("pulumi") or shutil.which("pulumi", path=places)
    if found is None:
        raise FileNotFoundError(
            "pulumi: neither on PATH nor in the lab's cache; `python -m lab toolchain` builds it"
        )
    return Path(found)


@dataclass(frozen=True)
class Done:
    """An ended command."""

    status: int
    said: str


@dataclass(frozen=True)
class Stack:
    """A project with one stack, in a directory of its own.

    Attributes:
        plugins: what its program needs besides the language host.
    """

    directory: Path
    plugins: tuple[str, ...] = ()

    @property
    def project(self) -> Path:
        return self.directory / "project"

    def write(self, program: str, **settings: Any) -> None:
        """Write the program and the project's settings."""
        self.project.mkdir(exist_ok=True)
        project = {"name": PROJECT, "runtime": "python"} | settings
        (self.project / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        (self.project / "__main__.py").write_text(program)

    def write_in_this_environment(self, program: str) -> None:
        """Write a program that runs with the packages of the tests."""
        self.project.mkdir()
        (self.project / "venv").symlink_to(sys.prefix)
        self.write(program, runtime={"name": "python", "options": {"virtualenv": "venv"}})

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        """Start `pulumi` with the plugins under test."""
        command = [pulumi(), "--non-interactive", "--color=never", *arguments]
        (self.directory / "state").mkdir(exist_ok=True)
        plugins = [str(driver.plugin(name).parent) for name in (LANGUAGE_HOST, *self.plugins)]
        environment = driver.environment(
            PATH=os.pathsep.join([*plugins, os.environ["PATH"]]),
            PULUMI_HOME=str(self.directory / "home"),
            PULUMI_BACKEND_URL=f"file://{self.directory}/state",
            PULUMI_SKIP_UPDATE_CHECK="true",
            PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION="true",
            **{"PULUMI_CONFIG_PASSPHRASE": "test", **variables},
        )
        return subprocess.Popen(
            command,
            cwd=self.project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> Done:
        """Run `pulumi` to its end."""
        process = self.start(*arguments, **variables)
        try:
            said, _ = process.communicate(timeout=LIMIT_S)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        return Done(process.returncode, said)

    def select(self) -> None:
        """Make the stack."""
        done = self.run("stack", "init", STACK)
        assert done.status == 0, done.said

    def up(self, **variables: str) -> Done:
        """Run `pulumi up` without a preview."""
        return self.run("up", "--yes", "--skip-preview", "--stack", STACK, **variables)

    def outputs(self, *arguments: str) -> dict[str, Any]:
        """Return what the program exported."""
        done = self.run("stack", "output", "--json", "--stack", STACK, *arguments)
        assert done.status == 0, done.said
        return dict(json.loads(done.said))
