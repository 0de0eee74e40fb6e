"""Which package may import which: the borders between the layers."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("admission", "components", "lab", "node_files", "preview", "tests")
# Package -> what its modules may import beside themselves, of ours and of Pulumi's.
ALLOWED = {
    "node_files": set[str](),
    "admission": set[str](),
    "components": {"node_files", "pulumi", "pulumi_command", "pulumi_kubernetes", "pulumi_random"},
    "preview": {"node_files", "components", "pulumi"},
}
# The command line's entry has the name that people look for, and only hands over.
EXCEPTIONS = {"node_files/__main__.py": {"preview"}}
ONLY = {
    "pulumi_command": {
        "components/commands.py",
    },
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The top-level packages of ours and of Pulumi's that a module imports, anywhere in it."""
    found: set[str] = set()
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{path}: imports are absolute"
            found.add(str(statement.module).partition(".")[0])
    return {name for name in found if name in OURS or name.startswith("pulumi")}


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_its_layer_may(package: str) -> None:
    assert modules(package)
    for path in modules(package):
        name = str(path.relative_to(ROOT))
        allowed = ALLOWED[package] | {package} | EXCEPTIONS.get(name, set())
        assert imports(path) <= allowed, name


@pytest.mark.parametrize("imported", ONLY)
def test_one_module_alone_knows_a_library(imported: str) -> None:
    found = {
        str(path.relative_to(ROOT))
        for package in ALLOWED
        for path in modules(package)
        if imported in imports(path)
    }
    assert found == ONLY[imported]


def test_the_program_does_not_need_what_shows_changes() -> None:
    assert "preview" not in imports(ROOT / "__main__.py")


def test_one_module_alone_reads_the_engines_config() -> None:
    users = {
        str(path.relative_to(ROOT))
        for package in ALLOWED
        for path in modules(package)
        if "pulumi.Config(" in path.read_text()
    }
    # components/settings.py gets its Config handed in; here it is made of a file's text.
    assert users == {"preview/stack.py"}
