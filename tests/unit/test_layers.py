"""The borders: which room may import which, and that no module imports itself by way of others."""

import ast
import gc
import re
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Room -> what its modules may import beside the room itself, of ours and of Pulumi's.
ALLOWED = {
    "node_files": set[str](),
    "admission": set[str](),
    "settings": {"admission", "node_files", "pulumi"},
    "credentials": {"admission", "settings", "pulumi"},
    "components": {
        *("admission", "node_files"),
        *("pulumi", "pulumi_command", "pulumi_kubernetes", "pulumi_random"),
    },
    "ssh": {"credentials", "settings", "node_files"},
    "stack": {"admission", "settings", "credentials", "components", "node_files", "ssh", "pulumi"},
    "preview": {"stack", "settings", "credentials", "node_files", "ssh"},
    "command_line": {"preview", "stack", "settings", "admission"},
    "kubelet_tls_bootstrap": {
        *("stack", "settings", "components"),
        *("pulumi", "pulumi_kubernetes"),
    },
    "__main__": {"kubelet_tls_bootstrap", "stack", "pulumi"},
}
ONLY = {
    "pulumi_command": {"components.commands"},
    # The others start it as a program. The table of claims is one for all.
    "admission": {
        *("components.approver_placement", "components.join_approver", "components.rollout"),
        "command_line.status",
        # One reader of kubeconfigs for all.
        "credentials.kubeconfig",
        # One reader of CAs for all.
        "credentials.certificate_authority",
        "settings.claims",
        # What makes a line for a terminal of a text.
        "settings.problem",
        "stack.origins",
        "stack.other_pools",
        # One reader of what `pulumi` prints.
        "stack.file",
        "stack.shared_cluster",
    },
}
ROOMS = tuple(room for room in ALLOWED if room != "__main__")
# The packages whose modules must form no circle; `tests` and `lab` have no rooms.
PACKAGES = (*ROOMS, "lab", "tests")
LONGEST_MODULE = 250  # lines


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = {"__main__": ROOT / "__main__.py"}
    for path in paths:
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def tree(path: Path) -> ast.Module:
    # What is collected meanwhile may parse too, to show a traceback; then CPython 3.11 gives up:
    # https://github.com/python/cpython/issues/106905
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


@cache
def imports(module: str) -> frozenset[str]:
    """The modules that a module imports, in functions and for type checkers too.

    Of ours each is named as a module: `from settings import checks` imports `settings.checks`.
    """
    found: set[str] = set()
    for statement in ast.walk(tree(modules()[module])):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{module}: imports are absolute"
            for alias in statement.names:
                below = f"{statement.module}.{alias.name}"
                found.add(below if below in modules() else str(statement.module))
    return frozenset(found)


def room(module: str) -> str:
    return module.partition(".")[0]


def members(name: str) -> Iterator[str]:
    yield from (module for module in modules() if room(module) == name)


@pytest.mark.parametrize("name", ALLOWED)
def test_a_room_imports_only_what_its_layer_may(name: str) -> None:
    assert list(members(name))
    for module in members(name):
        rooms = {room(imported) for imported in imports(module)}
        ours = {r for r in rooms if r in (*ALLOWED, "lab", "tests") or r.startswith("pulumi")}
        assert ours <= ALLOWED[name] | {name}, module


def circle(graph: Mapping[str, Collection[str]]) -> list[str]:
    """A path from a module back to itself, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle({module: imports(module) & modules().keys() for module in modules()}) == []


def test_a_circle_is_found() -> None:
    assert set(circle({"a": ["b"], "b": ["c"], "c": ["b"]})) == {"b", "c"}
    assert circle({"a": ["b", "c"], "b": ["c"]}) == []


def test_no_module_hides_an_import_from_the_interpreter() -> None:
    hiding = {name for name, path in modules().items() if "if TYPE_CHECKING" in path.read_text()}
    assert hiding - {"tests.unit.test_layers"} == set()


@pytest.mark.parametrize("imported", ONLY)
def test_one_module_alone_knows_a_library(imported: str) -> None:
    found = {
        module
        for module in modules()
        if room(module) in ALLOWED.keys() - {imported}
        and any(room(name) == imported for name in imports(module))
    }
    assert found == ONLY[imported]


def test_a_stack_without_an_approver_does_not_wait_for_what_only_that_needs() -> None:
    program = "import sys; from kubelet_tls_bootstrap import resources; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = run.stdout.split()
    assert "components.node_pool" in found
    assert {"components.serving_approver", "pulumi_kubernetes.apps.v1"} & {*found} == set()


def test_one_module_alone_reads_the_engines_config() -> None:
    # A program hands its own on, and does not have to with the library.
    made = {"__main__", "kubelet_tls_bootstrap.fleet", "settings.parsing"}
    texts = {m: path.read_text() for m, path in modules().items() if room(m) in ALLOWED}
    assert {module for module, text in texts.items() if "pulumi.Config(" in text} == made
    readers = re.compile(r"\bconfig\.(get|require)|\bruntime_config\b")
    assert {module for module, text in texts.items() if readers.search(text)} == {
        "settings.parsing"
    }


def test_no_module_is_too_long_to_read() -> None:
    lines = {
        module: path.read_text().count("\n")
        for module, path in modules().items()
        if room(module) != "tests"
    }
    others = (
        path
        for name in (*ROOMS, "lab")
        for pattern in ("*.sh", "*.go")
        for path in (ROOT / name).rglob(pattern)
    )
    lines |= {str(path): path.read_text().count("\n") for path in others}
    assert {module for module, count in lines.items() if count > LONGEST_MODULE} == set()
