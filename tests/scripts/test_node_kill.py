"""The script is killed at every step: no half file is left, and the next run makes up for it."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import node_files
from tests.scripts import killer
from tests.unit.node_machine import JOIN, Machine, cluster
from tests.unit.test_node_scripts import CERTIFICATES, FILES, SERVING

STEPS = 1000  # more than any script has
Done = subprocess.CompletedProcess[str]
File = tuple[str, str]  # its mode and content
# What a run may change on the machine of fakes.
CHANGED = ("etc", "lib", "srv", "systemd", "fake/active", "fake/loaded")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path, ("dash",))
    (tmp_path / "systemd").mkdir()
    killer.write_programs(tmp_path / "fake/kill")
    return made


def changed(machine: Machine) -> dict[str, Any]:
    """Settings that change a file, move another, and give the data directory to a user."""
    paths = {"user": "daemon", "arguments": f"{machine.root}/etc/default/kubelet"}
    return {"kubelet": {"maxPods": 50}, "paths": paths}


def written(machine: Machine) -> dict[str, File]:
    """Each file that is not only the script's own business."""
    return {
        name: (mode, machine.path(name).read_text())
        for name, mode in machine.files().items()
        if not name.startswith("lib/state/")
    }


def snapshot(machine: Machine) -> frozenset[tuple[object, ...]]:
    """All that the next run finds: it begins by throwing away what was staged."""
    found: set[tuple[object, ...]] = set()
    for top in CHANGED:
        for path in (machine.path(top), *machine.path(top).rglob("*")):
            if path.exists() and not path.is_relative_to(machine.path("lib/state/stage")):
                stat = path.stat()
                content = path.read_bytes() if path.is_file() else b""
                found.add((str(path), stat.st_mode, stat.st_uid, content))
    return frozenset(found)


def killed_at_each_step(machine: Machine, run: Callable[[], Done]) -> Iterator[int]:
    """Run again and again from the same start, killed a step later each time, until it ends.

    Yields whenever a step is the first that leaves the machine as it is then.
    """
    start = machine.path("fake/start")
    start.mkdir()
    for name in CHANGED:
        restore(machine.path(name), start / name.replace("/", "_"))
    path = machine.env["PATH"]
    seen: set[object] = set()
    for at in range(1, STEPS):
        killer.arm(machine.root / "fake/kill", at)
        machine.env["PATH"] = f"{machine.root}/fake/kill:{path}"
        done = run()
        machine.env["PATH"] = path
        if done.returncode == 0:
            print(f"killed at {at - 1} steps, which left {len(seen)} states")
            assert len(seen) > 3
            return
        assert done.returncode == 137, done.stderr
        found = snapshot(machine)
        if found not in seen:
            seen.add(found)
            yield at
        for name in CHANGED:
            restore(start / name.replace("/", "_"), machine.path(name))
    raise AssertionError("the script does not end")


def restore(saved: Path, path: Path) -> None:
    subprocess.run(["rm", "-rf", str(path)], check=True)
    if saved.exists():
        subprocess.run(["cp", "-a", str(saved), str(path)], check=True)


def ok(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def no_half_files(machine: Machine, *whole: dict[str, File]) -> None:
    for name, found in written(machine).items():
        if not name.endswith(".kubelet-tls-bootstrap"):
            assert found in [files[name] for files in whole if name in files], name


def test_a_first_install_that_is_killed_is_made_up_for(machine: Machine) -> None:
    ok(machine.install())
    new = written(machine)
    ok(machine.remove())
    for _ in killed_at_each_step(machine, machine.install):
        no_half_files(machine, new)
        assert ok(machine.install())["repaired"] == []
        assert machine.files() == FILES
        assert written(machine) == new


def test_a_change_that_is_killed_leaves_each_file_old_or_new(machine: Machine) -> None:
    settings = changed(machine)
    ok(machine.install(**settings))
    new = written(machine)
    ok(machine.remove(**settings))
    ok(machine.install())
    old = written(machine)
    assert old != new
    machine.path("fake/active").touch()
    machine.path("fake/loaded").write_text(old["lib/kubelet/config.yaml"][1])
    for at in killed_at_each_step(machine, lambda: machine.install(**settings)):
        no_half_files(machine, old, new)
        # The settings may be the old ones again by the next run.
        whole, user, after = (old, "root", {}) if at % 2 else (new, "daemon", settings)
        assert ok(machine.install(**after))["repaired"] == []
        assert written(machine) == whole
        assert machine.path("lib/kubelet").owner() == user
        # The kubelet has read these files, whichever of the two runs has restarted it.
        assert machine.path("fake/loaded").read_text() == whole["lib/kubelet/config.yaml"][1]
        left = {path.name for path in machine.path("lib/state").iterdir()}
        # Killed before it changed anything, the old settings ask for no restart.
        assert left - {"restarted"} == {"lock", "manifest"}


def test_a_change_of_paths_that_is_killed_loses_no_certificate(machine: Machine) -> None:
    paths = {
        "kubeconfig": f"{machine.root}/srv/kubelet.conf",
        "certificates": f"{machine.root}/srv/pki",
    }
    openssl = machine.path("fake/bin/openssl")
    openssl.write_text("#!/bin/sh\n")  # the certificate is the cluster's
    openssl.chmod(0o755)
    ok(machine.install())
    machine.joins()
    machine.path("fake/active").touch()
    for _ in killed_at_each_step(machine, lambda: machine.install(paths=paths)):
        ok(machine.install(paths=paths))
        for use in ("client", "server"):
            current = machine.path(f"srv/pki/kubelet-{use}-current.pem")
            assert current.read_text() == f"{use} certificate and key\n"
        assert f"{machine.root}/srv/pki" in machine.path("srv/kubelet.conf").read_text()
        assert sorted(path.name for path in machine.path("srv/pki").iterdir()) == [
            f"kubelet-{use}-{end}.pem"
            for use in ("client", "server")
            for end in ("2026-01-01-00-00-00", "current")
        ]
        assert not machine.path("etc/kubelet.conf").exists()
        assert not list(machine.path("lib/kubelet/pki").iterdir())


def test_a_removal_that_is_killed_is_made_up_for(machine: Machine) -> None:
    ok(machine.install())
    machine.path("fake/active").touch()
    machine.path("etc/kubelet.conf").write_text("made by the kubelet\n")
    whole = written(machine)
    for _ in killed_at_each_step(machine, machine.remove):
        no_half_files(machine, whole)
        ok(machine.remove())
        assert machine.files() == {}
        assert not machine.path("etc").exists()
        assert [path.name for path in machine.path("lib").iterdir()] == []


def test_a_killed_join_leaves_no_token_once_the_node_is_removed(machine: Machine) -> None:
    ok(machine.install())
    machine.path("fake/on-start").write_text(CERTIFICATES + SERVING)
    bundle = node_files.join_bundle(cluster(), machine.node(), "abcdef", "0123456789abcdef")
    for _ in killed_at_each_step(machine, lambda: machine.run(JOIN, bundle)):
        ok(machine.remove())
        assert machine.files() == {}
