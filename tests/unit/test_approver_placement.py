"""The look at the cluster's nodes before the approver's pods change."""

from typing import Any

import pulumi
import pytest

from components import approver_placement
from components.approver_arguments import ServingApproverArgs
from components.serving_approver import ServingApprover
from tests.unit.engine import Engine

SERVER = "https://api:6443"


def make(**changes: Any) -> ServingApproverArgs:
    return ServingApproverArgs(image="i", **{"stack": "o/p/s", "api_server": SERVER, **changes})


def check(nodes: int, **changes: Any) -> None:
    """Do what the engine does before it makes the Deployment."""
    asked: list[tuple[str, ...]] = []

    async def count(*what: str) -> int:
        asked.append(what)
        return nodes

    engine = Engine()
    failures: list[Exception] = []

    async def begin() -> None:
        binding = approver_placement.hooks("a", make(**changes), count)
        assert binding is not None
        (hook,) = binding.before_create or ()
        assert binding.before_update == [hook]
        assert isinstance(hook, pulumi.ResourceHook)
        called: Any = hook(pulumi.ResourceHookArgs(urn="urn::a", id="", name="a", type="t"))
        try:
            await called
        except ValueError as error:
            failures.append(error)

    engine.run(lambda: pulumi.Output.from_input(begin()))
    assert asked == [("node-role.kubernetes.io/control-plane", "o/p/s", SERVER)]
    if failures:
        raise failures[0]


def test_enough_nodes_of_the_control_plane_are_no_error() -> None:
    check(2)
    check(3)
    check(1, replicas=1)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (0, "approver.replicas is 2, each on a node of its own, but no node has the label node-"),
        (1, "only one node has the label .*, set approver.replicas to 1, or"),
    ],
)
def test_too_few_are_an_error_that_says_what_to_do(nodes: int, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        check(nodes)
    assert "set approver.allowWorkers to true" in str(caught.value)


def test_nobody_looks_where_any_node_will_do() -> None:
    assert approver_placement.hooks("a", make(allow_workers=True)) is None
    assert approver_placement.hooks("a", make(stack=None)) is None


def test_it_is_the_deployment_that_waits_for_the_look() -> None:
    engine = Engine().run(lambda: ServingApprover("a", make()) and None)
    (request,) = (r for r in engine.requests.values() if r["name"] == "a-deployment")
    assert request["hooks"] == {
        "before_create": ["a-placement"], "before_update": ["a-placement"],
    }  # fmt: skip
