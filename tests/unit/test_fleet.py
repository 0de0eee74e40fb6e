"""Programs of others in which machines are made and join, seen by a mock of the engine."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from pulumi_command import local
from pydantic.alias_generators import to_camel

import kubelet_tls_bootstrap as ktb
from components.dependencies import unless_unknown
from credentials.private_key import for_engine
from settings.model import NodeSettings, Pool, Settings
from settings.parsing import KUBECONFIG_PATH
from settings.problem import SettingsError
from stack import state
from tests.unit.engine import Engine
from tests.unit.test_program import HOST_KEY, write_stack

STACK = "urn:pulumi:s::p::pulumi:pulumi:Stack::p-s"
UNKNOWN = pulumi.runtime.rpc.UNKNOWN


def run(
    directory: Path,
    engine: Engine,
    nodes: Callable[[], list[ktb.NodeArgs]],
    key: Callable[[], pulumi.Output[str]] | None = None,
    *,
    config: Mapping[str, str] | None = None,
    user_data: dict[str, Any] | None = None,
    **others: Any,
) -> Engine:
    """Run a program that makes these nodes' machines.

    `config` is what the stack's file has in the place of the kubeconfig's path; `user_data` gets
    what the fleet has of that. A setting may be a function that makes it.
    """
    files = write_stack(directory)

    async def program() -> None:
        settings = {
            "cluster": files["cluster"],
            "pools": {"workers": {"nodes": nodes()}},
            **{key: found() if callable(found) else found for key, found in others.items()},
        }
        given = {"ssh_private_key": key()} if key else {}
        async with ktb.fleet(cast(ktb.SettingsArgs, settings), **given) as found:
            pulumi.export("nodes", dict(found.nodes))
            if user_data is not None:
                for pool, text in found.user_data.items():
                    user_data[pool] = (await text.future(), await text.is_known())

    of_file = {"p:kubeconfigPath": files["kubeconfigPath"]}
    pulumi.runtime.set_all_config(of_file if config is None else {**config})
    try:
        return engine.run_stack(program)
    finally:
        pulumi.runtime.set_all_config({})


@cache
def private_key() -> str:
    key = ed25519.Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.OpenSSH
    return key.private_bytes(
        serialization.Encoding.PEM, form, serialization.NoEncryption()
    ).decode()


def machine(name: str) -> local.Command:
    """A machine that prints its address once it is made."""
    return local.Command(f"vm-{name}", create="make it")


def made(name: str) -> ktb.NodeArgs:
    return {"name": name, "address": machine(name).stdout, "hostKey": HOST_KEY}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of its own for the files that a run leaves in the project's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBELET_TLS_BOOTSTRAP_PYTHON", "python")
    return tmp_path


def left(outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {STACK: {"type": state.STACK, "outputs": outputs}}


def test_a_machine_is_made_then_joins_and_goes_only_after_its_node(tmp_path: Path) -> None:
    engine = Engine(joined={"n1": "10.0.0.1"}, state=left({}), printed={"vm-n1": "10.0.0.1"})
    run(tmp_path, engine, lambda: [made("n1")])
    assert engine.resources["n1-files"]["connection"]["value"]["host"] == "10.0.0.1"
    (files,) = (request for urn, request in engine.requests.items() if urn.endswith("::n1-files"))
    (vm,) = (urn for urn in engine.requests if urn.endswith("::vm-n1"))
    assert vm in files["dependencies"]
    # It would stay in the state, for each resource.
    assert "frames" in engine.requests[vm]["stackTrace"]
    assert "frames" not in files["stackTrace"]
    outputs = engine.outputs_of("p-s")
    assert outputs["nodes"]["workers"]["n1"]["address"] == "10.0.0.1"
    own = outputs["kubeletTlsBootstrap"]
    assert own["record"]["nodes"]["n1"] == {"pool": "workers", "address": "10.0.0.1", "join": "1"}
    assert own["leaving"]["pools"]["workers"]["nodes"] == [
        {"name": "n1", "address": "10.0.0.1", "force": False}
    ]


def test_the_next_run_knows_who_has_joined(tmp_path: Path) -> None:
    first = Engine(joined={"n1": "10.0.0.1"}, state=left({}), printed={"vm-n1": "10.0.0.1"})
    outputs = run(tmp_path, first, lambda: [made("n1")]).outputs_of("p-s")
    # The machine has got another address, so it joins again.
    second = Engine(joined={"n1": "10.0.0.7"}, state=left(outputs), printed={"vm-n1": "10.0.0.7"})
    run(tmp_path, second, lambda: [made("n1")])
    assert second.resources["n1-member"]["stdin"] == "join 1@10.0.0.7"


def test_a_preview_shows_a_machine_that_is_not_made_as_one_that_joins(tmp_path: Path) -> None:
    engine = Engine(joined={}, state=left({}), preview=True)

    def nodes() -> list[ktb.NodeArgs]:
        later = unless_unknown("10.0.0.1", False)
        return [
            {"name": "n1", "address": later, "hostKey": HOST_KEY},
            {"name": "n2", "address": "10.0.0.2", "hostKey": HOST_KEY},
        ]

    run(tmp_path, engine, nodes)
    by_name = {request["name"]: request["object"] for request in engine.requests.values()}
    assert by_name["n1-files"]["connection"] == UNKNOWN
    assert by_name["n1-files"]["stdin"] == UNKNOWN
    assert by_name["n1-member"]["delete"] == UNKNOWN
    assert by_name["n1-token"]["type"] == "bootstrap.kubernetes.io/token"
    assert "delete" not in by_name["workers-gate"]
    assert by_name["n2-files"]["connection"]["value"]["host"] == "10.0.0.2"
    # Nothing that stands in for an address is shown as one.
    assert "198.18." not in json.dumps(engine.requests)
    assert "198.18." not in json.dumps(engine.outputs)


def test_the_kubeconfig_of_another_stack_is_no_setting_of_a_program(tmp_path: Path) -> None:
    cluster = {"from": {"stack": "o/q/s", "kubeconfig": "kubeconfig"}}
    with pytest.raises(SettingsError, match=r"cluster\.from is no setting that a program can give"):
        run(tmp_path, Engine(joined={}, state=left({})), lambda: [], cluster=cluster)


@pytest.mark.parametrize("cluster", [{}, {"from": {"stack": "o/q/s", "kubeconfig": "k"}}])
def test_a_cluster_that_is_an_output_is_told(tmp_path: Path, cluster: Mapping[str, Any]) -> None:
    for given, told in (
        (lambda: pulumi.Output.from_input(cluster), "cluster is an Output; give a plain value"),
        (lambda: {"from": pulumi.Output.from_input(cluster)}, "cluster.from is no setting"),
    ):
        with pytest.raises(SettingsError, match=told):
            run(tmp_path, Engine(joined={}, state=left({})), lambda: [], cluster=given)


def test_a_kubeconfig_that_is_missing_is_told_with_the_command_for_the_stacks_file(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError) as told:
        run(tmp_path, Engine(joined={}, state=left({})), lambda: [], config={})
    assert "kubeconfigPath and the secret key kubeconfig are both missing" in str(told.value)
    assert "pulumi config set kubeconfigPath PATH" in str(told.value)
    assert "pulumi config set --secret kubeconfig <FILE" in str(told.value)
    assert "cluster.from" not in str(told.value)


@pytest.mark.parametrize(
    ("key", "value"), [("pools", "3"), ("pools", "{}"), ("cluster", '{"from": {"stack": "a/b/c"}}')]
)
def test_a_key_of_the_program_that_would_mislead_a_node_that_leaves_is_told(
    tmp_path: Path, key: str, value: str
) -> None:
    config = {"p:kubeconfigPath": str(tmp_path / "kubeconfig"), f"p:{key}": value}
    with pytest.raises(SettingsError, match=f"p:{key} is in the stack's file.*another name"):
        run(tmp_path, Engine(joined={}, state=left({})), lambda: [], config=config)


def test_other_keys_of_the_program_are_its_own(tmp_path: Path) -> None:
    config = {"p:kubeconfigPath": str(tmp_path / "kubeconfig"), "p:cluster": "prod", "p:drain": "x"}
    node: ktb.NodeArgs = {"name": "n1", "address": "10.0.0.1", "hostKey": HOST_KEY}
    engine = Engine(joined={"n1": "10.0.0.1"}, state=left({}))
    assert run(tmp_path, engine, lambda: [node], config=config).outputs_of("p-s")["nodes"]


@pytest.mark.parametrize("of_key", [True, False])
def test_a_run_that_leaves_out_a_machine_ends_before_anything_is_declared(
    tmp_path: Path, of_key: bool
) -> None:
    engine = Engine(joined={"n1": "10.0.0.1"}, state=left({}))

    def later() -> Any:
        return unless_unknown("10.0.0.1", False)

    node: ktb.NodeArgs = {"name": "n1", "address": "10.0.0.1", "hostKey": HOST_KEY}
    path = "ssh_private_key" if of_key else r"pools.workers.nodes\[0\].address"
    with pytest.raises(SettingsError, match=f"{path} is not known in this run.*without --target"):
        if of_key:
            run(tmp_path, engine, lambda: [node], later)
        else:
            run(tmp_path, engine, lambda: [{**node, "address": later()}])
    assert not engine.resources
    assert "kubeletTlsBootstrap" not in engine.outputs_of("p-s")
    assert not (tmp_path / ".pulumi-gate").exists()


def test_a_file_of_known_hosts_has_the_key_of_a_machine_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text(f"10.0.0.1 {HOST_KEY}\n")
    ssh = {"knownHostsPath": str(tmp_path / "known_hosts")}

    def nodes() -> list[ktb.NodeArgs]:
        return [{"name": "n1", "address": machine("n1").stdout}]

    def engine(address: str) -> Engine:
        return Engine(joined={"n1": address}, state=left({}), printed={"vm-n1": address})

    found = run(tmp_path, engine("10.0.0.1"), nodes, ssh=ssh)
    assert found.resources["n1-files"]["connection"]["value"]["hostKey"] == HOST_KEY
    # What stands in for it before the address is known is no key for a machine.
    with pytest.raises(SettingsError, match=r"10\.0\.0\.2 is not in ssh\.knownHostsPath"):
        run(tmp_path, engine("10.0.0.2"), nodes, ssh=ssh)


def test_a_run_says_in_a_file_how_its_nodes_leave_before_the_engine_stores_that(
    tmp_path: Path,
) -> None:
    file = tmp_path / ".pulumi-gate/o/p/s/_leaving.json"

    def once(outputs: Mapping[str, Any], *, preview: bool = False, **node: Any) -> Any:
        entry = {"name": "n1", "address": "10.0.0.1", "hostKey": HOST_KEY, **node}
        engine = Engine(joined={"n1": "10.0.0.1"}, state=left(outputs), preview=preview)
        run(tmp_path, engine, lambda: [cast(ktb.NodeArgs, entry)])
        return engine.outputs_of("p-s")

    once({}, preview=True)
    assert not file.exists()
    first = once({})
    assert first["kubeletTlsBootstrap"]["leaving"] == json.loads(file.read_text())
    assert json.loads(file.read_text())["run"] == 1
    shown = once(first, preview=True)
    assert shown["kubeletTlsBootstrap"]["leaving"] == first["kubeletTlsBootstrap"]["leaving"]
    second = once(first, force=True)["kubeletTlsBootstrap"]["leaving"]
    assert second == json.loads(file.read_text())
    assert (second["run"], second["pools"]["workers"]["nodes"][0]["force"]) == (2, True)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_file_that_can_not_be_written_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / ".pulumi-gate").write_text("")
    engine = Engine(joined={}, state=left({}))
    node: ktb.NodeArgs = {"name": "n1", "address": "10.0.0.1", "hostKey": HOST_KEY}
    with pytest.raises(SettingsError, match=r"_leaving.json can't be written: "):
        run(tmp_path, engine, lambda: [node])
    assert not engine.resources


@pytest.mark.parametrize("late", [True, False])
def test_user_data_holds_nothing_that_stands_in_for_a_value(tmp_path: Path, late: bool) -> None:
    found: dict[str, Any] = {}
    engine = Engine(joined={}, state=left({}), preview=late)
    pools = {"scaled": {"cloudInit": True}}

    def labelled() -> dict[str, Any]:
        label = unless_unknown(pulumi.Output.from_input("a"), not late)
        return {"scaled": {"cloudInit": True, "labels": {"zone": label}}}

    run(tmp_path, engine, lambda: [], pools=labelled, user_data=found)
    text, is_known = found["scaled"]
    assert is_known is not late
    assert late or "zone=a" in text
    again = Engine(joined={}, state=left({}), preview=late)
    run(tmp_path, again, lambda: [], pools=pools, user_data=found)
    assert found["scaled"][1]


def test_what_is_wrong_is_told_before_anything_joins(tmp_path: Path) -> None:
    engine = Engine(joined={}, state=left({}))
    with pytest.raises(SettingsError, match=r"pools.workers.nodes\[0\].hostKey is missing") as told:
        run(
            tmp_path,
            engine,
            lambda: [
                {"name": "n1", "address": machine("n1").stdout},
                {"name": "n1", "address": machine("n2").stdout, "hostKey": HOST_KEY},
            ],
        )
    assert 'pools.workers.nodes[1].name "n1" is already used' in str(told.value)
    assert "; no machine was connected to" in str(told.value)
    assert engine.resources.keys() == {"vm-n1", "vm-n2"}


def test_a_key_that_the_program_makes_logs_in(tmp_path: Path) -> None:
    engine = Engine(joined={"n1": "10.0.0.1"}, state=left({}), printed={"key": private_key()})
    node: ktb.NodeArgs = {"name": "n1", "address": "10.0.0.1", "hostKey": HOST_KEY}
    run(tmp_path, engine, lambda: [node], lambda: local.Command("key", create="x").stdout)
    connection = engine.resources["n1-files"]["connection"]["value"]
    assert connection["privateKey"] == for_engine(private_key())


def test_a_key_that_is_none_is_told_without_a_part_of_it(tmp_path: Path) -> None:
    engine = Engine(joined={}, state=left({}), printed={"key": "no such key"})
    node: ktb.NodeArgs = {"name": "n1", "address": "10.0.0.1", "hostKey": HOST_KEY}
    with pytest.raises(SettingsError, match="sshPrivateKey") as told:
        run(tmp_path, engine, lambda: [node], lambda: local.Command("key", create="x").stdout)
    assert "no such key" not in str(told.value)


def test_a_preview_needs_no_key_that_is_not_made_yet(tmp_path: Path) -> None:
    engine = Engine(joined={}, state=left({}), preview=True)
    node: ktb.NodeArgs = {"name": "n1", "address": "10.0.0.1", "hostKey": HOST_KEY}
    run(
        tmp_path,
        engine,
        lambda: [node],
        lambda: cast(pulumi.Output[str], unless_unknown("", False)),
    )
    assert any(urn.endswith("::n1-files") for urn in engine.requests)


def test_a_kubeconfig_of_the_program_and_a_missing_interpreter_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBELET_TLS_BOOTSTRAP_PYTHON")
    engine = Engine(joined={}, state=left({}))
    with pytest.raises(SettingsError) as told:
        run(tmp_path, engine, lambda: [], kubeconfigPath="kubeconfig")
    assert "pulumi config set kubeconfigPath PATH" in str(told.value)
    assert ".venv/bin/python does not exist" in str(told.value)


def test_a_program_ends_with_an_error_if_a_node_has_not_joined(tmp_path: Path) -> None:
    engine = Engine(pending=["n1"], state=left({}), printed={"vm-n1": "10.0.0.1"})
    with pytest.raises(pulumi.RunError, match="n1 has not joined"):
        run(tmp_path, engine, lambda: [made("n1")])
    assert engine.outputs_of("p-s")["nodes"] == {"workers": {}}


@pytest.mark.parametrize(
    ("arguments", "model"),
    [(ktb.NodeArgs, NodeSettings), (ktb.PoolArgs, Pool), (ktb.SettingsArgs, Settings)],
)
def test_the_types_have_each_key_of_the_settings(arguments: Any, model: Any) -> None:
    keys = {to_camel(name) for name in model.model_fields} - {KUBECONFIG_PATH}
    assert arguments.__required_keys__ | arguments.__optional_keys__ == keys
