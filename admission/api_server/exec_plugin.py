"""An exec plugin of a kubeconfig: a program that prints credentials.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSIONS = tuple(f"client.authentication.k8s.io/{version}" for version in ("v1", "v1beta1"))
EXTENSION = "client.authentication.k8s.io/exec"
LIMIT_S = 60
MODES = ("Never", "IfAvailable", "Always")


class PluginFailed(ValueError):
    """A plugin gave no credentials; the message says why, and quotes nothing that it printed."""


@dataclass(frozen=True, kw_only=True)
class ExecPlugin:
    """What a kubeconfig says of a plugin."""

    command: str
    version: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    wants_cluster: bool = False
    asks: bool = False
    """Whether it must ask somebody at a terminal."""
    config: Any = field(default=None, repr=False)
    """What the cluster's entry holds for it."""

    def program(self, directory: Path) -> str:
        """Return the command; one with a slash is relative to the directory."""
        return str(directory / self.command) if "/" in self.command else self.command

    async def run(self, directory: Path, cluster: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what it gives: a `token`, or `clientCertificateData` and `clientKeyData`, or all.

        Raises:
            PluginFailed: it gave neither.
            OSError: it can't be started.
        """
        spec: dict[str, Any] = {"interactive": False}
        if self.wants_cluster:
            spec["cluster"] = {**cluster, "config": self.config}
        asked = {"apiVersion": self.version, "kind": "ExecCredential", "spec": spec}
        told = {**os.environ, **self.environment, "KUBERNETES_EXEC_INFO": json.dumps(asked)}
        process = await asyncio.create_subprocess_exec(
            self.program(directory),
            *self.arguments,
            env=told,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                printed, _ = await process.communicate()
        except TimeoutError:
            raise PluginFailed(f"it did not end within {LIMIT_S} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise PluginFailed(f"it ended with exit status {process.returncode}")
        try:
            document = json.loads(printed)
            kind, version = document["kind"], document["apiVersion"]
            status = {key: value for key, value in document["status"].items() if value}
        except (ValueError, LookupError, TypeError, AttributeError):
            raise PluginFailed("it printed no ExecCredential") from None
        if (kind, version) != ("ExecCredential", self.version):
            raise PluginFailed(f"it printed no ExecCredential of {self.version}")
        pair = ("clientCertificateData" in status, "clientKeyData" in status)
        if not ("token" in status or any(pair)) or pair[0] != pair[1]:
            raise PluginFailed("it printed neither a token nor a certificate with its key")
        return status


def read_plugin(
    user: Mapping[str, Any], cluster: Mapping[str, Any], unusable: Callable[[str], Exception]
) -> ExecPlugin | None:
    """Return the plugin of a kubeconfig's user, if it has one, with what the cluster's entry adds.

    Raises:
        unusable: kubectl would refuse it.
    """
    entry = user.get("exec")
    if entry is None:
        return None
    try:
        command, version = entry.get("command") or "", entry.get("apiVersion") or ""
        arguments, variables = entry.get("args") or [], entry.get("env") or []
        environment = {each["name"]: each.get("value") or "" for each in variables}
        wants, mode = entry.get("provideClusterInfo"), entry.get("interactiveMode") or ""
        texts = [command, version, mode, *arguments, *environment, *environment.values()]
        right = isinstance(arguments, list) and isinstance(wants, bool | None) and all(environment)
    except (AttributeError, LookupError, TypeError):
        right, texts = False, []
    if not right or not all(isinstance(text, str) for text in texts) or not command:
        raise unusable("has an exec plugin that is no program with its arguments; correct it")
    if version not in VERSIONS:
        raise unusable(f"has an exec plugin whose apiVersion is none of {', '.join(VERSIONS)}")
    if not mode and version == VERSIONS[1]:
        mode = "IfAvailable"
    if mode not in MODES:
        raise unusable(
            f"has an exec plugin whose interactiveMode is none of {', '.join(MODES)}; set it"
        )
    return ExecPlugin(
        command=command,
        version=version,
        arguments=tuple(arguments),
        environment=environment,
        wants_cluster=bool(wants),
        asks=mode == "Always",
        config=next(
            (
                each.get("extension")
                for each in cluster.get("extensions") or ()
                if isinstance(each, dict) and each.get("name") == EXTENSION
            ),
            None,
        ),
    )
