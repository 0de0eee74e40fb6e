"""A node that leaves: what is asked of kubectl and of the API server, in which order."""

import argparse
import asyncio
import json
import os
import re
import socket
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from admission import program
from admission.__main__ import _leave, parser
from admission.api_server.api import ApiError
from admission.leave import leave
from admission.private_file import private_file
from admission.stack_settings import Leaving, StackSettings
from tests.unit.admission.leave_fakes import (
    A_POD,
    CORDON,
    DELETE,
    DRAIN,
    LIFT,
    NO_PODS,
    FakeCluster,
    Scene,
)


def test_a_node_is_drained_and_that_one_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    asyncio.run(leave("node-1", "config", Leaving()))
    assert scene.calls == ["GET", CORDON, "LIST", DRAIN, DELETE, "close"]


@pytest.mark.parametrize("ready", ["True", "Unknown"])
def test_a_node_without_pods_is_cordoned_before_that_is_seen_and_needs_no_drain(
    monkeypatch: pytest.MonkeyPatch, ready: str
) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", ready=ready, pods=NO_PODS))
    asyncio.run(leave("node-1", "config", Leaving()))
    assert scene.calls == ["GET", CORDON, "LIST", DELETE, "close"]


def test_a_cordoned_node_is_not_cordoned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", cordoned=True, pods=NO_PODS))
    asyncio.run(leave("node-1", "config", Leaving()))
    assert scene.calls == ["GET", "LIST", DELETE, "close"]


@pytest.mark.parametrize(
    "pods",
    [
        A_POD,
        {**NO_PODS, "metadata": {"continue": "abc"}},
        {**NO_PODS, "kind": "Status"},
        {},
        "none",
        None,
    ],
)
def test_a_node_that_may_have_pods_is_drained(monkeypatch: pytest.MonkeyPatch, pods: Any) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", pods=pods))
    asyncio.run(leave("node-1", "config", Leaving()))
    assert scene.calls == ["GET", CORDON, "LIST", DRAIN, DELETE, "close"]


@pytest.mark.parametrize(
    "refusals",
    [{"PATCH": 403}, {"PATCH": 422}, {"PATCH": 503}, {"LIST": 403}, {"LIST": 404}, {"LIST": 409}],
)
def test_kubectl_says_which_right_is_missing(
    monkeypatch: pytest.MonkeyPatch, refusals: dict[str, int]
) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", pods=NO_PODS, refusals=refusals))
    scene.answer = (1, "", "error: pods is forbidden\n")
    with pytest.raises(ValueError, match="node-1 can't be drained: pods is forbidden; fix that"):
        asyncio.run(leave("node-1", "config", Leaving()))
    assert DRAIN in scene.calls
    assert DELETE not in scene.calls


def test_a_node_that_goes_meanwhile_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", refusals={"PATCH": 404}))
    asyncio.run(leave("node-1", "config", Leaving()))
    assert scene.calls == ["GET", "close"]


def test_another_node_of_the_same_name_is_not_cordoned(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster([], "uid-1", refusals={"PATCH": 422}, then="uid-2")
    scene = Scene(monkeypatch, cluster)
    with pytest.raises(ValueError, match="another machine has joined as node-1"):
        asyncio.run(leave("node-1", "config", Leaving()))
    assert scene.calls == ["GET", "GET", "close"]


def test_a_dead_machines_node_is_deleted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    asyncio.run(leave("node-1", "config", Leaving(force=True)))
    assert scene.calls == ["GET", DELETE, "close"]


@pytest.mark.parametrize("force", [True, False])
def test_a_node_that_never_joined_has_left(monkeypatch: pytest.MonkeyPatch, force: bool) -> None:
    scene = Scene(monkeypatch, FakeCluster([], None))
    asyncio.run(leave("node-1", "config", Leaving(force=force)))
    assert scene.calls == ["GET", "close"]


def test_a_drain_that_fails_keeps_the_node_and_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", pods={**NO_PODS, "kind": "Status"}))
    scene.answer = (1, "evicting pod", "first line\nerror: cannot delete Pod a\n")
    with pytest.raises(ValueError, match="node-1 can't be drained: cannot delete Pod a; fix that"):
        asyncio.run(leave("node-1", "config", Leaving()))
    assert scene.calls == ["GET", CORDON, "LIST", DRAIN, "LOOK", "GET", LIFT, "close"]


def test_a_machine_that_does_not_answer_is_not_waited_for_and_is_kept_until_somebody_gives_it_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pods = {**NO_PODS, "kind": "Status"}
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", ready="Unknown", pods=pods))
    scene.answer = (1, "", "error: global timeout reached: 30s\n")
    with pytest.raises(ValueError, match=r"node-1 does not answer.*global timeout.*force: true"):
        asyncio.run(leave("node-1", "config", Leaving()))
    drain = DRAIN.replace("300s", "30s")
    assert scene.calls == ["GET", CORDON, "LIST", drain, "LOOK", "GET", LIFT, "close"]


def test_a_silent_machine_without_pods_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", ready="Unknown"))
    asyncio.run(leave("node-1", "config", Leaving()))
    assert scene.calls[-2:] == [DELETE, "close"]


@pytest.mark.parametrize(
    ("ready", "taken", "drained"),
    [("Unknown", "10.0.0.1", False), ("True", "10.0.0.1", True), ("Unknown", "10.0.0.11", True)],
)
def test_pods_of_a_machine_that_is_another_node_now_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, ready: str, taken: str, drained: bool
) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", ready=ready))
    asyncio.run(leave("node-1", "config", Leaving(taken=frozenset({taken}))))
    assert any(call.startswith("kubectl") for call in scene.calls) is drained
    assert scene.calls[-2:] == [DELETE, "close"]


def test_another_stack_that_is_selected_gives_no_machine_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    scene.settings = {"kubeconfigPath": "another", "pools": pools(force=True)}
    assert not asyncio.run(StackSettings(None).leaving("node-1", "config")).force


def test_a_node_leaves_no_other_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    asyncio.run(leave("node-1", "config", Leaving(), server="https://api:6443/"))
    assert DELETE in scene.calls
    scene.calls.clear()
    with pytest.raises(ValueError, match=r"leads to https://api:6443, but node-1 is a node of"):
        asyncio.run(leave("node-1", "config", Leaving(), server="https://other:6443"))
    assert scene.calls == ["close"]


@pytest.mark.parametrize(("ready", "leaves"), [("Unknown", True), ("True", False)])
def test_by_another_url_only_a_silent_node_whose_machine_is_gone_leaves(
    monkeypatch: pytest.MonkeyPatch, ready: str, leaves: bool
) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", ready=ready))
    gone = leave("node-1", "config", Leaving(force=True), server="https://other:6443")
    if leaves:
        asyncio.run(gone)
    else:
        with pytest.raises(ValueError, match="leads to https://api:6443, where node-1 is alive"):
            asyncio.run(gone)
    assert (DELETE in scene.calls) is leaves


def test_by_another_url_a_node_of_another_address_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", ready="Unknown"))
    how, server = Leaving(force=True), "https://other:6443"
    with pytest.raises(ValueError, match="where node-1 is another machine"):
        asyncio.run(leave("node-1", "config", how, server=server, address="10.0.0.7"))
    assert DELETE not in scene.calls
    asyncio.run(leave("node-1", "config", how, server=server, address="10.0.0.1"))
    assert DELETE in scene.calls


def test_by_another_url_a_node_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Scene(monkeypatch, FakeCluster([], None))
    told: list[str] = []
    how, server = Leaving(force=True), "https://other:6443"
    asyncio.run(leave("node-1", "config", how, server=server, say=told.append))
    assert told == ["node-1 has no Node at https://api:6443; it joined at https://other:6443"]


def test_pools_that_hold_a_secret_say_that_a_machine_is_gone_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    scene.secrets = {"pools"}
    scene.settings = {"pools": pools(force=True)}
    assert asyncio.run(StackSettings("dev").leaving("node-1")).force


def test_a_reinstalled_machine_need_not_answer_where_it_did(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").touch()
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", ready="Unknown"))
    nodes = [{"name": "node-9", "address": "127.0.0.1"}]
    settings = {"workers": {"nodes": nodes}}
    scene.settings = {"kubeconfigPath": str(tmp_path / "config"), "pools": json.dumps(settings)}
    assert asyncio.run(_leave(command("--stack", "dev", "--ssh", "127.0.0.1", "1"))) == 0


def test_a_machine_that_ssh_reaches_elsewhere_is_known_by_the_address_of_its_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").touch()
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", ready="Unknown"))
    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    other = {"name": "node-9", "address": "10.0.0.9"}
    scene.settings = {"kubeconfigPath": str(tmp_path / "config")}

    def leaves(*words: str, **entry: object) -> int:
        nodes = [other | entry]
        scene.settings["pools"] = json.dumps({"workers": {"nodes": nodes}})
        ssh = ("--ssh", "127.0.0.1", "1", "--address", "10.0.0.1")
        return asyncio.run(_leave(command("--stack", "dev", *ssh, *words)))

    # Another node has its Node's address: it was reinstalled, and need not answer.
    assert leaves(address="10.0.0.1") == 0
    # Another node's Node has the address that SSH has for this one.
    with pytest.raises(ValueError, match=r"node-1 does not answer at 127\.0\.0\.1:1, "):
        leaves(address="127.0.0.1")
    # At another URL, the Node with that address is this machine.
    at = ("--server", "https://other:6443", "--force")
    assert leaves(*at) == 0
    with pytest.raises(ValueError, match="where node-1 is another machine"):
        leaves(*at, "--address", "10.0.0.7")


def test_the_settings_say_which_addresses_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    nodes = [
        {"name": "node-1", "address": "10.0.0.1"},
        {"name": "node-2", "address": "10.0.0.2"},
        {"name": "node-3", "address": "10.0.0.3", "force": True},
    ]
    scene.settings = {"pools": json.dumps({"workers": {"nodes": nodes}})}
    assert asyncio.run(StackSettings("dev").leaving("node-1")).taken == {"10.0.0.2"}


@pytest.mark.parametrize("form", [list, dict])
def test_what_another_stack_says_of_nodes_counts_too(
    monkeypatch: pytest.MonkeyPatch, form: type
) -> None:
    scene = Scene(monkeypatch)
    entries = {"node-1": {"force": True}, "node-2": {"address": "10.0.0.2"}}
    listed = [{"name": name, **entry} for name, entry in entries.items()]
    source = {"stack": "o/infra/prod", "output": "workers"}
    scene.settings = {"pools": json.dumps({"workers": {"nodesFrom": source}})}
    assert not asyncio.run(StackSettings("dev").leaving("node-1")).force  # it can't be read
    scene.outputs["o/infra/prod", "workers"] = listed if form is list else entries
    found = asyncio.run(StackSettings("dev").leaving("node-1"))
    assert (found.force, found.taken) == (True, {"10.0.0.2"})


@pytest.mark.parametrize("odd", ["[secret]", ["node-1"], {"node-1": 7}, 7])
def test_an_output_that_can_not_be_read_takes_nothing_of_the_settings_with_it(
    monkeypatch: pytest.MonkeyPatch, odd: Any
) -> None:
    scene = Scene(monkeypatch)
    source = {"stack": "o/infra/prod", "output": "workers"}
    own = [{"name": "node-1", "address": "10.0.0.1", "force": True}]
    scene.settings = {
        "pools": json.dumps({"workers": {"nodesFrom": source}, "others": {"nodes": own}}),
        "drain": json.dumps({"timeoutSeconds": 77}),
    }
    scene.outputs["o/infra/prod", "workers"] = odd
    found = asyncio.run(StackSettings("dev").leaving("node-1", pool="others"))
    assert found.force
    assert found.drain.timeout_s == 77
    assert found.turns is not None


def test_a_node_that_joined_again_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    Scene(monkeypatch, FakeCluster([], "uid-1", replaced=True))
    with pytest.raises(ValueError, match="another machine has joined as node-1"):
        asyncio.run(leave("node-1", "config", Leaving()))


@pytest.mark.parametrize("force", [True, False])
def test_a_node_has_left_once_its_finalizers_are_removed(
    monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", finalizers=["a.b/c"], looks=2))
    said: list[str] = []
    asyncio.run(leave("node-1", "config", Leaving(force=force), say=said.append))
    assert scene.calls[-5:] == [DELETE, "GET", "GET", "GET", "close"]
    assert said == ["node-1: its Node is deleted once a.b/c is removed from its finalizers"]


def test_a_node_that_finalizers_keep_has_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    names = [f"a.b/c{n}" for n in range(7)]
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", finalizers=names))
    with pytest.raises(ValueError, match=r"the Node node-1 is still there") as caught:
        asyncio.run(leave("node-1", "config", Leaving(), say=lambda _: None))
    assert str(caught.value) == (
        "the Node node-1 is still there: it was deleted, but a.b/c0, a.b/c1, a.b/c2 and 4 more are"
        " not removed from its finalizers; start what removes them, or remove them yourself"
        """ (kubectl patch node node-1 --type=merge -p '{"metadata":{"finalizers":null}}'),"""
        " and run again"
    )
    assert LIFT not in scene.calls  # it is to get no pods until it goes


def test_another_node_of_the_name_of_one_that_has_left_is_none_that_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = FakeCluster([], "uid-1", finalizers=["a.b/c"])

    async def join(_seconds: float) -> None:
        cluster.node = "uid-2"

    monkeypatch.setattr(asyncio, "sleep", join)
    Scene(monkeypatch, cluster)
    asyncio.run(leave("node-1", "config", Leaving()))


def command(*words: str) -> argparse.Namespace:
    """The arguments of `admission leave`."""
    return parser().parse_args(["leave", "node-1", *words])


def test_a_machine_that_nothing_connects_to_any_more_is_not_half_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").touch()
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    scene.settings = {"kubeconfigPath": str(tmp_path / "config"), "pools": pools()}
    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        words = ("--stack", "dev", "--ssh", "127.0.0.1", str(server.getsockname()[1]))
        with pytest.raises(ValueError, match=r"node-1 does not answer at .* set force: true for"):
            asyncio.run(_leave(command(*words)))  # bound, but nobody listens
        assert not any(call.startswith("kubectl") for call in scene.calls)
        assert DELETE not in scene.calls

        scene.settings["pools"] = pools(force=True)
        assert asyncio.run(_leave(command(*words))) == 0
        scene.settings["pools"] = pools()
        server.listen()
        assert asyncio.run(_leave(command(*words))) == 0
    assert any(call.startswith("kubectl") for call in scene.calls)


async def no_sleep(_seconds: float) -> None:
    pass


def pools(**node: object) -> str:
    nodes = [{"name": "node-0", "force": True}, {"name": "node-1", **node}]
    return json.dumps({"workers": {"nodes": nodes}, "empty": {}})


def test_the_stacks_secret_kubeconfig_is_a_private_file_for_a_while(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scene = Scene(monkeypatch)
    scene.settings = {"kubeconfigPath": "", "kubeconfig": "kind: Config"}

    async def look() -> str:
        async with StackSettings("dev").kubeconfig_file() as file:
            path = file.path
            assert not any(os.scandir(tmp_path))  # on no disk
            assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600  # noqa: ASYNC240
            # As kubectl does, which is another process.
            return subprocess.check_output(["cat", path], text=True)  # noqa: ASYNC221

    assert asyncio.run(look()) == "kind: Config\n"
    assert list(tmp_path.iterdir()) == []
    assert scene.calls == [
        "pulumi config --json --stack dev --non-interactive",
        "pulumi config get kubeconfig --stack dev --non-interactive",
    ]


def test_where_the_system_forbids_a_file_without_a_disk_it_is_a_private_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def forbidden(_: str) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "memfd_create", forbidden)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with private_file(b"secret") as path:
        assert Path(path).parent == tmp_path
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
        assert Path(path).read_bytes() == b"secret"
    assert list(tmp_path.iterdir()) == []


def test_the_stacks_path_is_used_as_it_is_and_no_secret_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config").write_text("kind: Config\n")
    scene = Scene(monkeypatch)
    scene.settings = {"kubeconfigPath": "~/config"}
    assert asyncio.run(StackSettings("dev").kubeconfig()).path == str(tmp_path / "config")
    assert len(scene.calls) == 1


def test_a_kubeconfig_below_the_home_directory_is_found_by_kubectl_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    assert asyncio.run(_leave(command("--kubeconfig", "~/config"))) == 0
    assert scene.calls[4].startswith("kubectl --kubeconfig=/home/me/config drain node-1 ")


@pytest.mark.parametrize("form", ["--stack", "--stack-config"])  # the second is in older states
def test_a_node_leaves_by_the_settings_of_its_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str
) -> None:
    (tmp_path / "config").touch()
    scene = Scene(monkeypatch, FakeCluster([], "uid-1"))
    scene.settings = {"kubeconfigPath": str(tmp_path / "config"), "pools": pools()}
    assert asyncio.run(_leave(command(form, "dev"))) == 0
    assert sum(call.startswith("pulumi") for call in scene.calls) == 1
    assert any(call.startswith("kubectl") for call in scene.calls)
    assert scene.calls[-2:] == [DELETE, "close"]


def test_pulumi_is_not_asked_what_the_file_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").touch()
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", ready="Unknown"))
    scene.file = {"kubeconfigPath": str(tmp_path / "config"), "pools": pools(force=True)}
    assert asyncio.run(_leave(command("--stack", "dev"))) == 0
    assert scene.calls == ["GET", DELETE, "close"]


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        (("--stack", "dev"), "pulumi config --json --stack dev --non-interactive"),
        # As states of earlier releases have it: they name no stack.
        (("--kubeconfig", "config"), "pulumi config --json --non-interactive"),
    ],
)
def test_the_settings_say_that_a_machine_is_gone_when_its_node_leaves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: tuple[str, ...], asked: str
) -> None:
    (tmp_path / "config").touch()
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", ready="Unknown"))
    path = form[1] if form[0] == "--kubeconfig" else str(tmp_path / "config")
    scene.settings = {"kubeconfigPath": path, "pools": pools(force=True)}
    assert asyncio.run(_leave(command(*form))) == 0
    assert not any(call.startswith("kubectl") for call in scene.calls)
    assert asked in scene.calls
    assert scene.calls[-2:] == [DELETE, "close"]


@pytest.mark.parametrize("text", [pools(), pools(force=False), pools(force="yes"), "[]", "x", ""])
def test_nobody_gives_a_machine_up_by_accident(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    scene = Scene(monkeypatch)
    scene.settings = {"pools": text}
    assert not asyncio.run(StackSettings("dev").leaving("node-1")).force


def test_settings_that_can_not_be_read_give_no_machine_up(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.answer = (255, "", "error: no stack selected\n")
    assert asyncio.run(StackSettings(None).leaving("node-1")) == Leaving()


def test_the_file_is_removed_when_the_leaving_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", replaced=True))
    scene.settings = {"kubeconfig": "kind: Config"}
    with pytest.raises(ValueError, match="another machine"):
        asyncio.run(_leave(command("--stack", "dev", "--force")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "answer", "told"),
    [
        ({}, (0, "", ""), "the stack dev has neither kubeconfigPath nor the secret key kubeconfig"),
        (
            {"kubeconfigPath": "/no/such/file"},
            (0, "", ""),
            'kubeconfigPath "/no/such/file" of the stack dev can\'t be read: No such file or'
            " directory; correct that and run pulumi up again, which reads the settings of that"
            " time",
        ),
        (
            {},
            (255, "", "error: passphrase must be set\n"),
            "the settings of the stack dev can't be read: passphrase must be set",
        ),
    ],
)
def test_a_kubeconfig_that_is_not_there_is_told_with_its_key_and_its_stack(
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    answer: tuple[int, str, str],
    told: str,
) -> None:
    scene = Scene(monkeypatch)
    scene.settings, scene.answer = settings, answer
    with pytest.raises(ValueError, match=re.escape(told)):
        asyncio.run(StackSettings("dev").kubeconfig())


@pytest.mark.parametrize("failures", [1, 9])
def test_a_state_that_is_being_written_is_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failures: int
) -> None:
    (tmp_path / "config").touch()
    scene = Scene(monkeypatch)
    scene.settings = {"kubeconfigPath": str(tmp_path / "config")}
    scene.failures = [(255, "", "error: failed to load checkpoint: EOF\n")] * failures
    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    if failures == 1:
        assert asyncio.run(StackSettings("dev").kubeconfig()).path
    else:
        with pytest.raises(ValueError, match="can't be read: failed to load checkpoint: EOF"):
            asyncio.run(StackSettings("dev").kubeconfig())


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="no-such-program is not on PATH"):
        asyncio.run(program.run("no-such-program", timeout_s=1))


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(ValueError, match="sleep did not end"):
        asyncio.run(program.run("sleep", "1000", timeout_s=0.01))


def an_inventory(stack: str | None, *names: str, text: str | None = None) -> dict[str, Any]:
    """The ConfigMap of a pool of a stack."""
    marked = {"kubelet-tls-bootstrap/stack": stack} if stack else {}
    said = json.dumps({"nodes": [{"name": name} for name in names]})
    return {
        "metadata": {"name": "kubelet-tls-bootstrap-gpu", "annotations": marked},
        "data": {"inventory.json": said if text is None else text},
    }


@pytest.mark.parametrize("force", [False, True])
def test_a_node_that_is_another_stacks_by_now_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, force: bool
) -> None:
    """As where a state was restored from a copy that is older than its move."""
    (tmp_path / "config").touch()
    cluster = FakeCluster([], "uid-1")
    scene = Scene(monkeypatch, cluster)
    scene.settings = {
        "kubeconfigPath": str(tmp_path / "config"),
        "pools": pools(force=force),
        "approver": json.dumps({"namespace": "ktb"}),
    }
    odd = json.dumps({"nodes": [{"x": 1}, "node-1", {"name": "node-1"}]})
    for found in (
        an_inventory("o/p/other", "node-2", "node-1"),
        an_inventory("o/p/other", text=odd),
    ):
        cluster.inventories = {"ktb": [found]}
        told = "node-1 is a node of the stack o/p/other now, in its pool gpu, so it stays as it is"
        with pytest.raises(ValueError, match=told) as error:
            asyncio.run(_leave(command("--stack", "o/p/dev")))
        assert "kubectl -n ktb delete configmap kubelet-tls-bootstrap-gpu" in str(error.value)
    assert not any(call.startswith(("PATCH", "DELETE", "kubectl")) for call in scene.calls)


@pytest.mark.parametrize(
    "found",
    [
        an_inventory("o/p/dev", "node-1"),
        an_inventory(None, "node-1"),
        an_inventory("o/p/other", "node-11"),
        an_inventory("o/p/other", text="not JSON"),
        {"metadata": {"name": "x", "annotations": {"kubelet-tls-bootstrap/stack": "a"}}},
    ],
)
def test_what_no_other_stack_has_leaves(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]
) -> None:
    cluster = FakeCluster([], "uid-1")
    scene = Scene(monkeypatch, cluster)
    cluster.inventories = {"kube-system": [found]}
    asyncio.run(leave("node-1", "config", Leaving(), stack="o/p/dev"))
    assert DELETE in scene.calls


def test_who_may_not_see_inventories_may_remove_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", refusals={"INVENTORIES": 403}))
    asyncio.run(leave("node-1", "config", Leaving(), stack="o/p/dev"))
    assert DELETE in scene.calls
    scene = Scene(monkeypatch, FakeCluster([], "uid-1", refusals={"INVENTORIES": 500}))
    with pytest.raises(ApiError):
        asyncio.run(leave("node-1", "config", Leaving(), stack="o/p/dev"))
    assert DELETE not in scene.calls
