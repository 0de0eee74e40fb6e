"""Settings of the kubernetes provider: which there are, and when another cluster is meant."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.plugins.kubernetes_kubeconfig import KubeconfigError, active_cluster, load
from lab.plugins.kubernetes_values import Object, Unknown, plain

_PREFIX = "kubernetes:config:"

_SWITCHES = {
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "skipUpdateUnreachable": "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
}
_TEXTS = {"kubeconfig", "context", "cluster", "namespace", "clusterIdentifier"}
# Accepted without effect: this provider gives no such warnings, and the engine's own keys.
_WITHOUT_EFFECT = {"suppressDeprecationWarnings", "suppressHelmHookWarnings"}
_ENGINE = {"version", "pluginDownloadURL", "pluginChecksums", "__internal", "__name"}
_SUPPORTED = {
    *_TEXTS,
    *_SWITCHES,
    *_WITHOUT_EFFECT,
    *_ENGINE,
    "enableServerSideApply",
    "strictMode",
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a provider resource was given."""

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    namespace: str = ""
    delete_unreachable: bool = False
    skip_update_unreachable: bool = False
    patch_force: bool = False
    upsert: bool = False
    config_maps_mutable: bool = False
    secrets_mutable: bool = False

    @classmethod
    def of(
        cls, variables: Mapping[str, str], environment: Mapping[str, str] = os.environ
    ) -> "Settings":
        """Return the settings out of the engine's variables; the environment is their default."""
        given = {key.removeprefix(_PREFIX): value for key, value in variables.items()}

        def switch(name: str) -> bool:
            return given.get(name, environment.get(_SWITCHES[name])) == "true"

        return cls(
            kubeconfig=given.get("kubeconfig", ""),
            context=given.get("context", ""),
            cluster=given.get("cluster", ""),
            namespace=given.get("namespace", ""),
            delete_unreachable=switch("deleteUnreachable"),
            skip_update_unreachable=switch("skipUpdateUnreachable"),
            patch_force=switch("enablePatchForce"),
            upsert=switch("upsertExistingObjects"),
            config_maps_mutable=switch("enableConfigMapMutable"),
            secrets_mutable=switch("enableSecretMutable"),
        )


def problems(inputs: Object, *, default_provider: bool) -> list[tuple[str, str]]:
    """Return what is wrong with a provider's inputs: pairs of a property and a reason.

    What the official provider knows and this one does not is refused, never ignored.
    """
    inputs = plain(inputs)
    found = [
        (name, f'"{name}" is not supported by the lab\'s own kubernetes provider; leave it out')
        for name, value in inputs.items()
        if name not in _SUPPORTED and value not in (None, "", False, "false")
    ]
    if _is(inputs.get("enableServerSideApply"), False):
        reason = "the lab's own kubernetes provider has server-side apply only; leave it out"
        found.append(("enableServerSideApply", reason))
    if _is(inputs.get("strictMode"), True):
        if default_provider:
            found.append(("", "strict mode prohibits default provider"))
        found += [
            (name, f'strict mode requires Provider "{name}" argument')
            for name in ("kubeconfig", "context")
            if not inputs.get(name)
        ]
    return found


def changed(old: Object, new: Object) -> list[str]:
    """Return the names of the settings that differ."""
    old, new = plain(old), plain(new)
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def replacing(old: Object, new: Object) -> list[str]:
    """Return which changed settings mean another cluster, so that everything is made anew.

    A kubeconfig does not name its cluster, so another active server counts as another cluster;
    unless `clusterIdentifier` is there, which then decides alone.

    Raises:
        KubeconfigError: a kubeconfig cannot be read.
    """
    old, new = plain(old), plain(new)
    differing = changed(old, new)
    before, after = old.get("clusterIdentifier"), new.get("clusterIdentifier")
    if after and before == after:
        return []
    replaces = ["clusterIdentifier"] if before and after else []
    for name in ("kubeconfig", "context", "cluster"):
        if isinstance(new.get(name), Unknown):
            return [*replaces, name]
    clusters = [_active(inputs) for inputs in (old, new)]
    if None not in clusters and clusters[0] != clusters[1]:
        replaces += [name for name in ("kubeconfig", "context", "cluster") if name in differing]
    return replaces


def _active(inputs: Object) -> Object | None:
    value: Any = inputs.get("kubeconfig")
    if value in (None, ""):
        return None
    try:
        config = load(value if isinstance(value, str) else json.dumps(value))
    except KubeconfigError as error:
        raise KubeconfigError(f"failed to parse kubeconfig: {error}") from None
    return active_cluster(
        config, context=inputs.get("context") or "", name=inputs.get("cluster") or ""
    )


def _is(value: Any, wanted: bool) -> bool:
    return value is wanted or value == str(wanted).lower()
