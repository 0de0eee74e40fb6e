"""Reads a stack's configuration: the one module that reads `pulumi.Config`.

Values of the wrong type are kept as they are, so that all problems come in one error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import ValidationError

from settings.model import Settings
from settings.problem import SettingsError
from settings.validation_errors import to_problem

KUBECONFIG_PATH = "kubeconfigPath"
# The keys that are not secret, by the type of their values.
TEXTS = (
    *(KUBECONFIG_PATH, "kubernetesVersion", "preset", "runtime", "runtimeEndpoint", "unit"),
    "maxRemovals",
)
NUMBERS = ("stallSeconds", "repair", "watchdogSeconds")
OBJECTS = (
    *("cluster", "ssh", "token", "controlPlane", "pools", "kubelet", "unsafe", "flags", "labels"),
    *("annotations", "taints", "paths", "skipChecks", "skipClusterChecks", "approval", "approver"),
    *("rollout", "drain"),
)
KUBECONFIG, PRIVATE_KEY = "kubeconfig", "sshPrivateKey"
SECRETS = (KUBECONFIG, PRIVATE_KEY)
KEYS = frozenset({*TEXTS, *NUMBERS, "embedCa", *OBJECTS, *SECRETS})


@dataclass(frozen=True)
class Secret:
    """A secret key of the stack, or a secret output of another one: its text to read from, and the
    same for resources to hold."""

    text: str = field(repr=False)
    """"": not known yet, in a preview before a resource that makes it."""
    output: pulumi.Output[str] = field(repr=False)


def is_set(config: pulumi.Config, key: str) -> bool:
    """Return whether a key has a value, of whatever type."""
    return bool(config.get(key))


def read_secret(config: pulumi.Config, key: str) -> Secret | None:
    """Return a secret key of the stack, or None if it is not set."""
    text = config.get(key)
    return secret(text) if text else None


def secret(text: str) -> Secret:
    """Return a text as a secret."""
    return Secret(text, pulumi.Output.secret(text))


def plain(config: pulumi.Config) -> dict[str, Any]:
    """Return the keys that are not secret, as `parse` takes them.

    They include unknown keys, without their values, so that `parse` refuses them.
    """
    prefix = f"{config.name}:"
    # pulumi.Config lists no keys; it reads them from here itself.
    given = {*runtime_config.CONFIG.get(), *runtime_config.get_config_env()}
    named = {name.removeprefix(prefix) for name in given if name.startswith(prefix)}
    raw: dict[str, Any] = dict.fromkeys(sorted(named - KEYS))
    for key in TEXTS:
        if value := config.get(key):
            raw[key] = value
    for key in NUMBERS:
        if config.get(key):
            raw[key] = _of_type(config, key, config.get_int)
    if config.get("embedCa"):
        raw["embedCa"] = _of_type(config, "embedCa", config.get_bool)
    for key in OBJECTS:
        value = _of_type(config, key, config.get_object)
        if value:
            raw[key] = value
    return raw


def paths(config: pulumi.Config) -> dict[str, str]:
    """Return the key that a program of others has in its stack's file, since `admission` reads it
    there."""
    path = config.get(KUBECONFIG_PATH)
    return {KUBECONFIG_PATH: path} if path else {}


def plain_of_texts(project: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the same of keys and texts, as the engine would pass them to the program."""
    pulumi.runtime.set_all_config({f"{project}:{key}": text for key, text in texts.items()})
    return plain(pulumi.Config(project))


def _of_type(config: pulumi.Config, key: str, read: Callable[[str], Any]) -> Any:
    """Return a key's value, or if it has another type its text, which `parse` then refuses."""
    try:
        return read(key)
    except pulumi.ConfigTypeError:
        return config.get(key)


def parse(raw: Mapping[str, Any]) -> Settings:
    """Return the settings that the plain keys hold.

    Raises:
        SettingsError: a key or a value is wrong; the message lists each one.
    """
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        # One error for each member of a union would say the same thing twice.
        found = dict.fromkeys(to_problem(raw, each) for each in error.errors())
        raise SettingsError(list(found)) from None
