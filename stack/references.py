"""The outputs of other stacks that settings name, read as plain values before the first resource.

`origins` puts them into the settings.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from settings.model import Settings
from settings.outputs import CA_FROM, CLUSTER_FROM, KUBECONFIG_FROM, NETWORKS_FROM, SERVER_FROM
from settings.parsing import KUBECONFIG
from settings.problem import Problem, SettingsError


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An output of another stack, and the setting that names it."""

    path: str
    """Of the setting that names the stack."""
    setting: str
    """The path of the setting that names the output."""
    stack: str
    output: str

    def __str__(self) -> str:
        return f'the output "{self.output}" of the stack {self.stack}'

    def problem(self, message: str) -> Problem:
        """Return what is wrong with the output, by its name."""
        return Problem(self.setting, f'"{self.output}" of the stack {self.stack} {message}')


@dataclass(frozen=True)
class Value:
    """What an output holds."""

    value: Any = field(repr=False)
    is_secret: bool = False


# By the path of the setting that names the output.
Values = Mapping[str, Value]


def in_settings(settings: Settings) -> Iterator[Reference]:
    """Yield each output of another stack that the settings name."""
    if (source := settings.cluster.source) is not None:
        outputs = {
            KUBECONFIG_FROM: source.kubeconfig,
            SERVER_FROM: source.server,
            CA_FROM: source.ca,
            NETWORKS_FROM: source.service_cidr,
        }
        for setting, output in outputs.items():
            if output is not None:
                yield Reference(
                    path=CLUSTER_FROM, setting=setting, stack=source.stack, output=output
                )
    for name in settings.pools:
        yield from of_pool(settings, name)


def of_pool(settings: Settings, pool: str) -> Iterator[Reference]:
    """Yield the output that holds nodes of a pool, if there is one."""
    if (source := settings.pools[pool].nodes_from) is not None:
        path = f"pools.{pool}.nodesFrom"
        yield Reference(
            path=path, setting=f"{path}.output", stack=source.stack, output=source.output
        )


def problems(settings: Settings, secret_keys: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with how the settings name outputs; `secret_keys` are the stack's."""
    cluster = settings.cluster
    if cluster.source is None:
        return
    named = [reference.setting for reference in in_settings(settings)]
    if not any(setting.startswith(f"{CLUSTER_FROM}.") for setting in named):
        yield Problem(
            CLUSTER_FROM, "names no output; give kubeconfig, server, ca or serviceCidr with a name"
        )
    given = {
        "kubeconfigPath": (KUBECONFIG_FROM, settings.kubeconfig_path),
        "the secret key kubeconfig": (KUBECONFIG_FROM, KUBECONFIG in secret_keys),
        "cluster.server": (SERVER_FROM, cluster.server),
        "cluster.caPath": (CA_FROM, cluster.ca_path),
        "cluster.serviceCidr": (NETWORKS_FROM, "service_cidr" in cluster.model_fields_set),
    }
    for other, (setting, is_given) in given.items():
        if setting in named and is_given:
            yield Problem(setting, f"and {other} are both set; remove one of them")


def secret_problem(reference: Reference) -> Problem | None:
    """Return what is wrong with an output that is a secret; None: it may be one."""
    if reference.setting == KUBECONFIG_FROM:
        return None
    if reference.path == CLUSTER_FROM:
        return reference.problem(
            "is a secret, and previews show it; export it with pulumi.Output.unsecret"
        )
    return reference.problem(
        "is a secret, and previews show nodes; export it without what is secret in it"
    )


def missing(reference: Reference) -> Problem:
    """Return what is wrong with an output that is not there."""
    return Problem(
        reference.setting,
        f'"{reference.output}" is no output of the stack {reference.stack}, or not yet; run pulumi'
        " up there first, or correct the name",
    )


async def read(
    settings: Settings, own_name: str, secret_keys: Collection[str] = ()
) -> dict[str, Value]:
    """Return the outputs that the settings name.

    A stack that the backend does not know, or that may not be read, ends the run with an error of
    the engine's, which names the path of the setting and that stack.

    Raises:
        SettingsError: an output is missing, a secret that may be none, or this stack's own, or a
            value is given here too; lists all of them.
    """
    found: dict[str, Value] = {}
    wrong = list(problems(settings, secret_keys))
    stacks: dict[str, pulumi.StackReference] = {}
    own = [r for r in in_settings(settings) if _is_own(r.stack, own_name)]
    for path, stack in {reference.path: reference.stack for reference in own}.items():
        wrong.append(Problem(f"{path}.stack", f'"{stack}" is this stack itself; name another one'))
    for reference in in_settings(settings):
        if reference in own:
            continue
        value = await _read(reference, stacks)
        if value is None:
            wrong.append(missing(reference))
        elif value.is_secret and (problem := secret_problem(reference)):
            wrong.append(problem)
        else:
            found[reference.setting] = value
    if wrong:
        raise SettingsError(wrong)
    return found


async def _read(reference: Reference, stacks: dict[str, pulumi.StackReference]) -> Value | None:
    if reference.path not in stacks:
        stacks[reference.path] = pulumi.StackReference(
            reference.path,  # since the engine's own errors quote the name
            stack_name=reference.stack,
            # The state of this stack holds all outputs of that one, and a kubeconfig may be plain.
            opts=pulumi.ResourceOptions(additional_secret_outputs=["outputs"]),
        )
    details = await stacks[reference.path].get_output_details(reference.output)
    if details.secret_value is not None:
        return Value(details.secret_value, is_secret=True)
    return None if details.value is None else Value(details.value)


def _is_own(stack: str, own_name: str) -> bool:
    """Return whether a stack's name, short or whole, is this stack's."""
    organization, _, name = own_name.split("/")
    return stack in (own_name, f"{organization}/{name}", name)
