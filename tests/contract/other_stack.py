"""Another project's stack, whose outputs a stack under test reads."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.contract.engine import Stack

INFRA = "organization/machines/infra"
PROGRAM = """
import json
from pathlib import Path
import pulumi

outputs = json.loads(Path("outputs.json").read_text())
for name, value in outputs["plain"].items():
    pulumi.export(name, value)
for name, value in outputs["secret"].items():
    pulumi.export(name, pulumi.Output.secret(value))
for name, (value, key) in outputs["nested"].items():
    pulumi.export(name, {**value, key: pulumi.Output.secret(value[key])})
"""


class OtherStack(Stack):
    """Beside a stack under test, in the same backend."""

    @property
    def project(self) -> Path:
        return self.directory / "machines"

    def export(
        self,
        plain: dict[str, Any] | None = None,
        secret: dict[str, Any] | None = None,
        nested: dict[str, Any] | None = None,
        **variables: str,
    ) -> None:
        """Let it export these; of `nested` each is an object and the key whose value is secret."""
        if not self.project.exists():
            self.project.mkdir()
            runtime = {"name": "python", "options": {"virtualenv": str(Path(sys.prefix))}}
            project = {"name": "machines", "runtime": runtime}
            (self.project / "Pulumi.yaml").write_text(yaml.safe_dump(project))
            (self.project / "__main__.py").write_text(PROGRAM)
            assert self.run("stack", "init", "infra", **variables).status == 0
        outputs = {"plain": plain or {}, "secret": secret or {}, "nested": nested or {}}
        (self.project / "outputs.json").write_text(json.dumps(outputs))
        done = self.run("up", "--yes", "--skip-preview", "--stack", "infra", **variables)
        assert done.status == 0, done.said
