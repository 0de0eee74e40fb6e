"""A stack's settings, read from its file without the engine. No secret is decrypted.

What can't be known this way (a kubeconfig that is a secret key, or whose file is missing) is named
in `unknown`, and a placeholder takes its place.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import node_files
from admission.program import document
from credentials.certificate_authority import read_ca
from credentials.kubeconfig import ClusterEntry, read_cluster, server
from settings import checks, parsing
from settings.model import Machine, Settings
from settings.outputs import KUBECONFIG_FROM
from settings.problem import Problem, SettingsError
from stack import origins, references
from stack.nodes import to_cluster, to_node
from stack.origins import Origins, Taken
from stack.references import Reference, Value

PROJECT_FILE = "Pulumi.yaml"
OUTPUT_TIMEOUT_S = 60
HIDDEN = "[secret]"  # what pulumi prints in place of a secret
UNKNOWN_SERVER = "https://NOT-KNOWN-HERE"
UNKNOWN_CA = "NOT KNOWN HERE\n"


@dataclass(frozen=True, kw_only=True)
class StackNode:
    """A node of the settings: its pool, its machine, and what is rendered for it."""

    pool: str
    machine: Machine
    node: node_files.Node


@dataclass(frozen=True, kw_only=True)
class StackFile:
    """The settings of a stack, and the cluster that they name."""

    name: str
    settings: Settings
    cluster: node_files.Cluster
    secret_keys: frozenset[str]
    unknown: tuple[Problem, ...]
    """As the settings have it; `origins` tells of it."""
    origins: Origins = field(default_factory=Origins)

    @property
    def knows_ca(self) -> bool:
        return self.cluster.ca_certificate != UNKNOWN_CA

    def nodes(self, names: list[str]) -> list[StackNode]:
        """Return the nodes with these names, or all of them for no names.

        Raises:
            ValueError: the settings have no such node.
        """
        machines = {machine.host.name: machine for machine in self.settings.machines()}
        found = [
            StackNode(
                pool=name, machine=machines[node.name], node=to_node(self.settings, pool, node)
            )
            for name, pool in self.settings.pools.items()
            for node in pool.nodes
        ]
        known = {entry.node.name for entry in found}
        for name in names:
            if name not in known:
                listed = ", ".join(sorted(known)) or "none"
                raise ValueError(f'the settings have no node "{name}"; they have {listed}')
        return [entry for entry in found if not names or entry.node.name in names]


def read(path: Path) -> StackFile:
    """Return the stack in a settings file.

    Raises:
        SettingsError: a setting is wrong; the message lists each one.
        ValueError: the file can't be read, or is not a settings file.
    """
    project = str(_mapping(path.parent / PROJECT_FILE).get("name", ""))
    config = _mapping(path).get("config") or {}
    if not isinstance(config, dict):
        raise ValueError(f'"{path}": config is not a map; give lines of key: value below config:')
    texts, secret_keys = _split(project, config)
    taken, unknown = _with_other_stacks(parsing.plain_of_texts(project, texts), secret_keys)
    settings = taken.settings
    if problems := list(checks.problems(settings)):
        raise SettingsError([taken.origins.told(problem) for problem in problems])
    url, ca, unknown = _cluster(taken, secret_keys, unknown)
    return StackFile(
        name=path.name.removeprefix("Pulumi.").removesuffix(".yaml"),
        settings=settings,
        cluster=to_cluster(settings.cluster, url or UNKNOWN_SERVER, ca or UNKNOWN_CA),
        secret_keys=secret_keys,
        unknown=tuple(unknown),
        origins=taken.origins,
    )


def _with_other_stacks(
    raw: Mapping[str, Any], secret_keys: frozenset[str]
) -> tuple[Taken, list[Problem]]:
    """Return the settings with what `pulumi` tells of other stacks' outputs, and what it hides."""
    settings = parsing.parse(raw)
    wrong = list(references.problems(settings, secret_keys))
    values, hidden = dict[str, Value](), list[Problem]()
    for reference in references.in_settings(settings):
        value = _output(reference)
        if not _is_hidden(value):
            values[reference.setting] = Value(value)
        elif (problem := references.secret_problem(reference)) is not None:
            wrong.append(problem)
        else:
            hidden.append(
                Problem(
                    reference.setting,
                    "is a secret, which is not decrypted here; name the outputs `server` and `ca`"
                    " in cluster.from, or set cluster.server and cluster.caPath",
                )
            )
    if wrong:
        raise SettingsError(wrong)
    return origins.parse(raw, settings, values), hidden


def _is_hidden(value: Any) -> bool:
    """Return whether a value is a secret, or holds one."""
    if isinstance(value, Mapping):
        return any(map(_is_hidden, value.values()))
    return value == HIDDEN or (isinstance(value, list) and any(map(_is_hidden, value)))


def _output(reference: Reference) -> Any:
    where = ("--json", "--stack", reference.stack, "--non-interactive")
    told = f"{reference.path}: {reference} can't be read"
    try:
        done = subprocess.run(
            ["pulumi", "stack", "output", reference.output, *where],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=OUTPUT_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise ValueError(f"{told}: pulumi is not on PATH; install it") from None
    except subprocess.TimeoutExpired:
        raise ValueError(f"{told}: pulumi did not end within {OUTPUT_TIMEOUT_S} s") from None
    if done.returncode:
        raise ValueError(f"{told}: {done.stderr.strip().removeprefix('error: ')}")
    try:
        return document(done.stdout)
    except ValueError:
        raise ValueError(f"{told}: what pulumi printed is not JSON") from None


def _mapping(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ValueError(
            f'"{path}" cannot be read: {error.strerror}; name the stack (--stack) or its file'
            " (--settings)"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError(f'"{path}" is not YAML; correct it') from None
    if not isinstance(document, dict):
        raise ValueError(f'"{path}" is not a settings file of Pulumi; it needs config:')
    return document


def _split(project: str, config: dict[str, Any]) -> tuple[dict[str, str], frozenset[str]]:
    """Return the project's plain keys as the engine passes them on, and its secret keys.

    Raises:
        SettingsError: a key stands twice, with the project's name and without.
    """
    found: dict[str, list[str]] = {}
    values = {str(name): value for name, value in config.items()}
    for name in values:
        namespace, _, key = name.rpartition(":")
        # As ParseKey in the engine's sdk/go/common/resource/config/key.go has them.
        if namespace in ("", project, f"{project}:config"):
            found.setdefault(key, []).append(name)
    if twice := [
        Problem(key, f"stands twice, as {' and as '.join(names)}; remove one of them")
        for key, names in found.items()
        if len(names) > 1
    ]:
        raise SettingsError(twice)
    texts: dict[str, str] = {}
    secret_keys: set[str] = set()
    for key, (name,) in found.items():
        value = values[name]
        if isinstance(value, dict) and set(value) == {"secure"}:
            secret_keys.add(key)
        else:
            texts[key] = value if isinstance(value, str) else json.dumps(value)
    return texts, frozenset(secret_keys)


def _cluster(
    taken: Taken, secret_keys: frozenset[str], hidden: list[Problem]
) -> tuple[str, str, list[Problem]]:
    """Return the API server's URL and the CA as far as they are known, and why one is not."""
    given, ca_path = taken.settings.cluster.server, taken.settings.cluster.ca_path
    unknown, entry = list(hidden), None
    if parsing.KUBECONFIG in secret_keys:
        unknown.append(
            Problem(
                "kubeconfig",
                "is a secret key, which is not decrypted here; set cluster.server and"
                " cluster.caPath",
            )
        )
    elif not hidden:
        of_output = KUBECONFIG_FROM if taken.kubeconfig is not None else None
        path = taken.settings.kubeconfig_path
        entry = read_cluster(path, taken.kubeconfig, unknown, of_output, runs=False)
    misled: list[Problem] = []
    url = server(given, entry or ClusterEntry(), misled)
    # Without caPath the CA is unknown because the kubeconfig is, which is listed already.
    has_ca = entry or ca_path or taken.ca is not None
    ca = read_ca(ca_path, entry or ClusterEntry(), unknown, taken.ca) if has_ca else ""
    if url and ca and not misled:
        return url, ca, []
    return "" if misled else url, ca, [*unknown, *misled]
