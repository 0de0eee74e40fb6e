"""Dependencies on resources that may fail while the rest of a run goes on.

With `--continue-on-error` the SDK ends a program with two tracebacks when `depends_on` names a
resource that has failed: it awaits the URN, which a failed resource does not have
(`_resolve_depends_on_urns` in pulumi/runtime/_depends_on.py). So such a dependency is an Output
whose failure is recovered.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import pulumi
from pulumi.resource import DependencyResource

T = TypeVar("T")
Dependencies = pulumi.Output[list[pulumi.Resource]]


def after(parent: pulumi.Resource | None, *resources: pulumi.Resource) -> Dependencies:
    """Return dependencies with which the engine skips whatever needs a resource that has failed.

    `parent` is the resources' parent, which the URN of a failed one is made from.
    """
    urns = [resource.urn.recover(partial(_urn, resource, parent)) for resource in resources]
    return pulumi.Output.all(*urns).apply(lambda known: [DependencyResource(u) for u in known])


def once_there(parent: pulumi.Resource | None, resource: pulumi.Resource | None) -> Dependencies:
    """Return what is known once a resource has been made, and holds it only if it has failed.

    So the state of what waits for it says nothing of it, and does not change when it goes.
    """

    async def failed() -> list[pulumi.Resource]:
        if resource is None:
            return []
        urn = (
            await resource.urn.apply(lambda _: "").recover(partial(_urn, resource, parent)).future()
        )
        return [DependencyResource(urn)] if urn else []

    # An Output of its own, since one of the resource would be recorded as a dependency on it.
    return pulumi.Output.from_input(failed())


def together(*lists: pulumi.Output[Any]) -> pulumi.Output[list[Any]]:
    """Return the items of all lists: of dependencies, one on all of them."""
    return pulumi.Output.all(*lists).apply(lambda found: [item for each in found for item in each])


def _urn(
    resource: pulumi.Resource, parent: pulumi.Resource | None, failure: Exception
) -> pulumi.Output[str]:
    """Return the URN of a resource that the engine has tried and failed, or left out.

    The engine knows nothing of one whose registration has ended in the SDK already: a dependency on
    that would be one on nothing.
    """
    name, kind = resource.pulumi_resource_name, resource.pulumi_resource_type
    if not str(failure).startswith(f"resource {name} [{kind}] "):
        raise failure

    async def text() -> str:
        # As a plain value: an Output would depend on the parent, and so on all of its children.
        return str(await pulumi.create_urn(name, kind, parent=parent).future())

    return pulumi.Output.from_input(text())


def unless_failed(resources: Sequence[pulumi.Resource]) -> Dependencies:
    """Return the resources to depend on, without those that have failed.

    For an order that only removals need, or where a failure must not block what comes after.
    """
    urns = [value_or(resource.urn, "") for resource in resources]
    return pulumi.Output.all(*urns).apply(
        lambda known: [DependencyResource(urn) for urn in known if urn]
    )


def unless_all_failed(resources: Sequence[pulumi.Resource], failure: Dependencies) -> Dependencies:
    """Return the resources that have not failed; if all have, a dependency on one of those."""
    return pulumi.Output.all(unless_failed(resources), failure).apply(
        lambda both: both[0] or both[1]
    )


def value_or(output: pulumi.Output[Any], other: Any) -> pulumi.Output[Any]:
    """Return an output, or another value if the resource that it is from has failed.

    The SDK ends the program with a traceback when it awaits such an output for an input, or for an
    output of a component. The other value is never used as an input: the engine skips the resource.
    """
    return output.recover(lambda _: other)


def plain(output: pulumi.Output[Any]) -> pulumi.Output[Any]:
    """Return an output of the same value on which nothing depends that reads it.

    The engine would leave that out if one of the resources had failed.
    """
    return pulumi.Output(set(), output.future(with_unknowns=True), output.is_known())


def unless_unknown(value: T, known: bool) -> T | pulumi.Output[Any]:
    """Return a value, or one that is not known yet, for a preview; None is none in any case."""

    async def result(found: Any) -> Any:
        return found

    if known or value is None:
        return value
    return pulumi.Output(set(), result(pulumi.UNKNOWN), result(False))


def succeeded(resource: pulumi.Resource) -> pulumi.Output[bool]:
    """Return whether the stack has a resource at the end of this run."""
    return value_or(resource.urn.apply(lambda _: True), False)
