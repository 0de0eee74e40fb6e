"""Which values need not be written, because they are a version's defaults."""

from collections.abc import Iterator, Mapping
from typing import Any

from node_files.versions import quantities, table
from node_files.versions.consistency import same

SOURCE = "k8s.io/kubernetes pkg/kubelet/apis/config/v1beta1/defaults.go"

MERGE_EVICTION = "mergeDefaultEvictionSettings"

# Written although they are defaults: CIS Kubernetes Benchmark 4.2.1 to 4.2.4 look for the first
# four in the file, and people look for the runtime's socket.
KEPT = frozenset(
    {
        "authentication.anonymous.enabled",
        "authentication.webhook.enabled",
        "authorization.mode",
        "readOnlyPort",
        "containerRuntimeEndpoint",
    }
)


def without_defaults(configuration: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return the configuration without the values that equal the version's defaults."""
    return _without(configuration, version, set(left_out(configuration, version)), "")


def left_out(configuration: Mapping[str, Any], version: str) -> Iterator[str]:
    """Yield the paths of the values that need not be written: they equal the defaults.

    Some defaults depend on whether another field is set. Such a field has an effect even if it is
    set to its default (SetDefaults_KubeletConfiguration).
    """
    equal = {path for path, value in leaves(configuration) if is_default(path, value, version)}
    update, report = "nodeStatusUpdateFrequency", "nodeStatusReportFrequency"
    if report not in configuration:
        equal.discard(update)
    elif update in configuration and update not in equal:
        equal.discard(report)
    if "maxParallelImagePulls" in configuration:
        equal.discard("serializeImagePulls")
    yield from sorted(equal - KEPT)


def is_default(path: str, value: Any, version: str) -> bool:
    """Return whether a value is the version's default."""
    field = table.fields(version).get(path)
    return (
        field is not None and field.default is not None and same(value, field.default, field.type)
    )


def reads_as_unset(value: Any, field: table.Field) -> bool:
    """Return whether the version's default replaces a value, as it does 0 where Go has no null."""
    if field.type.startswith(("*", "[]", "map", "struct")) or not field.default:
        return False
    if field.type == "duration":
        zero = isinstance(value, str) and quantities.duration_ns(value) == 0
        return zero and field.default != "0s"
    return value == "" if field.type == "string" else type(value) is int and value == 0


def leaves(configuration: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of each field that is not a structure; maps and lists count."""
    for name, value in configuration.items():
        path = f"{prefix}{name}"
        if path in _STRUCTURES and isinstance(value, Mapping):
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def _without(
    configuration: Mapping[str, Any], version: str, paths: set[str], prefix: str
) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in configuration.items():
        path = f"{prefix}{name}"
        if path in paths:
            continue
        if path in _STRUCTURES and isinstance(value, Mapping):
            if below := _without(value, version, paths, f"{path}."):
                kept[name] = below
        else:
            kept[name] = value
    return kept


_STRUCTURES = frozenset(
    path
    for version in table.SUPPORTED_VERSIONS
    for path, field in table.fields(version).items()
    if field.type.lstrip("*") == "struct"
)
