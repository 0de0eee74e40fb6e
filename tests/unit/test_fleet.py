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
    **others: Any,
) -> Engine:
    """Run a program that makes these nodes' machines."""
    files = write_stack(directory)

    async def program() -> None:
        settings = {
            "cluster": files["cluster"],
            "pools": {"workers": {"nodes": nodes()}},
            **others,
        }
        given = {"ssh_private_key": key()} if key else {}
        async with ktb.fleet(cast(ktb.SettingsArgs, settings), **given) as found:
            pulumi.export("nodes", dict(found.nodes))

    pulumi.runtime.set_all_config({"p:kubeconfigPath": files["kubeconfigPath"]})
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
    monkeypatch.chdir(tmp_path)
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
