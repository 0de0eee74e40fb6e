"""Machines that join a cluster in the program that makes them."""

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi

from components.dependencies import unless_unknown
from kubelet_tls_bootstrap.resources import Fleet, declare
from kubelet_tls_bootstrap.settings import SettingsArgs
from settings import parsing
from settings.model import Settings
from settings.outputs import CLUSTER_FROM
from settings.parsing import Secret
from settings.problem import Problem, SettingsError
from stack import reading, removals, shared_cluster
from stack.given import Given
from stack.reading import Stack
from stack.state import OUTPUT

UNTOUCHED = "no machine was connected to, and nothing in the cluster was changed"
# No program has a provider of this name for another cluster.
PROVIDER = "kubelet-tls-bootstrap"
PYTHON, USUAL_PYTHON = "KUBELET_TLS_BOOTSTRAP_PYTHON", Path(".venv/bin/python")


@contextlib.asynccontextmanager
async def fleet(
    settings: SettingsArgs, *, ssh_private_key: pulumi.Input[str] | None = None
) -> AsyncIterator[Fleet]:
    """Give the machines of these settings, which join; use it once, in an async program.

    It awaits the Outputs among the settings. Its end awaits the joins, and ends the program with an
    error if one has failed, so that the engine then removes nothing: declare all else before that.

    `ssh_private_key` logs in to the machines, in OpenSSH's format, in the place of the secret key
    `sshPrivateKey`.

    Raises:
        SettingsError: a setting is missing or wrong; the message lists all of them. A preview tells
            of all that is wrong but the values that it does not know.
        RunError: a machine has not joined, or something of it has failed; names each one.
    """
    try:
        stack, depends_on = await _read(settings, ssh_private_key)
    except SettingsError as error:
        # The resources that the program has declared before are made all the same.
        raise SettingsError(error.problems, untouched=UNTOUCHED) from None
    if late := [name for name, maker in stack.makers.items() if not maker.is_done]:
        pulumi.log.info(
            f"{', '.join(late)}: the address or another value is not known before the machine is"
            " made; this preview shows the files and the join, but not what they hold"
        )
    found = await declare(stack, provider=PROVIDER, depends_on=depends_on)
    pulumi.export(
        OUTPUT,
        {
            "nodes": dict(found.nodes),
            "pendingNodes": found.pending,
            "record": found.record,
            "leaving": unless_unknown(_leaving(stack.settings), not late),
        },
    )
    yield found
    await removals.only_if_nothing_has_failed(found.pending, found.unfinished)


async def _read(
    settings: SettingsArgs, ssh_private_key: pulumi.Input[str] | None
) -> tuple[Stack, tuple[pulumi.Resource, ...]]:
    """Return the stack with these settings, and what the values come from that no pool has."""
    config = pulumi.Config()
    _require(settings)
    given = Given({**settings, **parsing.paths(config)})
    # All that is wrong apart from the Outputs' own values, before the time that these take.
    reading.check(given.stand_ins(), config)
    record = await reading.record()
    plain = await given.plain(record)
    key = None
    if ssh_private_key is not None:
        output = pulumi.Output.secret(ssh_private_key)
        key = Secret(await output.future() or "", output)
    stack = await reading.with_record(await reading.of_keys(plain.keys, config, key), record)
    stack = await shared_cluster.with_cluster(replace(stack, makers=plain.makers))
    return stack, plain.cluster


def _require(settings: SettingsArgs) -> None:
    """Raise if what the engine starts would not find its interpreter, or the kubeconfig."""
    problems = []
    if parsing.KUBECONFIG_PATH in settings:
        problems.append(
            Problem(
                parsing.KUBECONFIG_PATH,
                "is no setting that a program can give: what drains a node in a `pulumi destroy`,"
                " which runs no program, needs it too. Set it in the stack's file: pulumi config"
                f" set {parsing.KUBECONFIG_PATH} PATH",
            )
        )
    if settings.get("cluster", {}).get("from"):
        problems.append(
            Problem(
                CLUSTER_FROM,
                "is no setting that a program can give: give cluster.server and the like as Outputs"
                " of a StackReference, and the kubeconfig in the stack's file: pulumi config set"
                f" --secret {parsing.KUBECONFIG}",
            )
        )
    if PYTHON not in os.environ and not USUAL_PYTHON.exists():
        problems.append(
            Problem(
                PYTHON,
                f"is not in the environment of pulumi, and {USUAL_PYTHON} does not exist: the"
                " engine could not start what approves certificates and drains nodes. Set it to"
                " the path of the Python interpreter that has the package kubelet-tls-bootstrap,"
                " or call the program's virtual environment .venv",
            )
        )
    if problems:
        raise SettingsError(problems)


def _leaving(settings: Settings) -> dict[str, Any]:
    """Return what `admission leave` needs of the settings, which no file of the stack holds."""
    return {
        "drain": _given(settings.drain),
        "pools": {
            name: {
                "drain": _given(pool.drain),
                "nodes": [
                    {"name": node.name, "address": node.address, "force": node.force}
                    for node in pool.nodes
                ],
            }
            for name, pool in settings.pools.items()
        },
    }


def _given(drain: Any) -> dict[str, Any]:
    found: dict[str, Any] = drain.model_dump(by_alias=True, exclude_unset=True)
    return found
