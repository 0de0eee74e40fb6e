"""Reads a whole stack before the first resource: every problem in one error."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi

from credentials import Credentials
from credentials.certificate_authority import read_ca
from credentials.host_key import pin_keys
from credentials.kubeconfig import read_cluster, server
from credentials.private_key import fingerprint, for_engine, problem_of, read_private_keys
from settings import checks, claims, parsing
from settings.model import Settings
from settings.outputs import KUBECONFIG_FROM
from settings.parsing import Secret
from settings.problem import Problem, SettingsError
from ssh import agent
from stack import changes, origins, references, removals, state
from stack.changes import Keys
from stack.given import Maker
from stack.origins import Origins, Taken
from stack.record import Record


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The settings of a stack, and the content of the files and secrets that they name."""

    settings: Settings
    credentials: Credentials
    record: Record = field(default_factory=Record)
    """What is known of the nodes; `with_record` reads it."""
    origins: Origins = field(default_factory=Origins)
    """Where what the settings don't hold themselves comes from."""
    rbac_names: Mapping[str, str] = field(default_factory=dict)
    """The names of roles and bindings that are not the usual ones; `shared_cluster` finds them."""
    makers: Mapping[str, Maker] = field(default_factory=dict)
    """What makes the machines of the same program, by the names of the nodes."""


async def read(config: pulumi.Config) -> Stack:
    """Return the stack, and log a warning for each setting that has no effect.

    Raises:
        SettingsError: something is missing or wrong; the message lists all of it.
    """
    return await of_keys(parsing.plain(config), config)


def check(raw: Mapping[str, Any], config: pulumi.Config) -> None:
    """Check plain keys and what they name, without a look at other stacks.

    Raises:
        SettingsError: something is missing or wrong; the message lists all of it.
    """
    settings = parsing.parse(raw)
    problems = list(checks.problems(settings))
    read_credentials(
        settings,
        problems,
        kubeconfig=parsing.read_secret(config, parsing.KUBECONFIG),
        private_key=parsing.read_secret(config, parsing.PRIVATE_KEY),
    )
    if problems:
        raise SettingsError(problems)


async def of_keys(
    raw: Mapping[str, Any], config: pulumi.Config, private_key: Secret | None = None
) -> Stack:
    """Return the stack with these plain keys, and the secret ones of the engine; as `read`.

    `private_key` takes the place of the secret key `sshPrivateKey`.

    Raises:
        SettingsError: as `read`.
    """
    taken = Taken(settings=parsing.parse(raw))
    kubeconfig = parsing.read_secret(config, parsing.KUBECONFIG)
    if any(references.in_settings(taken.settings)) or taken.settings.cluster.source:
        secret_keys = (parsing.KUBECONFIG,) if kubeconfig else ()
        values = await references.read(taken.settings, state.full_name(), secret_keys)
        taken = origins.parse(raw, taken.settings, values)
        if taken.kubeconfig is not None:
            kubeconfig = parsing.secret(taken.kubeconfig)
    problems = list(checks.problems(taken.settings))
    credentials = read_credentials(
        taken.settings,
        problems,
        kubeconfig=kubeconfig,
        private_key=private_key or parsing.read_secret(config, parsing.PRIVATE_KEY),
        ca=taken.ca,
    )
    if problems:
        raise SettingsError([taken.origins.told(problem) for problem in problems])
    for warning in (
        *taken.warnings(),
        *checks.warnings(taken.settings),
        *warnings_of_agent(taken.settings, credentials),
    ):
        pulumi.log.warn(taken.origins.warning(warning))
    return Stack(settings=taken.settings, credentials=credentials, origins=taken.origins)


def warnings_of_agent(settings: Settings, credentials: Credentials) -> Iterator[str]:
    """Yield a warning if a machine is reached by the keys of an agent, and none has any."""
    if credentials.key(None) is not None:
        return
    machines = [m.path for m in settings.machines() if not m.ssh.private_key_path]
    if machines and (trouble := agent.trouble()):
        others = f" and {len(machines) - 1} more have" if len(machines) > 1 else " has"
        yield (
            f"{machines[0]}{others} no SSH key in the settings, and {trouble}, so nothing can"
            " connect to a machine: start an agent and load the key into it, or set"
            " ssh.privateKeyPath or the secret key sshPrivateKey"
        )


async def with_record(stack: Stack, found: Record | None = None) -> Stack:
    """Return the stack with what is known of its nodes; warn of changes with a catch.

    Raises:
        SettingsError: more nodes would leave than the settings allow; the message lists each pool.
    """
    found = found or await record()
    if problems := list(removals.problems(stack.settings, found)):
        raise SettingsError(problems)
    keys = await fingerprints(stack.credentials)
    for warning in changes.warnings(stack.settings, found, keys):
        pulumi.log.warn(stack.origins.warning(warning))
    return replace(stack, record=found)


async def record() -> Record:
    """Return what is known of the stack's nodes before this run."""
    return Record.of(await state.read())


async def fingerprints(credentials: Credentials) -> Keys:
    """Return the fingerprint of each SSH key that is a file or a secret of the stack."""
    found: dict[str | None, str] = {}
    for path in (None, *credentials.key_files):
        key = credentials.key(path)
        if key is not None and (told := fingerprint(await key.future() or "")):
            found[path] = told
    return found


def read_credentials(
    settings: Settings,
    problems: list[Problem],
    *,
    kubeconfig: Secret | None = None,
    private_key: Secret | None = None,
    ca: str | None = None,
) -> Credentials:
    """Return what the settings name and the secrets hold; add what is wrong to `problems`.

    `kubeconfig` and `ca` may be another stack's outputs.
    """
    url = api_server = authority = ""
    source = settings.cluster.source
    of_output = KUBECONFIG_FROM if source and source.kubeconfig else None
    # A preview may run where nobody has an administrator's credentials.
    entry = read_cluster(
        settings.kubeconfig_path,
        kubeconfig.text if kubeconfig else None,
        problems,
        of_output,
        runs=not pulumi.runtime.is_dry_run(),
    )
    if entry is not None:
        url = server(settings.cluster.server, entry, problems)
        api_server = entry.server  # the gate's: kubelets may use another URL
        problems += claims.server_problems(settings, api_server)
        authority = read_ca(settings.cluster.ca_path, entry, problems, ca)
    if settings.ssh.private_key_path and private_key is not None:
        problems.append(
            Problem(
                "ssh.privateKeyPath",
                "and the secret key sshPrivateKey are both set; remove one of them",
            )
        )
    if private_key and private_key.text and (problem := problem_of(private_key.text)):
        problems.append(Problem(f"the secret key {parsing.PRIVATE_KEY}", problem))
    layers = list(settings.ssh_layers())
    key_files = read_private_keys(layers, problems)
    host_keys = pin_keys(settings.machines(), layers, problems)
    return Credentials(
        kubeconfig_path=settings.kubeconfig_path,
        kubeconfig=kubeconfig.output if kubeconfig else None,
        server=url,
        api_server=api_server,
        ca_certificate=authority,
        private_key=private_key.output.apply(for_engine) if private_key else None,
        host_keys=host_keys.hosts,
        bastion_keys=host_keys.bastions,
        key_files=key_files,
    )
