"""What differs on a host: looked at by the real script, told by file and line."""

import base64
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node_files import Paths, files
from node_files.drift import (
    LOOK,
    MOST_TOLD,
    Facts,
    Found,
    differences,
    look_bundle,
    read_facts,
)
from preview.drift import Drift, tell
from tests.unit.node_machine import Machine, cluster


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine whose files are as they should be."""
    (tmp_path / "systemd").mkdir()
    machine = Machine(tmp_path)
    assert machine.install().returncode == 0
    return machine


def look(machine: Machine) -> Facts:
    done = machine.run(LOOK, look_bundle(cluster(), machine.node()))
    assert (done.returncode, done.stderr) == (0, "")
    return read_facts(done.stdout)


def told(machine: Machine) -> list[str]:
    return differences(cluster(), machine.node(), look(machine)).splitlines()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_nothing_is_reported_for_a_host_that_is_as_it_should_be(machine: Machine) -> None:
    assert told(machine) == []


def test_looking_changes_nothing(machine: Machine) -> None:
    before = {path: path.lstat() for path in machine.root.rglob("*")}
    look(machine)
    after = {path: path.lstat() for path in machine.root.rglob("*")}
    assert {p: s.st_mtime_ns for p, s in before.items()} == {
        p: s.st_mtime_ns for p, s in after.items()
    }


def test_a_changed_line_is_named_with_its_file(machine: Machine) -> None:
    path = machine.path("lib/kubelet/config.yaml")
    edit(path, "readOnlyPort: 0", "readOnlyPort: 10255")
    (number,) = (
        n for n, line in enumerate(path.read_text().splitlines(), 1) if "readOnlyPort" in line
    )
    lines = told(machine)
    assert lines[0] == f"node-1: {path} differs at line {number}"
    assert lines[1:3] == [f"--- node-1:{path} on the host", f"+++ node-1:{path} in the settings"]
    assert [line for line in lines[3:] if line[0] in "+-"] == [
        "-readOnlyPort: 10255",
        "+readOnlyPort: 0",
    ]


def test_lines_that_were_added_and_removed_are_named(machine: Machine) -> None:
    path = machine.path("lib/kubelet/config.yaml")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(["# mine\n", *lines[:-1]]))
    assert told(machine)[0] == f"node-1: {path} differs at line 1, {len(lines)}"


def test_a_file_of_many_lines_is_not_compared_line_by_line(machine: Machine) -> None:
    path = machine.path("lib/kubelet/config.yaml")
    wanted = len(path.read_text().splitlines())
    path.write_text("a: b\n" * 30_000)
    began = time.monotonic()
    assert told(machine) == [
        f"node-1: {path} differs: it has 30000 lines on the host, and {wanted} in the settings"
    ]
    assert time.monotonic() - began < 5


def test_of_a_file_only_some_lines_are_told(machine: Machine) -> None:
    path = machine.path("lib/kubelet/config.yaml")
    text = path.read_text()
    path.write_text("".join(f"{line}\n# {n}\n" for n, line in enumerate(text.splitlines() * 40)))
    lines = told(machine)
    assert len(lines) == MOST_TOLD + 2
    assert re.fullmatch(r"node-1: \S+ differs at line (\S+, ){10}\d+ more places", lines[0])
    assert re.fullmatch(r"\.\.\. \d+ more lines", lines[-1])


def test_of_files_that_the_settings_no_longer_have_only_some_are_told(machine: Machine) -> None:
    facts = look(machine)
    many = Facts(found=facts.found, ours=tuple(f"/etc/{n}" for n in range(MOST_TOLD + 7)))
    lines = differences(cluster(), machine.node(), many).splitlines()
    assert (len(lines), lines[-1]) == (MOST_TOLD + 1, "... 7 more lines")


def test_no_control_character_of_a_machine_reaches_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "-\x1b[2J\x1b]0;title\x07 a\rb \u202e\x9b\ttab ü\\x\n+fine\n-" + "x" * 9000 + "\n"
    found = [
        Drift(node="node-1", differences=text),
        Drift(node="node-2", problem="ssh: \x1b[31mno\rroute"),
    ]
    said: list[str] = []
    assert tell(found, said.append) == 2
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == r"-\x1b[2J\x1b]0;title\x07 a\rb \u202e\x9b\ttab ü\x"
    assert second == "+fine"
    assert len(third) < 5000
    assert said[0] == r"node-2: ssh: \x1b[31mno\rroute"


def test_a_missing_last_line_feed_is_reported(machine: Machine) -> None:
    path = machine.path("lib/kubelet/config.yaml")
    path.write_text(path.read_text().removesuffix("\n"))
    assert any("\\ No newline at end of file" in line for line in told(machine))


def test_modes_of_files_and_directories_are_reported(machine: Machine) -> None:
    file, directory = machine.path("etc/kubelet.env"), machine.path("etc/manifests")
    file.chmod(0o644)
    directory.chmod(0o755)
    assert told(machine) == [
        f"node-1: {directory} has the mode 0755, not 0700",
        f"node-1: {file} has the mode 0644, not 0600",
    ]


def test_an_owner_is_reported(machine: Machine) -> None:
    facts = look(machine)
    path = machine.node().paths.ca
    foreign = Found(kind="file", meta=("0644", "kube", "root"), content=facts.found[path].content)
    changed = Facts(found={**facts.found, path: foreign}, ours=facts.ours)
    assert differences(cluster(), machine.node(), changed) == (
        f"node-1: {path} belongs to kube:root, not root:root\n"
    )


def told_of(machine: Machine, facts: Facts, **extras: Any) -> list[str]:
    """What is reported if the arguments file must have more than a mode."""
    node = machine.node()
    wanted = [
        replace(file, **extras) if file.path == node.paths.arguments else file
        for file in files(cluster(), node)
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("node_files.drift.files", lambda *_: wanted)
        return differences(cluster(), node, facts).splitlines()


def test_an_acl_is_reported_and_its_mask_is_no_drift_of_the_mode(machine: Machine) -> None:
    path = machine.path("etc/kubelet.env")
    subprocess.run(["setfacl", "-m", "u:daemon:r", "-m", "g:bin:rw", str(path)], check=True)
    assert told_of(machine, look(machine), acl=("u:daemon:r", "g:bin:rw")) == []
    assert told(machine) == [
        f"node-1: {path} has the mode 0660, not 0600",
        f"node-1: {path} has the ACL entries group:bin:rw-, user:daemon:r--, not none",
    ]
    assert told_of(machine, look(machine), acl=("u:daemon:r", "g:bin:r")) == [
        f"node-1: {path} has the mode 0660, not 0640",
        f"node-1: {path} has the ACL entries group:bin:rw-, user:daemon:r--,"
        " not group:bin:r--, user:daemon:r--",
    ]


def test_an_selinux_type_is_reported_where_the_host_has_one(machine: Machine) -> None:
    facts, path = look(machine), machine.node().paths.arguments
    without = {**facts.found, path: replace(facts.found[path], selinux_type="")}
    other = {**facts.found, path: replace(facts.found[path], selinux_type="etc_t")}
    wanted = {"selinux_type": "kubelet_t"}
    assert told_of(machine, Facts(found=without, ours=()), **wanted) == []
    assert told_of(machine, Facts(found=other, ours=()), **wanted) == [
        f"node-1: {path} has the SELinux type etc_t, not kubelet_t"
    ]


def test_what_is_in_a_files_place_is_reported_and_not_read(machine: Machine) -> None:
    env, ca = machine.path("etc/kubelet.env"), machine.path("etc/pki/ca.crt")
    env.unlink()
    env.symlink_to("/etc/passwd")
    ca.unlink()
    assert told(machine) == [
        f"node-1: {ca} does not exist",
        f"node-1: {env} is a symbolic link",
    ]


def test_a_file_of_a_strange_size_is_reported_and_not_sent(machine: Machine) -> None:
    path = machine.path("etc/kubelet.env")
    path.write_bytes(b"x" * 1_048_577)
    assert told(machine) == [f"node-1: {path} is larger than 1 MiB"]


def test_bytes_that_are_no_text_are_shown_escaped(machine: Machine) -> None:
    machine.path("etc/kubelet.env").write_bytes(b"\xff\n")
    assert "-\\xff" in told(machine)


def test_a_file_of_ours_that_the_settings_no_longer_have_is_reported(machine: Machine) -> None:
    manifest = machine.path("lib/state/manifest")
    manifest.write_text(manifest.read_text() + "file /etc/old.conf\n")
    assert told(machine) == [
        "node-1: /etc/old.conf is not in the settings; the next pulumi up removes it"
    ]


def test_no_kubeconfig_and_no_key_is_asked_for() -> None:
    machine = Machine.__new__(Machine)
    machine.root = Path("/m")
    asked = look_bundle(cluster(), machine.node()).split("\n#data\n")[1]
    paths = Paths()
    for secret in (paths.kubeconfig, paths.bootstrap_kubeconfig, ".pem", ".conf"):
        assert f"{secret}\n" not in asked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file 0600 root root /a\n",
        f"file 0600 root root /a\n= {base64.b64encode(b'x').decode()}\n",
        "file 0600 root root /a\n= !\nend\n",
        "acl user:a:r--\nend\n",
        "motd\nend\n",
    ],
)
def test_an_answer_that_is_cut_or_strange_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is incomplete or not from our script"):
        read_facts(text)


def test_what_a_login_shell_prints_before_the_answer_is_no_part_of_it(machine: Machine) -> None:
    """As a profile with echo does, also over SSH without a terminal."""
    done = machine.run(LOOK, look_bundle(cluster(), machine.node()))
    noise = "Welcome to node-1!\nfile system check: ok\nend\n\n"
    assert read_facts(noise + done.stdout) == read_facts(done.stdout)


def test_an_answer_that_leaves_something_out_is_refused(machine: Machine) -> None:
    facts = look(machine)
    for path in facts.found:
        less = {name: found for name, found in facts.found.items() if name != path}
        with pytest.raises(ValueError, match="the host's answer is incomplete"):
            differences(cluster(), machine.node(), replace(facts, found=less))
