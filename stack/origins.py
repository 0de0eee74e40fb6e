"""The settings with what outputs of other stacks hold, and where each part of them comes from.

Nodes take their place behind the pool's own `nodes`, and what is said of the cluster that of the
settings of `cluster`, so everything that follows treats them alike.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from admission.terminal import visible
from settings import parsing
from settings.model import Settings
from settings.outputs import CA_FROM, CLUSTER_FROM, KUBECONFIG_FROM, NETWORKS_FROM, SERVER_FROM
from settings.problem import Problem, SettingsError
from stack import references
from stack.references import Reference, Values

PLACE = re.compile(
    r"\bpools\.(?P<pool>[a-z0-9-]+)\.nodes\[(?P<index>\d{1,9})\]"
    r"|\bcluster\.(?:from\.)?(?P<key>[A-Za-z]+)\b"
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The nodes of one output, and how each is named in it."""

    source: Reference
    nodes: list[Any]
    places: list[str]
    first: int
    """The index of the first of them among the nodes of its pool."""


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Where what the settings don't hold themselves comes from."""

    pools: Mapping[str, Found] = field(default_factory=dict)
    """The nodes, by their pools."""
    cluster: Mapping[str, Reference] = field(default_factory=dict)
    """What is said of the cluster, by the path of the setting that names the output."""

    def told(self, problem: Problem) -> Problem:
        """Return a problem that names each such part by its place in the other stack's output."""
        sources: dict[str, None] = {}

        def place(match: re.Match[str]) -> str:
            name, source = self._origin(match)
            if source is None:
                return match[0]
            sources[str(source)] = None
            return name

        path = PLACE.sub(place, problem.path)
        message = PLACE.sub(place, problem.message)
        if sources:
            message += f" (in {' and '.join(sources)})"
        return Problem(path, message, problem.sentence)

    def _origin(self, match: re.Match[str]) -> tuple[str, Reference | None]:
        if match["key"]:
            setting = f"{CLUSTER_FROM}.{match['key']}"
            return setting, self.cluster.get(setting)
        pool, index = match["pool"], int(match["index"])
        found = self.pools.get(pool)
        # A value that is quoted may look like a place that there is not.
        if found is None or not 0 <= index - found.first < len(found.places):
            return "", None
        return f"pools.{pool}.nodesFrom{found.places[index - found.first]}", found.source

    def warning(self, text: str) -> str:
        """Return a warning that names them so, as a line for a terminal."""
        return visible(self.told(Problem("", text)).message)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The settings with what outputs of other stacks hold."""

    settings: Settings
    origins: Origins = field(default_factory=Origins)
    kubeconfig: str | None = field(default=None, repr=False)
    """The text of the kubeconfig, if it is such an output."""
    ca: str | None = None
    """That of the CA."""
    is_exposed: bool = False
    """Whether the kubeconfig is no secret in the other stack."""

    def warnings(self) -> Iterator[str]:
        """Yield a warning of a kubeconfig that is no secret."""
        if self.is_exposed:
            yield (
                f"{KUBECONFIG_FROM} is a secret here, but not there, where everybody who reads the"
                " outputs reads it: export it with pulumi.Output.secret"
            )


def parse(raw: Mapping[str, Any], settings: Settings, values: Values) -> Taken:
    """Return the settings with what these outputs hold, and where that comes from.

    Raises:
        SettingsError: an output or something in it is wrong; names each by its place in it.
    """
    named = {r.setting: r for r in references.in_settings(settings)}
    problems: list[Problem] = []
    pools, nodes = _with_nodes(raw, settings, values, problems)
    cluster = {**(raw.get("cluster") or {})}
    for setting, key in ((SERVER_FROM, "server"), (NETWORKS_FROM, "serviceCidr")):
        if setting in values:
            cluster[key] = values[setting].value
    kubeconfig = ca = None
    if (found := values.get(KUBECONFIG_FROM)) is not None:
        kubeconfig = kubeconfig_text(found.value)
        if kubeconfig is None:
            problems.append(_no_kubeconfig(named[KUBECONFIG_FROM], found.value))
    if CA_FROM in values:
        ca = values[CA_FROM].value
        if not isinstance(ca, str):
            problems.append(named[CA_FROM].problem("is no text; export the CA in PEM"))
    if problems:
        raise SettingsError(problems)
    whole = {
        **raw,
        **({"pools": pools} if pools else {}),
        **({"cluster": cluster} if cluster else {}),
    }
    origins = Origins(
        pools=nodes,
        cluster={setting: r for setting, r in named.items() if r.path == CLUSTER_FROM},
    )
    try:
        return Taken(
            settings=parsing.parse(whole),
            origins=origins,
            kubeconfig=kubeconfig,
            ca=ca,
            is_exposed=found is not None and not found.is_secret,
        )
    except SettingsError as error:
        raise SettingsError([origins.told(problem) for problem in error.problems]) from None


def kubeconfig_text(value: Any) -> str | None:
    """Return a kubeconfig that is a text or an object, as EKS clusters export it, as a text."""
    if isinstance(value, Mapping) and value:
        return json.dumps(_whole(value))
    return value if isinstance(value, str) else None


def _no_kubeconfig(reference: Reference, value: Any) -> Problem:
    if value == {}:  # what the engine has for a secret that it can't decrypt
        return reference.problem(
            "is empty, or a secret that this run can't decrypt: it needs the passphrase or the key"
            " of that stack's secrets too"
        )
    return reference.problem("is no kubeconfig; export its text, or the object that it is")


def _with_nodes(
    raw: Mapping[str, Any], settings: Settings, values: Values, problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, Found]]:
    """Return the pools of the plain keys with the nodes of these outputs, and those nodes."""
    pools = {name: dict(pool or {}) for name, pool in (raw.get("pools") or {}).items()}
    found: dict[str, Found] = {}
    for name in settings.pools:
        for source in references.of_pool(settings, name):
            own = list(pools[name].get("nodes") or ())
            entries = _entries(_whole(values[source.setting].value))
            if entries is None:
                problems.append(
                    source.problem("is no list of nodes and no map from names to nodes; export one")
                )
                continue
            found[name] = Found(
                source=source,
                nodes=[node for _, node in entries],
                places=[place for place, _ in entries],
                first=len(own),
            )
            pools[name]["nodes"] = [*own, *found[name].nodes]
    return pools, found


def _entries(value: Any) -> list[tuple[str, Any]] | None:
    """Return each node with its place in an output."""
    if isinstance(value, list):
        return [(f"[{index}]", node) for index, node in enumerate(value)]
    if isinstance(value, Mapping):
        return [(f'["{name}"]', _named(name, node)) for name, node in sorted(value.items())]
    return None


def _named(name: str, node: Any) -> Any:
    return {"name": name, **node} if isinstance(node, Mapping) else node


def _whole(value: Any) -> Any:
    """Return a value with whole numbers as such, and the keys of objects in order.

    The engine has one kind of number, and gives the keys in another order in each run.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value
