"""What a stack's settings file says by itself, without `pulumi config`.

That opens the stack's state too, and takes longer than all else that a node needs to leave. What
the file does not say for sure is left to it: secrets, defaults, environments, a file elsewhere,
settings that a service holds, and text that two readers of YAML may take for different values.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml

from admission.drain_settings import is_number

PATH, CONTENT, POOLS, DRAIN = "kubeconfigPath", "kubeconfig", "pools", "drain"
# Those of the cluster: `from` in them may name another stack's output that is the kubeconfig.
CLUSTER, FROM = "cluster", "from"
CA, CA_PATH = "ca", "caPath"
APPROVER, NAMESPACE = "approver", "namespace"
# Backends that keep no settings: with any other, a service may hold them instead of the file.
BACKENDS = ("file://", "s3://", "gs://", "azblob://")
STACK = re.compile(r"(?:[^/]+/(?P<project>[^/]+)/)?(?P<name>[A-Za-z0-9_.-]+)")
# A number, a date: no text for some readers. An IP address is text for all of them.
NUMBER = re.compile(r"[-+.]*[0-9][0-9a-z_+-]*\.?[0-9a-z_+-]*", re.IGNORECASE)

# How a file differs from what is expected here.
MISFITS = (
    *(OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError),
    yaml.YAMLError,
)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads what every reader of YAML takes for a truth value or null, and all else as text."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(f"tag:yaml.org,2002:{tag}", re.compile(pattern))]
        for tag, pattern, firsts in (
            ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
            ("null", r"(?:~|null|Null|NULL|)\Z", ("~", "n", "N", "")),
            ("merge", r"<<\Z", "<"),
        )
        for first in firsts
    }


def read(stack: str | None, directory: Path, environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return the values of POOLS, and of PATH, CLUSTER, DRAIN, APPROVER as far as they are there.

    Of CLUSTER that is the CA's path, and what is taken from another stack, of APPROVER its
    namespace. None: ask `pulumi config`.

    The directory is the one that `pulumi` would be started in.
    """
    which = STACK.fullmatch(stack or "")
    # They can give each option: cmd/pulumi/pulumi.go.
    if which is None or any(name.startswith("PULUMI_OPTION_") for name in environ):
        return None
    try:
        project = _load(directory / "Pulumi.yaml")
        if not _is_plain(project, directory, environ):
            return None
        if which["project"] not in (None, project["name"]):
            return None
        settings = _load(directory / f"Pulumi.{which['name']}.yaml")
        if "environment" in settings:
            return None
        config, name = settings["config"], project["name"]
        pools = _only(config, name, POOLS)
        if not _are_pools(pools):
            return None
        found = {POOLS: json.dumps(pools)}
        cluster = _of_cluster(config, name)
        source = cluster.get(FROM)
        if source and _has(config, CONTENT):
            return None
        if cluster:
            found[CLUSTER] = json.dumps(cluster)
        if _has(config, PATH) or not (source or {}).get(CONTENT):
            path = _only(config, name, PATH)
            if not (_is_text(path) and path):
                return None
            found[PATH] = path
        return found | _others(config, name)
    except MISFITS:
        return None


def _others(config: Mapping[str, Any], project: str) -> dict[str, str]:
    """Return the values of DRAIN and APPROVER.

    Raises:
        TypeError: one may not be what it looks like.
    """
    found = {}
    if _has(config, DRAIN):
        drain = _only(config, project, DRAIN)
        if not _is_drain(drain):
            raise TypeError(DRAIN)
        found[DRAIN] = json.dumps(drain)
    if _has(config, APPROVER):
        namespace = (_only(config, project, APPROVER) or {}).get(NAMESPACE)
        if not (namespace is None or _is_text(namespace)):
            raise TypeError(APPROVER)
        found[APPROVER] = json.dumps({NAMESPACE: namespace})
    return found


def _of_cluster(config: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Return what is needed of CLUSTER.

    Raises:
        TypeError: it may not be what it looks like.
    """
    keys = {CLUSTER, f"{project}:{CLUSTER}"} & config.keys()
    given = (_only(config, project, CLUSTER) or {}) if keys else {}
    found = {key: value for key in (FROM, CA_PATH) if (value := given.get(key)) is not None}
    if not all(map(_is_text, (*found.get(FROM, {}).values(), found.get(CA_PATH, "none")))):
        raise TypeError(CLUSTER)
    return found


def _load(path: Path) -> dict[str, Any]:
    document = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - a SafeLoader
    if not isinstance(document, dict):
        raise TypeError(path)
    return document


def _is_plain(project: Mapping[str, Any], directory: Path, environ: Mapping[str, str]) -> bool:
    """Return whether a project keeps its stacks' settings beside it, and nowhere else."""
    # As pulumi finds it: workspace/creds.go.
    backend = environ.get("PULUMI_BACKEND_URL") or (project.get("backend") or {}).get("url") or ""
    return (
        backend.startswith(BACKENDS)
        and "stackConfigDir" not in project
        and not isinstance(project.get("config"), str)  # the former name of stackConfigDir
        and not any((directory / f"Pulumi.{other}").exists() for other in ("json", "yml"))
    )


def _has(config: Mapping[str, Any], name: str) -> bool:
    return any(key.rpartition(":")[2] == name for key in config)


def _only(config: Mapping[str, Any], project: str, name: str) -> Any:
    """Return the value of a key that stands there once, with the project's name or without."""
    (key,) = (key for key in config if key.rpartition(":")[2] == name)
    if key not in (name, f"{project}:{name}"):
        raise KeyError(key)
    return config[key]


def _are_pools(pools: Any) -> bool:
    """Return whether each node's name, address and `force` and each drain are plain, and nothing
    is a secret."""
    if not isinstance(pools, dict) or _holds_secret(pools):
        return False
    entries = [entry for pool in pools.values() for entry in (pool or {}).get("nodes") or ()]
    drains = [(pool or {}).get("drain") for pool in pools.values()]
    return all(map(_is_drain, drains)) and all(
        isinstance(entry.get("force", False), bool)
        and all(_is_text(entry[key]) for key in ("name", "address") if key in entry)
        for entry in entries
    )


def _is_drain(drain: Any) -> bool:
    """Return whether each of its values is a number, a truth value or null for all readers."""
    return drain is None or all(
        value is None or isinstance(value, bool) or is_number(value) for value in drain.values()
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not NUMBER.fullmatch(value)


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return "secure" in value or any(map(_holds_secret, value.values()))
    return isinstance(value, list) and any(map(_holds_secret, value))
