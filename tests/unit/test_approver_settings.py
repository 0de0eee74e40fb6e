"""What the settings of the resident approver must be, and what a preview warns of."""

from typing import Any

import pytest

from settings import checks
from settings.parsing import parse
from stack.arguments import _pools_read

IMAGE = f"registry.example.org/approver@sha256:{'a' * 64}"
ON = {"enabled": True, "image": IMAGE}
LABELS = {"node-role.kubernetes.io/control-plane": ""}
HOSTS = [{"name": "cp-1", "address": "10.0.0.1"}]


def warnings(approver: dict[str, Any], **stack: Any) -> list[str]:
    settings = parse({"approver": approver, **stack})
    assert list(checks.problems(settings)) == []
    return list(checks.warnings(settings))


def pools(*, address: str, node: Any = None, pool: Any = None, **fields: Any) -> dict[str, Any]:
    entry = {"name": "cp-1", "address": address, "labels": node or {}, **fields}
    return {"main": {"labels": pool or {}, "nodes": [entry]}}


def test_replicas_on_machines_of_workers_are_warned_of() -> None:
    (warning,) = warnings({**ON, "allowWorkers": True})
    assert warning.startswith("approver.allowWorkers is true")
    assert "whoever owns the machine of a replica can approve any serving certificate" in warning
    assert warnings(ON) == []
    assert warnings({"allowWorkers": True}) == []


@pytest.mark.parametrize(
    "where",
    [
        {"labels": LABELS, "pools": pools(address="10.0.0.9")},
        {"pools": pools(address="10.0.0.9", pool=LABELS)},
        {"pools": pools(address="10.0.0.9", node=LABELS)},
    ],
    ids=["stack", "pool", "node"],
)
def test_a_label_on_a_machine_that_is_not_the_control_planes_is_warned_of(
    where: dict[str, Any],
) -> None:
    hosts = {"controlPlane": {"hosts": [{"name": "cp-9", "address": "10.0.0.1"}]}}
    (warning,) = warnings(ON, **where, **hosts)
    assert warning.startswith("pools.main.nodes[0] (cp-1) has the label node-role.kubernetes.io/")
    # Nobody has said which machines are the control plane's.
    assert warnings(ON, **where) == []
    assert warnings({}, **where, **hosts) == []


@pytest.mark.parametrize(
    "found",
    [
        pools(address="10.0.0.1", node=LABELS),
        pools(address="10.0.0.9", pool=LABELS, node=dict.fromkeys(LABELS)),
        pools(address="10.0.0.9", node=LABELS, force=True),
    ],
    ids=["a machine that is both", "taken back by the node", "gone"],
)
def test_a_label_that_is_right_or_not_there_is_not_warned_of(found: dict[str, Any]) -> None:
    host = {"name": "cp-1" if found["main"]["nodes"][0]["address"] == "10.0.0.1" else "cp-9"}
    assert warnings(ON, pools=found, controlPlane={"hosts": [{**HOSTS[0], **host}]}) == []


@pytest.mark.parametrize(
    ("others", "read"),
    [({}, ()), ({"otherPools": []}, ("main",)), ({"otherPools": ["x"]}, ("main", "x"))],
    ids=["all", "the stack's own", "and another's"],
)
def test_the_pools_whose_inventories_count(others: dict[str, Any], read: tuple[str, ...]) -> None:
    settings = parse({"approver": {**ON, **others}, "pools": pools(address="10.0.0.1")})
    assert list(checks.problems(settings)) == []
    assert _pools_read(settings) == read


def test_an_approver_that_would_read_no_inventory_is_refused() -> None:
    (problem,) = checks.problems(parse({"approver": {**ON, "otherPools": []}}))
    assert problem.path == "approver.otherPools"
    assert list(checks.problems(parse({"approver": {**ON, "otherPools": ["x"]}}))) == []


@pytest.mark.parametrize(
    ("versions", "refused"),
    [
        ({"kubernetesVersion": "1.29"}, True),
        ({"kubernetesVersion": "1.30"}, False),
        ({}, False),
        ({"kubernetesVersion": "1.29", "pools": {"a": {"kubernetesVersion": "1.31"}}}, True),
        (
            {
                "kubernetesVersion": "1.29",
                "pools": pools(address="10.0.0.1", kubernetesVersion="1.31"),
            },
            False,
        ),
    ],
    ids=["old", "the first", "default", "no node of it", "a newer node"],
)
def test_policies_need_a_version_that_has_them(versions: dict[str, Any], refused: bool) -> None:
    settings = parse({"approver": {**ON, "admissionPolicy": True}, **versions})
    found = [problem.path for problem in checks.problems(settings)]
    assert found == (["approver.admissionPolicy"] if refused else [])
