"""A stack's settings, read from its file without the engine. No secret is decrypted.

What can't be known this way (a kubeconfig that is a secret key or not there) is named in `lacking`,
and a placeholder stands for it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml

import node_files
from components import credentials
from components import settings as stack_settings
from components.conflicts import conflicts
from components.node_pool import to_cluster, to_node
from components.problems import Problem, SettingsError
from components.settings import NodeSettings, Settings

PROJECT_FILE = "Pulumi.yaml"
UNKNOWN_SERVER = "https://NOT-KNOWN-HERE"
UNKNOWN_CA = "NOT KNOWN HERE\n"


@dataclass(frozen=True, kw_only=True)
class StackNode:
    """A node of the settings: its pool, its own settings, and what is rendered from them."""

    pool: str
    settings: NodeSettings
    node: node_files.Node


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack's settings and what they say of its cluster."""

    name: str
    settings: Settings
    cluster: node_files.Cluster
    secret_keys: frozenset[str]
    lacking: tuple[Problem, ...]

    @property
    def knows_ca(self) -> bool:
        return self.cluster.ca_certificate != UNKNOWN_CA

    def nodes(self, names: list[str]) -> list[StackNode]:
        """Return the nodes with these names, or all where none is named.

        Raises:
            ValueError: the settings have no such node.
        """
        found = [
            StackNode(pool=name, settings=node, node=to_node(self.settings, pool, node))
            for name, pool in self.settings.pools.items()
            for node in pool.nodes
        ]
        known = {entry.node.name for entry in found}
        for name in names:
            if name not in known:
                raise ValueError(
                    f'the settings have no node "{name}"; they have {", ".join(sorted(known))}'
                )
        return [entry for entry in found if not names or entry.node.name in names]


def read(path: Path) -> Stack:
    """Return the stack whose settings file this is.

    Raises:
        SettingsError: a setting is wrong; the message lists each one.
        ValueError: the file is no settings file, or can't be read.
    """
    project = str(_mapping(path.parent / PROJECT_FILE).get("name", ""))
    config = _mapping(path).get("config") or {}
    plain, secret = _split(project, config)
    pulumi.runtime.set_all_config({f"{project}:{key}": text for key, text in plain.items()})
    settings = stack_settings.parse(stack_settings.plain(pulumi.Config(project)))
    if found := list(conflicts(settings)):
        raise SettingsError(found)
    server, ca, lacking = _cluster(settings, secret)
    return Stack(
        name=path.name.removeprefix("Pulumi.").removesuffix(".yaml"),
        settings=settings,
        cluster=to_cluster(settings.cluster, server or UNKNOWN_SERVER, ca or UNKNOWN_CA),
        secret_keys=secret,
        lacking=tuple(lacking),
    )


def _mapping(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ValueError(
            f"\"{path}\" can't be read: {error.strerror}; run in the project's directory, and name"
            " the stack (--stack) or its file (--settings)"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError(f'"{path}" is no YAML') from None
    if not isinstance(document, dict):
        raise ValueError(f'"{path}" is no settings file of Pulumi')
    return document


def _split(project: str, config: dict[str, Any]) -> tuple[dict[str, str], frozenset[str]]:
    """The project's plain keys as the engine hands them to a program, and its secret keys."""
    plain: dict[str, str] = {}
    secret: set[str] = set()
    for name, value in config.items():
        namespace, _, key = str(name).partition(":")
        if namespace != project:
            continue
        if isinstance(value, dict) and set(value) == {"secure"}:
            secret.add(key)
        else:
            plain[key] = value if isinstance(value, str) else json.dumps(value)
    return plain, frozenset(secret)


def _cluster(settings: Settings, secret: frozenset[str]) -> tuple[str, str, list[Problem]]:
    """The API server's URL and the CA as far as they can be known, and what lacks."""
    if "kubeconfig" in secret:
        problems = [Problem("kubeconfig", "is a secret key, which is not decrypted here")]
    else:
        problems = []
        server, ca = credentials.cluster(settings, None, problems)
        if not problems:
            return server, ca, []
    server = settings.cluster.server or ""
    ca = credentials.certificate_authority(settings, None, {}, problems)
    if server and ca:
        return server, ca, []
    return server, ca, problems
