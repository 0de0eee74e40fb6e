"""Machines that join a cluster in the program that makes them."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pulumi

from components.dependencies import unless_unknown
from kubelet_tls_bootstrap import leaving, prerequisites
from kubelet_tls_bootstrap.resources import Fleet, declare
from kubelet_tls_bootstrap.settings import SettingsArgs
from settings import parsing
from settings.parsing import Secret
from settings.problem import Problem, SettingsError
from stack import reading, removals, shared_cluster
from stack.given import Given, Plain, value
from stack.reading import Stack
from stack.record import LEAVING
from stack.state import OUTPUT, full_name

UNTOUCHED = "no machine was connected to, and nothing in the cluster was changed"
# No program has a provider of this name for another cluster.
PROVIDER = "kubelet-tls-bootstrap"


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
        stack, plain = await _read(settings, ssh_private_key)
        is_preview = pulumi.runtime.is_dry_run()
        # So that a preview after a run shows no other number.
        leaves = leaving.document(stack.settings, stack.record.run + (not is_preview))
        if not is_preview:
            leaving.write(full_name(), leaves)
    except SettingsError as error:
        # The resources that the program has declared before are made all the same.
        raise SettingsError(error.problems, untouched=UNTOUCHED) from None
    if late := [name for name, maker in stack.makers.items() if not maker.is_done]:
        pulumi.log.info(
            f"{', '.join(late)}: the address or another value is not known before the machine is"
            " made; this preview shows the files and the join, but not what they hold"
        )
    found = await declare(stack, provider=PROVIDER, depends_on=plain.cluster)
    pulumi.export(
        OUTPUT,
        {
            "nodes": dict(found.nodes),
            "pendingNodes": found.pending,
            "record": found.record,
            LEAVING: unless_unknown(leaves, not late),
        },
    )
    yield replace(
        found,
        user_data={
            name: unless_unknown(text, name not in plain.late_pools)
            for name, text in found.user_data.items()
        },
    )
    await removals.only_if_nothing_has_failed(found.pending, found.unfinished)


async def _read(
    settings: SettingsArgs, ssh_private_key: pulumi.Input[str] | None
) -> tuple[Stack, Plain]:
    """Return the stack with these settings, and what is known of their Outputs."""
    config = pulumi.Config()
    if problems := list(prerequisites.problems(settings, config)):
        raise SettingsError(problems)
    given = Given({**settings, **parsing.paths(config)})
    # All that is wrong apart from the Outputs' own values, before the time that these take.
    reading.check(given.stand_ins(), config)
    record = await reading.record()
    plain = await given.plain(record, is_preview=pulumi.runtime.is_dry_run())
    key = None if ssh_private_key is None else await _key(ssh_private_key)
    stack = await reading.with_record(await reading.of_keys(plain.keys, config, key), record)
    stack = await shared_cluster.with_cluster(replace(stack, makers=plain.makers))
    return stack, plain


async def _key(given: pulumi.Input[str]) -> Secret:
    output = pulumi.Output.secret(given)
    try:
        found = await value(output, is_preview=pulumi.runtime.is_dry_run())
    except ValueError as error:
        raise SettingsError([Problem("ssh_private_key", str(error))]) from None
    return Secret(found.value if found.is_known and found.value else "", output)
