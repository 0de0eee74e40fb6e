"""What is brought to a machine is installed, joined with and removed, by each shell there is."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

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


def bring(machine: Machine, **changes: object) -> subprocess.CompletedProcess[str]:
    node = machine.node(**changes)  # type: ignore[arg-type]
    delivery = node_files.bring(node, text_for(machine, **changes))
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


def test_what_a_killed_run_has_left_goes_and_that_of_another_run_stays(machine: Machine) -> None:
    bring(machine)
    for process in (os.getpid(), 2**22 + 1):  # the second one can't be
        machine.path(f"lib/state/brought.{process}").touch()
    ok(install(machine))
    assert brought(machine).keys() == {"bundle", "lock", "manifest", f"brought.{os.getpid()}"}


def test_what_an_earlier_release_has_brought_for_a_join_goes(machine: Machine) -> None:
    """It holds a token: what it joined with, and what a killed run had not yet put there."""
    bring(machine)
    for name in ("brought-join", "brought.all", "brought.bundle", "brought.join"):
        machine.path(f"lib/state/{name}").write_text(".".join(TOKEN))
    # The token also goes if what is brought now can't be installed.
    assert install(machine, repair=1).returncode == 1
    assert brought(machine).keys() == {"brought.bundle"}
    bring(machine)
    ok(install(machine))
    assert brought(machine).keys() == {"bundle", "lock", "manifest"}


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
    # What releases before this one have left behind a run that was interrupted.
    machine.path("lib/state/brought-join").write_text(".".join(TOKEN))
    assert remove(machine).returncode == 0
    assert not machine.path("lib/state").exists()
    assert not machine.path("lib/kubelet/config.yaml").exists()


def test_a_removal_fails_where_something_else_is_in_the_directorys_place(machine: Machine) -> None:
    machine.path("lib").mkdir(exist_ok=True)
    machine.path("lib/state").write_text("?")
    done = remove(machine)
    assert done.returncode == 1
    assert "can't enter" in done.stderr
    assert "nothing was removed; make it readable and run again" in done.stderr


def test_a_directory_that_others_may_write_to_is_refused(machine: Machine) -> None:
    """What is brought there runs as root."""
    machine.path("lib/state").mkdir(parents=True)
    machine.path("lib/state").chmod(0o770)
    done = bring(machine)
    assert done.returncode == 1
    assert "others may write in" in done.stderr
    assert "lib/state, nothing was changed; correct its mode" in done.stderr
    assert brought(machine) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(machine: Machine) -> None:
    machine.path("lib/state").mkdir(parents=True)
    os.chown(machine.path("lib/state"), 12345, 12345)
    done = bring(machine)
    assert done.returncode == 1
    assert "belongs to another user, nothing was changed; correct its owner" in done.stderr


def test_two_runs_at_once_mix_nothing(machine: Machine) -> None:
    """The second one brings its bundle while the first one installs: between it and `mv`."""
    bring(machine)
    other = node_files.bring(machine.node(repair=1), text_for(machine, repair=1))
    (machine.root / "other").write_text(other.stdin)
    (machine.root / "bring-other").write_text(f"{other.command} <{machine.root}/other\n")
    systemctl = machine.root / "fake/bin/systemctl"
    body = systemctl.read_text().split("\n", 1)
    systemctl.write_text(f"{body[0]}\n. {machine.root}/bring-other\n{body[1]}")
    ok(install(machine))
    assert machine.path("lib/state/bundle").read_text() == text_for(machine)
    systemctl.write_text("\n".join(body))
    assert machine.path("lib/state/brought").read_text() == text_for(machine, repair=1)
    ok(install(machine, repair=1))
    assert brought(machine).keys() == {"bundle", "lock", "manifest"}


def test_a_machine_without_sha256sum_is_told_what_to_install(machine: Machine) -> None:
    if "busybox" in machine.shell:
        pytest.skip("busybox has it built in")
    bring(machine)
    some = machine.root / "some"
    some.mkdir()
    for directory in os.environ["PATH"].split(":"):
        for program in Path(directory).glob("*"):
            if program.name != "sha256sum" and not (some / program.name).is_symlink():
                (some / program.name).symlink_to(program)
    machine.env["PATH"] = f"{machine.root}/fake/bin:{some}"
    done = install(machine)
    assert done.returncode == 1
    assert "sha256sum is missing, nothing was changed; install coreutils" in done.stderr


def test_only_what_the_stack_knows_is_installed(machine: Machine) -> None:
    bring(machine, repair=1)
    done = install(machine)
    assert done.returncode == 1
    assert (
        "lib/state/brought is not what the stack has, nothing was changed; run pulumi up again"
        in done.stderr
    )
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
    bring(machine, name="node-9")
    done = install(machine, name="node-9")
    assert "this machine is the node node-1; to make it node-9" in done.stderr
    # Nothing of it stays.
    assert brought(machine).keys() == {"bundle", "lock", "manifest"}
    assert ok(remove(machine))["removed"] != []


def test_a_removal_leaves_another_nodes_machine_alone(machine: Machine) -> None:
    bring(machine)
    ok(install(machine))
    said = ok(remove(machine, name="node-9"))
    assert said["removed"] == []
    assert "another node now" in str(said["notes"])
    assert machine.path("lib/kubelet/config.yaml").exists()


@pytest.mark.parametrize("stack", ["o/p/other", ""])
def test_a_removal_leaves_another_stacks_machine_alone(machine: Machine, stack: str) -> None:
    """A state of an earlier release does not say whose it is, but the machine does."""
    bring(machine)
    ok(install(machine))
    said = ok(remove(machine, stack=stack))
    assert said["removed"] == []
    assert "node-1 of the stack o/p/s now" in str(said["notes"])
    assert machine.path("lib/kubelet/config.yaml").exists()
    assert ok(remove(machine))["removed"] != []


def test_a_stack_that_is_added_to_a_list_is_no_change_to_prove(machine: Machine) -> None:
    """So no unit waits for its end, and no files are copied."""
    bring(machine)
    ok(install(machine))
    machine.joins()
    machine.path("fake/active").touch()
    manifest = machine.path("lib/state/manifest")
    listed = manifest.read_text()
    manifest.write_text(listed.replace("stack o/p/s\n", ""))
    machine.path("fake/bin/systemd-run").write_text("#!/bin/sh\nexit 1\n")
    bring(machine)
    assert ok(install(machine))["changed"] == []
    assert manifest.read_text() == listed


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


def test_a_join_leaves_no_token_behind(machine: Machine) -> None:
    bring(machine)
    ok(install(machine))
    machine.path("fake/on-start").write_text(CERTIFICATES + SERVING)
    join = node_files.join(cluster(), machine.node(), *TOKEN, limit_s=1)
    assert ".".join(TOKEN) not in join.command
    assert ok(machine.run(join.command, machine.faked(join.stdin))) == {"joined": True}
    assert brought(machine) == {"bundle": 0o600, "lock": 0o600, "manifest": 0o600}
    for path in machine.root.rglob("*"):
        assert not path.is_file() or ".".join(TOKEN).encode() not in path.read_bytes()


def test_a_join_has_more_time_than_its_script(machine: Machine) -> None:
    join = node_files.join(cluster(), machine.node(), *TOKEN, limit_s=300)
    assert "limit 300\n" in join.stdin
    # It may have to wait for another one.
    assert "timeout -k 10 730 " in join.command
    assert join.limit_s > 730


LABELLED = {"labels": {"tier": "web"}, "taints": ["gpu=yes:NoSchedule", "a:NoExecute"]}


@pytest.mark.parametrize(
    ("before", "after"),
    [({}, LABELLED), (LABELLED, {}), (LABELLED, {"labels": {"tier": "db"}}), ({}, {})],
)
def test_what_a_kubelet_registers_with_does_not_concern_a_running_one(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    def known(values: dict[str, Any], **others: Any) -> str:
        node = node_files.Node(
            name="n1",
            addresses=("10.0.0.1",),
            version="1.37",
            labels=values.get("labels", {}),
            taints=tuple(values.get("taints", ())),
            **others,
        )
        return node_files.known(cluster(), node)

    assert not node_files.concerns_running_kubelet(known(before), known(after))
    assert (known(before) == known(after)) == (before == after)
    for others in ({"kubelet": {"maxPods": 9}}, {"repair": 1}, {"flags": {"v": "4"}}):
        assert node_files.concerns_running_kubelet(known(before), known(after, **others))
