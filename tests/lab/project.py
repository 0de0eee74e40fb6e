"""A copy of the project with a lab of its own, for tests and benchmarks on real machines.

They work on a copy so that a checkout's own lab directory, stack and settings are never touched.
Two labs can't run on one machine: where one of the checkout's runs, the lab says so, and its words
are the error.
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from components.bootstrap_token import derive
from tests.lab.command_lines import CommandLines

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass
class Project:
    """The copied project, the programs that a user runs in it, and all that they printed."""

    directory: Path
    env: dict[str, str] = field(default_factory=dict)
    transcript: list[str] = field(default_factory=list)
    token_secrets: set[str] = field(default_factory=set)
    command_lines: CommandLines = field(default_factory=CommandLines)

    def run(
        self, *command: str, stdin: str | None = None, check: bool = True, timeout_s: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project and keep what it printed for the search for secrets."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env={**os.environ, **self.env},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        self.transcript.append(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}")
        if check and done.returncode != 0:
            raise AssertionError(f"ended with {done.returncode}: {self.transcript[-1]}")
        return done

    def lab(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(".venv/bin/python", "-m", "lab", *args, check=check, timeout_s=3000)

    def pulumi(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("pulumi", *args, "--non-interactive", check=check)

    def up(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = self.pulumi("up", "--yes", "--skip-preview", *options, check=check)
        self.remember_token_secrets()
        return done

    def remember_token_secrets(self) -> None:
        """Keep what no command may have printed: tokens, and what they were made from."""
        seeds = {
            json.loads(resource["outputs"]["result"]["plaintext"])
            for resource in self.state()
            if resource["type"] == "random:index/randomPassword:RandomPassword"
        }
        self.token_secrets |= self.live_token_secrets() | seeds

    def live_token_secrets(self) -> set[str]:
        """The secret half of each token in the state; a refresh takes those of dead ones.

        That of a node's token is in no state: it follows from the seed, as its public half does.
        """
        resources = {r["urn"].rpartition("::")[2]: r for r in self.state()}
        halves = set()
        for name, resource in resources.items():
            if resource["type"] != "kubernetes:core/v1:Secret":
                continue
            inputs = resource["inputs"]
            if "data" in inputs:
                content = json.loads(inputs["data"]["plaintext"])
                halves.add(base64.b64decode(content.get("token-secret", "")).decode())
                continue
            pool = inputs["metadata"]["labels"]["kubelet-tls-bootstrap/pool"]
            seed = resources[f"{pool}-token-seed"]["outputs"]["result"]["plaintext"]
            token_id, half = derive(json.loads(seed), name.removesuffix("-token"))
            if inputs["metadata"]["name"] == f"bootstrap-token-{token_id}":
                halves.add(half)
        return halves - {""}

    def ssh(self, machine: str, command: str, *, check: bool = True) -> str:
        """What the command printed on the machine."""
        return self.lab("ssh", machine, command, check=check).stdout

    def kubectl(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("kubectl", *args, check=check)

    def get(self, *args: str) -> Any:
        """The object that `kubectl get ARGS -o json` prints."""
        return json.loads(self.kubectl("get", *args, "-o", "json").stdout)

    def preview(self) -> dict[str, set[str]]:
        """Each resource that the next `pulumi up` would touch, and what would be done to it."""
        digest = json.loads(self.pulumi("preview", "--json").stdout)
        changes: dict[str, set[str]] = {}
        for step in digest["steps"]:
            if step["op"] not in ("same", "read") and "pulumi:pulumi:Stack" not in step["urn"]:
                changes.setdefault(step["urn"].rsplit("::", 1)[1], set()).add(step["op"])
        return changes

    def state(self) -> list[dict[str, Any]]:
        """Every resource of the stack, secrets in the clear: for the tests' own eyes only."""
        exported = subprocess.run(
            ["pulumi", "stack", "export", "--show-secrets"],
            cwd=self.directory,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        resources: list[dict[str, Any]] = json.loads(exported)["deployment"].get("resources", [])
        return resources

    def settings_of_kubeconfig(self) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.safe_load((self.directory / ".lab/kubeconfig").read_text())
        return loaded

    def settings(self) -> dict[str, Any]:
        """The stack's settings, as `Pulumi.dev.yaml` holds them."""
        loaded: dict[str, Any] = yaml.safe_load((self.directory / "Pulumi.dev.yaml").read_text())
        return loaded

    def state_resources(self) -> list[str]:
        """The names of the resources in the stack's state, without the stack itself."""
        urns = [resource["urn"] for resource in self.state()]
        return [u.rsplit("::", 1)[1] for u in urns if "::pulumi:" not in u]

    def write_yaml(self, path: str, content: object) -> None:
        """Write a file of the project that only its owner may read."""
        target = self.directory / path
        target.touch(mode=0o600)
        target.write_text(yaml.safe_dump(content, sort_keys=False))

    def write_settings(self, settings: dict[str, Any]) -> None:
        (self.directory / "Pulumi.dev.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))


def change_pool(settings: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Give the settings' pool `workers` these values; None removes one."""
    pool = settings["config"]["kubelet-tls-bootstrap:pools"]["workers"]
    for key, value in values.items():
        if value is None:
            pool.pop(key, None)
        else:
            pool[key] = value


def copy_checkout(target: Path) -> None:
    """Copy what git tracks or would track, and link the checkout's virtual environment."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = CHECKOUT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    for environment in (".venv", ".venv-bench"):
        (target / environment).symlink_to(CHECKOUT / environment)


def lab_environment(project: Project) -> dict[str, str]:
    """What `eval "$(python -m lab env)"` sets, read by a shell as a user's would."""
    exports = project.lab("env").stdout
    printed = subprocess.run(
        ["sh", "-c", f"set -e\n{exports}\nenv -0"], capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split("=", 1) for line in printed.split("\0") if line)


@contextlib.contextmanager
def running_project() -> Iterator[Project]:
    """A project whose lab is up with two machines that have not joined; both are gone after."""
    with contextlib.ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="kubelet-tls-bootstrap-", dir="/var/tmp"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        copy_checkout(directory)
        project = Project(directory)
        stack.callback(project.lab, "down", "--disks", check=False)
        stack.enter_context(project.command_lines)
        project.lab("up")
        project.env = lab_environment(project)
        project.pulumi("stack", "select", "--create", "dev")
        yield project
