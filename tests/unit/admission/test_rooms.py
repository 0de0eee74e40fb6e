"""Which room of `admission` may import which, module by module, and no circle of imports."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "admission"
# Room -> the rooms that its modules may import beside their own. What stands beside the rooms is
# named by its module.
ALLOWED = {
    "panic": set[str](),
    "private_file": set[str](),
    "claims": set[str](),
    "inventory": {"claims"},
    "pool_inventory": {"claims", "inventory"},
    "rules": {"claims", "inventory", "panic"},
    "objects": {"rules"},
    "api_server": {"panic", "private_file"},
    "serving_certificate": {"inventory", "panic"},
    "delegate": {"inventory", "rules"},
    "judge": {"delegate", "rules", "objects", "api_server"},
    "terminal": set[str](),
    "process": {"api_server", "terminal"},
    "program": set[str](),
    "drain_settings": set[str](),
    "turns": set[str](),
    "outputs": {"program"},
    "settings_file": {"drain_settings"},
    "program_settings": {"turns"},
    "stack_settings": {
        *("api_server", "outputs", "pool_inventory", "private_file", "program"),
        "program_settings",
        *("settings_file", "drain_settings", "turns"),
    },
    "authorities": set[str](),
    "machines_ca": {"authorities", "outputs", "settings_file"},
    "cluster_look": {"api_server", "pool_inventory", "process", "terminal"},
    "remaining_pods": {"api_server", "drain_settings"},
    "drain": {
        *("api_server", "objects", "program"),
        *("drain_settings", "remaining_pods", "turns"),
    },
    "owner": {"api_server", "pool_inventory"},
    "leave": {"api_server", "objects", "drain", "owner", "stack_settings"},
    "gate": {
        *("inventory", "rules", "objects", "api_server"),
        *("serving_certificate", "delegate", "judge", "stack_settings", "terminal"),
    },
    "approving": {"api_server", "gate", "objects", "process", "terminal"},
    "proving": {"api_server", "gate", "objects", "process", "terminal"},
    "release": {"api_server", "stack_settings"},
    "placement": {"api_server", "process", "stack_settings", "terminal"},
    "token_end": {"api_server", "gate", "objects", "stack_settings"},
    "approver": {"pool_inventory", "rules", "objects", "api_server", "delegate", "judge"},
    "status": {
        *("inventory", "pool_inventory", "rules", "objects", "api_server"),
        *("panic", "serving_certificate", "terminal"),
    },
}
ENTRY = "admission.__main__"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imports(name: str) -> set[str]:
    """The modules of `admission` that a module imports, anywhere in it."""
    found: set[str] = set()
    for statement in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{name}: imports are absolute"
            source = str(statement.module)
            for alias in statement.names:
                submodule = f"{source}.{alias.name}"
                found.add(submodule if submodule in MODULES else source)
        elif isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
    return {module for module in found if module.partition(".")[0] == "admission"}


def room(name: str) -> str:
    return name.split(".")[1]


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {ENTRY, "admission"}))
def test_a_module_imports_only_what_its_room_may(name: str) -> None:
    others = {room(imported) for imported in imports(name)} - {room(name)}
    assert others <= ALLOWED[room(name)]


def test_each_room_needs_all_that_it_may_import() -> None:
    for name, allowed in ALLOWED.items():
        used = {room(i) for m in MODULES if m.startswith(f"admission.{name}") for i in imports(m)}
        assert allowed <= used, name


def test_each_import_is_of_a_module_that_exists() -> None:
    for name in MODULES:
        assert imports(name) <= MODULES.keys(), name


def test_no_imports_go_in_a_circle() -> None:
    TopologicalSorter({name: imports(name) for name in MODULES}).prepare()  # raises CycleError


def test_no_module_hides_an_import_from_the_interpreter() -> None:
    for name, path in MODULES.items():
        assert "TYPE_CHECKING" not in path.read_text(), name


def test_no_module_is_longer_than_250_lines() -> None:
    for name, path in MODULES.items():
        assert len(path.read_text().splitlines()) <= 250, name
