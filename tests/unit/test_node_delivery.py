"""What is brought to a machine is installed, joined with and removed, by each shell there is."""

import hashlib
import subprocess
from pathlib import Path

import pytest

import node_files
from tests.unit.node_machine import SHELLS, Machine, cluster, with_shell
from tests.unit.test_node_scripts import CERTIFICATES, SERVING, ok

TOKEN = ("abcdef", "0123456789abcdef")


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return with_shell(tmp_path, request.param)


def text_for(machine: Machine, **changes: object) -> str:
    return machine.faked(node_files.bundle(cluster(), machine.node(**changes)))  # type: ignore[arg-type]


def bring(
    machine: Machine, *, join: str = "", **changes: object
) -> subprocess.CompletedProcess[str]:
    node = machine.node(**changes)  # type: ignore[arg-type]
    delivery = node_files.bring(node, text_for(machine, **changes), join)
    return machine.run(delivery.command, delivery.stdin)


def install(machine: Machine, **changes: object) -> subprocess.CompletedProcess[str]:
    node = machine.node(**changes)  # type: ignore[arg-type]
    digest = hashlib.sha256(text_for(machine, **changes).encode()).hexdigest()
    own = node_files.known(cluster(), node).partition("\n")[2]
    return machine.run(node_files.install(node), f"bundle {digest}\n{own}")


def remove(machine: Machine, **changes: object) -> subprocess.CompletedProcess[str]:
    node = machine.node(**changes)  # type: ignore[arg-type]
    return machine.run(node_files.remove(node), node_files.known(cluster(), node))


def brought(machine: Machine) -> dict[str, int]:
    """The modes of what is below the state directory, by name."""
    return {p.name: p.stat().st_mode & 0o777 for p in machine.path("lib/state").iterdir()}


def test_what_was_brought_is_installed_and_removed(machine: Machine) -> None:
    assert bring(machine).returncode == 0
    assert brought(machine) == {"brought": 0o600}
    assert ok(install(machine))["changed"] != []
    assert brought(machine) == {"bundle": 0o600, "lock": 0o600, "manifest": 0o600}
    assert machine.path("lib/kubelet/config.yaml").exists()
    bring(machine)
    assert ok(install(machine))["changed"] == []
    assert ok(remove(machine))["removed"] != []
    assert not machine.path("lib/state").exists()
    assert not machine.path("lib/kubelet/config.yaml").exists()


def test_a_machine_on_which_nothing_was_installed_needs_no_removal(machine: Machine) -> None:
    assert remove(machine).returncode == 0
    bring(machine)
    assert remove(machine).returncode == 0
    assert not machine.path("lib/kubelet/config.yaml").exists()


def test_only_what_the_stack_knows_is_installed(machine: Machine) -> None:
    bring(machine, repair=1)
    done = install(machine)
    assert done.returncode == 1
    assert "lib/state/brought is not what the stack has; run pulumi up again" in done.stderr
    assert not machine.path("lib/kubelet/config.yaml").exists()


def test_a_connection_that_ends_early_brings_nothing(machine: Machine) -> None:
    bring(machine)
    before = machine.path("lib/state/brought").read_text()
    delivery = node_files.bring(machine.node(), text_for(machine, repair=1))
    done = machine.run(delivery.command, delivery.stdin[:-1])
    assert done.returncode == 1
    assert done.stderr == "error: the connection ended early, nothing was changed; run again\n"
    assert machine.path("lib/state/brought").read_text() == before
    assert brought(machine) == {"brought": 0o600}


def test_a_machine_that_refuses_another_nodes_bundle_can_still_be_cleaned_up(
    machine: Machine,
) -> None:
    bring(machine)
    ok(install(machine))
    bring(machine, name="node-9", join="token\n")
    done = install(machine, name="node-9")
    assert "this machine is the node node-1; to make it node-9" in done.stderr
    # Nothing of it stays, the token least of all.
    assert brought(machine).keys() == {"bundle", "lock", "manifest"}
    assert ok(remove(machine))["removed"] != []


def test_a_removal_leaves_another_nodes_machine_alone(machine: Machine) -> None:
    bring(machine)
    ok(install(machine))
    said = ok(remove(machine, name="node-9"))
    assert said["removed"] == []
    assert "another node now" in str(said["notes"])
    assert machine.path("lib/kubelet/config.yaml").exists()


def test_a_bundle_that_somebody_deleted_is_missed_and_can_be_brought_back(
    machine: Machine,
) -> None:
    bring(machine)
    ok(install(machine))
    machine.path("lib/state/bundle").unlink()
    done = remove(machine)
    assert done.returncode == 1
    assert (
        "lib/state/bundle is gone; put node-1 back, raise its repair, run pulumi up" in done.stderr
    )
    assert machine.path("lib/kubelet/config.yaml").exists()
    bring(machine, repair=1)
    ok(install(machine, repair=1))
    assert ok(remove(machine))["removed"] != []


def test_the_token_comes_with_a_bundle_and_goes_with_the_join(machine: Machine) -> None:
    node = machine.node()
    text = node_files.join_bundle(cluster(), node, *TOKEN, limit_s=1)
    bring(machine, join=text)
    assert brought(machine) == {"brought": 0o600, "brought-join": 0o600}
    ok(install(machine))
    bring(machine, join=text)  # as where a join runs without its files
    machine.path("fake/on-start").write_text(CERTIFICATES + SERVING)
    assert ok(machine.run(node_files.join(node), "")) == {"joined": True}
    assert brought(machine) == {"bundle": 0o600, "lock": 0o600, "manifest": 0o600}
    again = machine.run(node_files.join(node), "")
    assert again.returncode != 0
    for path in machine.root.rglob("*"):
        assert not path.is_file() or ".".join(TOKEN).encode() not in path.read_bytes()
