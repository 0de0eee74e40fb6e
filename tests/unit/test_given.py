"""Settings that a program gives by itself, in which a value may be an Output."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from components.dependencies import unless_unknown
from settings.problem import SettingsError
from stack.given import HOST_KEY, Given, Maker, Plain
from stack.record import Record, RecordedNode

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
UNKNOWN: Any = object()


class Vm(pulumi.Resource):
    """A resource that no engine knows."""

    def __init__(self, name: str) -> None:
        self.name = name


def output(value: Any, *resources: pulumi.Resource, secret: bool = False) -> pulumi.Output[Any]:
    async def of(found: Any) -> Any:
        return found

    known = value is not UNKNOWN
    return pulumi.Output(
        set(resources), of(value if known else pulumi.UNKNOWN), of(known), of(secret)
    )


def plain(make: Any, record: Record | None = None, *, is_preview: bool = True) -> Plain:
    async def resolve() -> Plain:
        return await Given(make()).plain(record or Record(), is_preview=is_preview)

    return asyncio.run(resolve())


def workers(*nodes: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    return {"pools": {"workers": {"nodes": list(nodes), **others}}}


def test_outputs_become_plain_values_and_what_they_come_from_is_kept_by_node() -> None:
    vm, other, network = Vm("vm"), Vm("other"), Vm("network")
    found = plain(
        lambda: {
            **workers(
                {"name": "n1", "address": output("10.0.0.1", vm), "hostKey": output(KEY, vm)},
                {"name": "n2", "address": "10.0.0.2", "labels": {"zone": output("a", other)}},
            ),
            "cluster": {"server": output("https://10.0.0.9", network)},
        }
    )
    assert found.keys == {
        **workers(
            {"name": "n1", "address": "10.0.0.1", "hostKey": KEY},
            {"name": "n2", "address": "10.0.0.2", "labels": {"zone": "a"}},
        ),
        "cluster": {"server": "https://10.0.0.9"},
    }
    assert {name: set(maker.resources) for name, maker in found.makers.items()} == {
        "n1": {vm, network},
        "n2": {other, network},
    }
    assert all(maker.is_done for maker in found.makers.values())
    assert found.cluster == (network,)


def test_what_a_preview_does_not_know_has_a_stand_in_and_its_node_is_not_done() -> None:
    found = plain(
        lambda: workers(
            {"name": "n1", "address": "10.0.0.1", "hostKey": KEY},
            {
                "name": "n2",
                "address": output(UNKNOWN),
                "hostKey": output(UNKNOWN),
                "sshAddress": output(UNKNOWN),
                "addresses": ["10.0.0.7"],
                "dnsNames": ["a", output(UNKNOWN)],
            },
        )
    )
    _, second = found.keys["pools"]["workers"]["nodes"]
    assert second == {
        "name": "n2",
        "address": "198.18.0.0",
        "hostKey": HOST_KEY,
        "dnsNames": ["a"],
    }
    assert found.makers["n1"] == Maker()
    assert not found.makers["n2"].is_done


def test_what_only_a_preview_may_not_know_is_named_in_any_other_run() -> None:
    def make() -> dict[str, Any]:
        return {
            **workers(
                {"name": "n1", "address": output("10.0.0.1"), "hostKey": KEY},
                {"name": "n2", "address": output(UNKNOWN), "hostKey": output(UNKNOWN)},
            ),
            "cluster": {"server": output(UNKNOWN)},
        }

    with pytest.raises(SettingsError) as raised:
        plain(make, is_preview=False)
    assert [problem.path for problem in raised.value.problems] == [
        "pools.workers.nodes[1].address",
        "pools.workers.nodes[1].hostKey",
        "cluster.server",
    ]
    assert "is not known in this run" in str(raised.value)
    assert "without --target" in str(raised.value)


def test_a_node_that_the_stack_has_keeps_its_address_until_the_new_one_is_known() -> None:
    record = Record(nodes={"n1": RecordedNode(address="10.0.0.1")})
    node = plain(lambda: workers({"name": "n1", "address": output(UNKNOWN)}), record)
    assert node.keys == workers({"name": "n1", "address": "10.0.0.1"})


def test_a_bastion_that_is_not_made_yet_is_no_missing_one() -> None:
    def make() -> dict[str, Any]:
        bastion = {"address": output(UNKNOWN), "hostKey": output(UNKNOWN)}
        return workers({"name": "n1", "address": "10.0.0.1", "ssh": {"bastion": bastion}})

    found = plain(make, Record(nodes={"n1": RecordedNode(address="10.0.0.1")}))
    (node,) = found.keys["pools"]["workers"]["nodes"]
    assert node["ssh"]["bastion"] == {"address": "198.18.0.0", "hostKey": HOST_KEY}
    assert not found.makers["n1"].is_done


def test_a_file_of_known_hosts_may_have_the_key_of_what_is_not_made_yet() -> None:
    def make() -> dict[str, Any]:
        bastion = {"address": output(UNKNOWN)}
        return {
            **workers(
                {"name": "n1", "address": output(UNKNOWN), "kubelet": {"address": output(UNKNOWN)}},
                {"name": "n2", "address": "10.0.0.2", "sshAddress": output(UNKNOWN)},
                {"name": "n3", "address": output(UNKNOWN), "hostKey": KEY},
                {"name": "n4", "address": output("10.0.0.4")},
                ssh={"bastion": bastion},
            ),
            "ssh": {"knownHostsPath": "known_hosts"},
        }

    pool = plain(make).keys["pools"]["workers"]
    keys = [node.get("hostKey") for node in pool["nodes"]]
    assert keys == [HOST_KEY, HOST_KEY, KEY, None]
    assert pool["ssh"]["bastion"]["hostKey"] == HOST_KEY
    assert "hostKey" not in pool["nodes"][0]["kubelet"]


def test_a_missing_host_key_that_no_file_can_have_is_not_hidden() -> None:
    (node,) = plain(lambda: workers({"name": "n1", "address": output(UNKNOWN)})).keys["pools"][
        "workers"
    ]["nodes"]
    assert "hostKey" not in node


def test_a_pool_is_late_by_its_own_values_and_not_by_its_nodes() -> None:
    def make(server: Any = "https://10.0.0.9") -> dict[str, Any]:
        return {
            "cluster": {"server": server},
            "pools": {
                "a": {"labels": {"x": output(UNKNOWN)}},
                "b": {"nodes": [{"name": "n1", "address": output(UNKNOWN)}]},
            },
        }

    assert plain(make).late_pools == {"a"}
    assert plain(lambda: make(output(UNKNOWN))).late_pools == {"a", "b"}


def test_what_a_pool_takes_from_a_resource_concerns_its_nodes_alone() -> None:
    vm = Vm("vm")
    found = plain(
        lambda: {
            "pools": {
                "a": {"labels": {"x": output(UNKNOWN, vm)}, "nodes": [{"name": "n1"}]},
                "b": {"nodes": [{"name": "n2"}]},
            }
        }
    )
    assert found.makers == {"n1": Maker(resources=(vm,), is_done=False), "n2": Maker()}
    assert found.keys["pools"]["a"]["labels"] == {}


def test_stand_ins_need_no_engine_and_differ_by_node() -> None:
    async def made() -> dict[str, Any]:
        nodes = [{"name": f"n{number}", "address": output("10.0.0.1")} for number in range(300)]
        return Given(workers(*nodes)).stand_ins()

    nodes = asyncio.run(made())["pools"]["workers"]["nodes"]
    assert len({node["address"] for node in nodes}) == 300


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: {"pools": output({})}, "pools is an Output"),
        (lambda: workers(**{"nodes": output([])}), "pools.workers.nodes is an Output"),
        (
            lambda: {"pools": {"workers": {"nodes": [output({})]}}},
            r"pools.workers.nodes\[0\] is an Output",
        ),
        (
            lambda: workers({"name": output("n1"), "address": "10.0.0.1"}),
            r"pools.workers.nodes\[0\].name is an Output",
        ),
        (
            lambda: {"controlPlane": {"hosts": [{"name": "cp", "address": output("10.0.0.9")}]}},
            r"controlPlane.hosts\[0\].address is an Output",
        ),
        (lambda: workers(ssh=output({})), "pools.workers.ssh is an Output; .*only what is in it"),
        (
            lambda: {"ssh": {"knownHostsPath": output("known_hosts")}},
            "ssh.knownHostsPath is an Output",
        ),
        (lambda: {"cluster": output({})}, "cluster is an Output; .*only what is in it"),
        (lambda: {"cluster": {"caPath": output("ca.crt")}}, "cluster.caPath is an Output"),
        (
            lambda: workers({"name": "n1", "address": output("10.0.0.1", secret=True)}),
            r"pools.workers.nodes\[0\].address is a secret",
        ),
    ],
)
def test_what_has_to_be_plain_is_named(make: Any, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as raised:
        plain(make)
    assert "10.0.0.1" not in str(raised.value)


def test_what_comes_from_a_resource_that_failed_is_named() -> None:
    def make() -> dict[str, Any]:
        return workers({"name": "n1", "address": failing()})

    with pytest.raises(
        SettingsError, match=r"nodes\[0\].address is not there, since what it comes from has"
    ) as raised:
        plain(make)
    assert "boom" not in str(raised.value)


def failing() -> pulumi.Output[Any]:
    async def fail() -> Any:
        raise RuntimeError("boom")

    return pulumi.Output.from_input(fail())


def test_a_value_that_is_not_known_is_one_for_the_engine_too() -> None:
    async def look() -> tuple[Any, bool]:
        found: Any = unless_unknown("x", False)
        return await found.future(), await found.is_known()

    assert asyncio.run(look()) == (None, False)
    assert unless_unknown("x", True) == "x"
