"""Whether the resident approver's settings fit together, and who could approve in its place."""

import re
from collections.abc import Iterator

from settings.layer import merge_layers, without_nulls
from settings.model import NodeSettings, Pool, Settings
from settings.problem import Problem

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}\Z")
OLDEST_WITH_POLICIES = (1, 30)  # of ValidatingAdmissionPolicy, v1
CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield each problem with its path."""
    if not settings.approver.enabled:
        return
    if not settings.approver.image:
        yield Problem(
            "approver.image",
            "is missing; build an image from the Containerfile and give its name",
        )
    if settings.approver.other_pools == () and not settings.pools:
        yield Problem(
            "approver.otherPools",
            "is empty, and the stack has no pools, so the approver would approve nothing; name the"
            " pools of other stacks, or leave it out to read all inventories",
        )
    if settings.approver.admission_policy:
        newest = max(_versions(settings), key=_number)
        if _number(newest) < OLDEST_WITH_POLICIES:
            yield Problem(
                "approver.admissionPolicy",
                f"is true, but the newest kubelet is {newest}; API servers have admission policies"
                " since 1.30, so leave it out, or upgrade the cluster and its kubelets first",
            )
    if settings.approval.serving == "manual":
        yield Problem(
            "approval.serving",
            'is "manual", but approver.enabled is true; the resident approver would approve the'
            " requests that you want to review, so change one of the two",
        )


def warnings(settings: Settings) -> Iterator[str]:
    """Yield where others decide what is approved: by the image, or on a replica's machine."""
    approver = settings.approver
    if not approver.enabled:
        return
    if approver.image and not DIGEST.search(approver.image):
        yield (
            f"approver.image {approver.image} has no digest, so whoever can push to its registry"
            f" decides what approves certificates; give it as {approver.image}@sha256:..., which"
            " podman push --digestfile writes"
        )
    if approver.allow_workers:
        yield (
            "approver.allowWorkers is true: the resident approver runs on any node, and whoever"
            " owns the machine of a replica can approve any serving certificate"
        )
        return
    hosts = {host.address for host in settings.control_plane.hosts}
    for name, pool in settings.pools.items():
        for index, node in enumerate(pool.nodes):
            if hosts and node.address not in hosts and _has_label(settings, pool, node):
                yield (
                    f"pools.{name}.nodes[{index}] ({node.name}) has the label"
                    f" {CONTROL_PLANE_LABEL}, but controlPlane.hosts does not list its machine: the"
                    " resident approver may run there, and whoever owns the machine can approve"
                    " any serving certificate; remove the label, or list the machine"
                )


def _versions(settings: Settings) -> Iterator[str]:
    """Yield the kubelets' versions: no API server is older than any of them."""
    nodes = [(pool, node) for pool in settings.pools.values() for node in pool.nodes]
    if not nodes:
        yield settings.version
    for pool, node in nodes:
        yield merge_layers(settings, pool, node).version


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _has_label(settings: Settings, pool: Pool, node: NodeSettings) -> bool:
    labels = without_nulls(merge_layers(settings, pool, node).labels)
    return CONTROL_PLANE_LABEL in labels and not node.force
