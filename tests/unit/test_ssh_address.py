"""`sshAddress` is where SSH leads, and nothing else: the Node, its files and its certificate keep
to `address`.
"""

import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from credentials.host_key import HostKeys, pin_keys
from settings import checks
from settings.model import Machine, Settings
from settings.parsing import parse
from settings.problem import Problem, SettingsError
from ssh.open_ssh import OpenSsh
from stack import membership
from stack.record import Record
from stack.state import State
from tests.unit.changes.program import Run, World, declare
from tests.unit.changes.row import CP_1, CP_2, HOST_KEY, machine, world
from tests.unit.changes.steps import Step, steps

OTHER_KEY = HOST_KEY.replace("ERER", "IiIi")
VAGRANT = "127.0.0.1"
FLOATING = "203.0.113.7"
NAME = "node-1.example.org"


def settings(*nodes: Mapping[str, Any], hosts: list[dict[str, Any]] | None = None) -> Settings:
    return parse(
        {"pools": {"w": {"nodes": list(nodes)}}, "controlPlane": {"hosts": hosts or []}},
    )


def node(name: str, address: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "address": address, **more}


def on_port(port: int) -> dict[str, Any]:
    return {"ssh": {"port": port}}


# Values


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (FLOATING, FLOATING),
        (VAGRANT, VAGRANT),
        ("fd00:0::11", "fd00::11"),
        ("::1", "::1"),
        (NAME, NAME),
        ("localhost", "localhost"),
        ("1.a1", "1.a1"),
        ("0xg", "0xg"),
        ("Node-1.Example.org", "node-1.example.org"),
        ("node_1", "node_1"),
        ("node-1.", "node-1."),
        ("fe80::1%eth0", "fe80::1%eth0"),  # on the network of the machine that runs this
        ("FE80::1%enP2p1s0.7", "fe80::1%enP2p1s0.7"),
        (None, "10.0.0.1"),
    ],
)
def test_an_address_or_a_name_is_taken(given: str | None, read: str) -> None:
    for found in settings(
        node("a", "10.0.0.1", sshAddress=given), hosts=[node("cp", "10.0.0.1", sshAddress=given)]
    ).machines():
        assert found.host.reached_at == read
        assert found.host.address == "10.0.0.1"


NEITHER = (
    "is neither an IP address nor a DNS name; give the one at which the machine's sshd answers"
)
ZONE = "has a zone, which only a link-local address has; leave it out"
NOWHERE = "is an address at which no machine can be reached; give the one at which its sshd answers"
WRONG = {
    "": NEITHER,
    "10.0.0.300": NEITHER,
    "10.0.0": NEITHER,
    "node.0x7f": NEITHER,
    "2130706433": NEITHER,
    "10.0.0.1:2222": NEITHER,
    "[fd00::11]": NEITHER,
    "node-1..": NEITHER,
    "10.0.0.1.": NEITHER,
    "https://node-1": NEITHER,
    "10.0.0.1/24": NEITHER,
    "10.0.0.1%eth0": NEITHER,
    "fd00::1%eth0": ZONE,
    "fe80::1%a b": ZONE,
    "-oProxyCommand=x": NEITHER,
    "root@node-1": NEITHER,
    "node 1": NEITHER,
    "node-1\n": NEITHER,
    ".".join(["a" * 63] * 4): NEITHER,
    "0.0.0.0": NOWHERE,  # noqa: S104
    "::": NOWHERE,
    "224.0.0.1": NOWHERE,
    "255.255.255.255": NOWHERE,
    "fe80::1": NOWHERE,
}


@pytest.mark.parametrize(("value", "why"), WRONG.items(), ids=map(repr, WRONG))
def test_anything_else_is_refused_with_its_path(value: str, why: str) -> None:
    with pytest.raises(SettingsError) as found:
        settings(
            node("a", "10.0.0.1", sshAddress=value),
            hosts=[node("cp", "10.0.0.9", sshAddress=value)],
        )
    paths = ("controlPlane.hosts[0].sshAddress", "pools.w.nodes[0].sshAddress")
    for problem, path in zip(found.value.problems, paths, strict=True):
        # A value that is long or has a line feed is not repeated.
        starts = (f"{path} {json.dumps(value)} {why}", f"{path} {why}")
        assert str(problem).startswith(starts)


@pytest.mark.parametrize(("value", "why"), WRONG.items(), ids=map(repr, WRONG))
def test_a_bastion_is_reached_at_no_other_address(value: str, why: str) -> None:
    with pytest.raises(SettingsError) as found:
        parse({"ssh": {"bastion": {"address": value}}})
    (problem,) = found.value.problems
    assert why in str(problem)


@pytest.mark.parametrize("value", ["Jump.Example.org", "jump_1", "FD00:0::8", "fe80::8%eth0", "j."])
def test_a_bastion_keeps_its_address_as_it_is_given(value: str) -> None:
    bastion = parse({"ssh": {"bastion": {"address": value}}}).ssh.bastion
    assert bastion is not None
    assert bastion.address == value


@pytest.mark.parametrize("host", ["Node_1.Example.org", "node-1.", "fe80::1%eth0"])
def test_ssh_takes_each_of_them_as_a_host(host: str) -> None:
    command = ["ssh", "-F", "none", "-G", f"root@{host}"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (found,) = settings(node("a", "10.0.0.1", sshAddress=host)).machines()
    assert f"hostname {found.host.reached_at}\n" in told


def test_the_address_itself_is_no_name_and_the_error_says_what_may_be_one() -> None:
    with pytest.raises(SettingsError, match="sshAddress is for SSH alone, and may be a DNS name"):
        settings(node("a", NAME))


# Two machines

A = node("a", "10.0.0.1", sshAddress=VAGRANT)
CP = node("cp", "10.0.0.9")
BASTION = {"ssh": {"bastion": {"address": "192.0.2.1"}}}
USED = f'pools.w.nodes[1].sshAddress "{VAGRANT}" with the SSH port 22 is already used by'
TOGETHER: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]] = {
    "one place": (
        [A, node("b", "10.0.0.2", sshAddress=VAGRANT)],
        [],
        [f"{USED} pools.w.nodes[0]; give each machine an address or a port (ssh.port) of its own"],
    ),
    "one name": (
        [
            node("a", "10.0.0.1", sshAddress=NAME),
            node("b", "10.0.0.2", sshAddress=NAME),
        ],
        [],
        [f'pools.w.nodes[1].sshAddress "{NAME}" with the SSH port 22 is already used by pools.w.'],
    ),
    "two ports": (
        [A | on_port(2222), node("b", "10.0.0.2", sshAddress=VAGRANT, **on_port(2223))],
        [],
        [],
    ),
    "two bastions": ([A, node("b", "10.0.0.2", sshAddress=VAGRANT, **BASTION)], [], []),
    "the address of another": (
        [node("a", "10.0.0.1"), node("b", "10.0.0.2", sshAddress="10.0.0.1")],
        [],
        ['pools.w.nodes[1].sshAddress "10.0.0.1" with the SSH port 22 is already used by pools.w.'],
    ),
    "another's is the address": (
        [node("a", "10.0.0.1", sshAddress="10.0.0.2"), node("b", "10.0.0.2")],
        [],
        ['pools.w.nodes[0].sshAddress "10.0.0.2" with the SSH port 22 is already used by pools.w.'],
    ),
    "the address of another, by another port": (
        [node("a", "10.0.0.1"), node("b", "10.0.0.2", sshAddress="10.0.0.1", **on_port(2222))],
        [],
        [],
    ),
    "swapped": (
        [
            node("a", "10.0.0.1", sshAddress="10.0.0.2"),
            node("b", "10.0.0.2", sshAddress="10.0.0.1"),
        ],
        [],
        [],
    ),
    "one is gone": ([A | {"force": True}, node("b", "10.0.0.2", sshAddress=VAGRANT)], [], []),
    "one address still": (
        [A, node("b", "10.0.0.1", sshAddress=NAME)],
        [],
        ['pools.w.nodes[1].address "10.0.0.1" is already used by pools.w.nodes[0]'],
    ),
    "a host": (
        [A],
        [CP | {"sshAddress": VAGRANT}],
        [
            f'pools.w.nodes[0].sshAddress "{VAGRANT}" with the SSH port 22 is already used by'
            " controlPlane.hosts[0]"
        ],
    ),
    "two hosts": (
        [],
        [CP | {"sshAddress": VAGRANT}, node("cp-2", "10.0.0.8", sshAddress=VAGRANT)],
        [f'controlPlane.hosts[1].sshAddress "{VAGRANT}" with the SSH port 22 is already used by'],
    ),
    "a host that is the node": (
        [CP | {"sshAddress": VAGRANT}],
        [CP | {"sshAddress": VAGRANT}],
        [],
    ),
    "a host that is reached in another way than the node": (
        [CP],
        [CP | {"sshAddress": VAGRANT}],
        [
            f'pools.w.nodes[0].{key} "{value}" is already used by controlPlane.hosts[0] (cp,'
            f" 10.0.0.9, SSH at {VAGRANT}, port 22); a node that is this machine has its name, its"
            " address, its sshAddress and its SSH port"
            for key, value in (("name", "cp"), ("address", "10.0.0.9"))
        ],
    ),
}


@pytest.mark.parametrize(("nodes", "hosts", "told"), TOGETHER.values(), ids=TOGETHER)
def test_one_place_is_one_machines(
    nodes: list[dict[str, Any]], hosts: list[dict[str, Any]], told: list[str]
) -> None:
    found = [str(problem) for problem in checks.problems(settings(*nodes, hosts=hosts))]
    assert len(found) == len(told)
    for problem, start in zip(found, told, strict=True):
        assert problem.startswith(start)


# Host keys


def pinned(tmp_path: Path, known_hosts: str, **more: Any) -> tuple[HostKeys, list[Problem]]:
    path = tmp_path / "known_hosts"
    path.write_text(known_hosts)
    found = parse(
        {
            "ssh": {"knownHostsPath": str(path)},
            "pools": {"w": {"nodes": [node("a", "10.0.0.1", **more)]}},
        }
    )
    problems: list[Problem] = []
    return pin_keys(found.machines(), list(found.ssh_layers()), problems), problems


@pytest.mark.parametrize(
    ("line", "more"),
    [
        (FLOATING, {"sshAddress": FLOATING}),
        (NAME, {"sshAddress": NAME}),
        (f"[{VAGRANT}]:2222", {"sshAddress": VAGRANT, **on_port(2222)}),
        ("a", {"sshAddress": FLOATING}),
    ],
)
def test_a_host_key_is_that_of_the_ssh_address(
    tmp_path: Path, line: str, more: dict[str, Any]
) -> None:
    keys, problems = pinned(tmp_path, f"10.0.0.1 {OTHER_KEY}\n{line} {HOST_KEY}\n", **more)
    assert problems == []
    assert keys.hosts == {"a": HOST_KEY}


def test_a_host_key_that_is_given_counts(tmp_path: Path) -> None:
    keys, problems = pinned(
        tmp_path, f"{NAME} {OTHER_KEY}\n", sshAddress=NAME, hostKey=f"{HOST_KEY} a comment"
    )
    assert problems == []
    assert keys.hosts == {"a": HOST_KEY}


def test_a_missing_host_key_is_told_as_it_is_looked_up(tmp_path: Path) -> None:
    more = {"sshAddress": VAGRANT, **on_port(2222)}
    _, (problem,) = pinned(tmp_path, f"10.0.0.1 {HOST_KEY}\n", **more)
    assert f"hostKey is missing, and [{VAGRANT}]:2222 is not in ssh.knownHostsPath" in str(problem)
    _, (problem,) = pinned(tmp_path, "", hostKey="ssh-ed25519 AAAA", **more)
    assert str(problem).endswith(f"ssh-keyscan -p 2222 -t ed25519 {VAGRANT}")


@pytest.mark.parametrize("revoked", [FLOATING, "10.0.0.1", "*"])
def test_no_other_way_to_a_machine_makes_a_revoked_key_good(tmp_path: Path, revoked: str) -> None:
    known_hosts = f"@revoked {revoked} {HOST_KEY}\n{FLOATING} {HOST_KEY}\n"
    _, (problem,) = pinned(tmp_path, known_hosts, sshAddress=FLOATING)
    assert "hostKey is revoked in knownHostsPath" in str(problem)


# OpenSSH


@pytest.mark.parametrize("there", [FLOATING, NAME, "fd00::11"])
@pytest.mark.parametrize("bastion", [None, {"address": "jump.example.org"}])
def test_openssh_dials_it_with_the_key_of_the_node(
    tmp_path: Path, there: str, bastion: dict[str, Any] | None
) -> None:
    (found,) = settings(
        node("a", "10.0.0.1", sshAddress=there, ssh={"port": 2222, "bastion": bastion})
    ).machines()
    keys = HostKeys(hosts={"a": HOST_KEY}, bastions={"jump.example.org:22": OTHER_KEY})
    line = " ".join(OpenSsh(host_keys=keys).command(found, "true", tmp_path))
    assert line.endswith(f" -T root@{there} true")
    assert "Port=2222" in line
    assert "10.0.0.1" not in line
    assert ("root@jump.example.org -W '[%h]:%p'" in line) == (bastion is not None)
    assert (tmp_path / "known_hosts.a").read_text() == f"a {HOST_KEY}\n"


# The program


def changed(directory: Path, before: World, after: World) -> tuple[Run, Run, dict[str, Step]]:
    first = declare(before, directory)
    second = declare(after, directory, first)
    found = {step.resource.name: step for step in steps(first.resources, second.resources)}
    return first, second, found


def inputs(run: Run, name: str) -> Mapping[str, Any]:
    (found,) = (each.inputs for each in run.resources.values() if each.name == name)
    return found


def host_of(run: Run, name: str) -> tuple[str, int]:
    connection = inputs(run, name)["connection"]["value"]  # a secret in its wire form
    return connection["host"], connection["port"]


def test_only_where_ssh_leads_changes(tmp_path: Path) -> None:
    after = world()
    after.node("node-1")["sshAddress"] = FLOATING
    first, second, found = changed(tmp_path, world(), after)
    assert {name: step.operation for name, step in found.items()} == {
        "node-1-files": "update",
        "node-1-member": "update",
    }
    assert host_of(second, "node-1-files") == (FLOATING, 22)
    for name, key in (("node-1-files", "connection"), ("node-1-member", "delete")):
        before, now = inputs(first, name), inputs(second, name)
        assert {k for k in {*before, *now} if before.get(k) != now.get(k)} == {key}
    words = shlex.split(inputs(second, "node-1-member")["delete"])
    assert words[-5:] == ["--ssh", FLOATING, "22", "--address", "10.0.0.11"]
    # And it ends there.
    _, _, found = changed(tmp_path, after, after.copy())
    assert found == {}


def test_through_a_bastion_only_the_connection_changes(tmp_path: Path) -> None:
    before = world()
    before.node("node-1")["ssh"] = {"bastion": {"address": "jump.example.org", "hostKey": HOST_KEY}}
    after = before.copy()
    after.node("node-1")["sshAddress"] = NAME
    _, second, found = changed(tmp_path, before, after)
    assert {name: step.operation for name, step in found.items()} == {"node-1-files": "update"}
    connection = inputs(second, "node-1-files")["connection"]["value"]
    assert (connection["host"], connection["proxy"]["host"]) == (NAME, "jump.example.org")


def test_a_host_of_the_control_plane_is_reached_there_and_keeps_its_address(
    tmp_path: Path,
) -> None:
    after = world()
    after.settings["controlPlane"]["hosts"] = [CP_1 | {"sshAddress": FLOATING}, CP_2]
    _, second, found = changed(tmp_path, world(), after)
    # The inventories, which deny its address to all nodes, are the same.
    assert {name: step.operation for name, step in found.items()} == {"cp-1-flags": "update"}
    assert host_of(second, "cp-1-flags") == (FLOATING, 22)


def test_what_is_the_address_anyway_changes_nothing(tmp_path: Path) -> None:
    after = world()
    after.node("node-1")["sshAddress"] = "10.0.0.11"
    _, _, found = changed(tmp_path, world(), after)
    assert found == {}


def with_ssh_addresses() -> World:
    found = world()
    for number, name in enumerate(("node-1", "node-2"), start=1):
        found.node(name).update(sshAddress=VAGRANT, ssh={"port": 2220 + number})
    return found


def test_a_node_that_has_left_the_settings_is_reached_where_it_was(tmp_path: Path) -> None:
    after = with_ssh_addresses()
    after.pool("workers")["nodes"].pop()
    _, _, found = changed(tmp_path, with_ssh_addresses(), after)
    assert {found[f"node-2-{part}"].operation for part in ("files", "member")} == {"delete"}
    old = found["node-2-files"].resource.inputs
    connection = old["connection"]["value"]
    assert (connection["host"], connection["port"]) == (VAGRANT, 2222)


def test_another_name_takes_over_the_files_of_its_machine_alone(tmp_path: Path) -> None:
    after = with_ssh_addresses()
    after.node("node-2").update(name="node-9")
    _, _, found = changed(tmp_path, with_ssh_addresses(), after)
    taken = found["node-9-files"]
    assert taken.operation == "update"
    assert taken.old is not None
    assert taken.old.name == "node-2-files"
    assert "node-1-files" not in found


def test_an_interrupted_run_knows_the_address_of_the_node_and_not_that_of_ssh(
    tmp_path: Path,
) -> None:
    left = declare(with_ssh_addresses(), tmp_path).state
    state = State.of({urn: {**r, "outputs": plain(r["outputs"])} for urn, r in left.items()})
    assert {name: files.address for name, files in state.files.items()} == {
        "node-1": "10.0.0.11",
        "node-2": "10.0.0.12",
        "node-3": "10.0.0.13",
    }
    record = Record.of(State(files=state.files, joins=state.joins, members=state.members))
    assert membership.join("node-1", 1, "10.0.0.11", record) == "1"


def plain(value: Any) -> Any:
    """Return outputs as the engine tells them to a program: secrets as they are."""
    if isinstance(value, dict):
        return (
            plain(value["value"])
            if "value" in value and len(value) == 2
            else {key: plain(each) for key, each in value.items()}
        )
    return value


@pytest.mark.parametrize("known", ["1", "bundle 0\nnode a\ngeneration 1\nend\n"])
def test_a_state_that_says_no_address_has_that_of_ssh(known: str) -> None:
    urn = "urn:pulumi:s::p::kubelet-tls-bootstrap:index:NodePool$command:remote:Command::a-files"
    outputs = {"connection": {"host": "10.0.0.1"}, "stdin": known}
    state = State.of({urn: {"type": "command:remote:Command", "outputs": outputs}})
    assert state.files["a"].address == "10.0.0.1"


def test_machines_with_and_without_it_stand_side_by_side(tmp_path: Path) -> None:
    run = declare(with_ssh_addresses(), tmp_path)
    places = {name: host_of(run, f"{name}-files") for name in ("node-1", "node-2", "node-3")}
    assert places == {
        "node-1": (VAGRANT, 2221),
        "node-2": (VAGRANT, 2222),
        "node-3": ("10.0.0.13", 22),
    }
    assert "--address" not in inputs(run, "node-3-member")["delete"]


def test_a_machine_by_itself_says_where_it_is() -> None:
    (found,) = settings(machine("a", "10.0.0.1", sshAddress=NAME, **on_port(2222))).machines()
    assert isinstance(found, Machine)
    assert found.destination == (NAME, 2222, "")
