"""The kubelet's command-line flags that a user adds to those that the program sets.

The table has the flags of each version and the field that each one sets. Listed here is what the
table can't know: flags removed in 1.24, those of the logging library, and what to warn about.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from node_files.versions import rules, table
from node_files.versions.consistency import Configuration
from node_files.versions.flag_values import TRUE, value_problem
from node_files.versions.nearest import hint
from node_files.versions.shape import Problem

# Flags that the program sets, and the setting to use instead, if there is one.
OWN: Mapping[str, str] = {
    "bootstrap-kubeconfig": "",
    "cert-dir": "",
    "config": "",
    "container-runtime-endpoint": "; use runtimeEndpoint",
    "hostname-override": "; it is the node's name",
    "kubeconfig": "",
    "node-ip": "; use address and addresses",
    "node-labels": "; use labels",
    "register-with-taints": "; use taints",
    "root-dir": "",
}

# Removed in 1.24 with dockershim: kubernetes/kubernetes#106907, CHANGELOG-1.24. The others removed
# in 1.24 come from comparing cmd/kubelet/app/options of 1.23 and 1.24.
_DOCKERSHIM = "; set up networking in the container runtime (CNI)"
_RUNTIME = "; it was for dockershim"
GONE_IN_1_24: Mapping[str, str] = {
    "cni-bin-dir": _DOCKERSHIM,
    "cni-cache-dir": _DOCKERSHIM,
    "cni-conf-dir": _DOCKERSHIM,
    "docker-endpoint": _RUNTIME,
    "dynamic-config-dir": "; the configuration comes only from a file",
    "experimental-check-node-capabilities-before-mount": "; it did nothing",
    "experimental-dockershim-root-directory": _RUNTIME,
    "image-pull-progress-deadline": _RUNTIME,
    "network-plugin": _DOCKERSHIM,
    "network-plugin-mtu": _DOCKERSHIM,
    "non-masquerade-cidr": _DOCKERSHIM,
    "really-crash-for-testing": "; it was for tests",
}

# Removed in 1.26: kubernetes/kubernetes#112120, KEP-2845. Logs go to stderr, so to the journal.
KLOG = (
    "add-dir-header", "alsologtostderr", "log-backtrace-at", "log-dir", "log-file",
    "log-file-max-size", "logtostderr", "one-output", "skip-headers", "skip-log-headers",
    "stderrthreshold",
)  # fmt: skip

# Flags that are not the deprecated form of a field: k8s.io/component-base logs/api/v1/options.go,
# and notDeprecated in cmd/kubelet/app/options/options.go.
LOGGING = ("log-flush-frequency", "v", "vmodule")
NOT_DEPRECATED = ("fail-cgroupv1", "provider-id")
LOGGING_FIELDS: Mapping[str, str] = {
    "log-json-info-buffer-size": "logging.options.json.infoBufferSize",
    "log-json-split-stream": "logging.options.json.splitStream",
    "log-text-info-buffer-size": "logging.options.text.infoBufferSize",
    "log-text-split-stream": "logging.options.text.splitStream",
    "logging-format": "logging.format",
}

_REMEDIES: Mapping[str, str] = {
    "azure-container-registry-config": "; use image-credential-provider-config",
    "container-runtime": "; since then there is only one kind of runtime",
    "pod-infra-container-image": "; set the sandbox image in the container runtime",
    "master-service-namespace": "; it did nothing",
}
# Its files have the last word on each field (cmd/kubelet/app/server.go).
_DROP_INS = "config-dir"
_CADVISOR_LAST = "1.36"  # CHANGELOG-1.37: cAdvisor's flags were never meant to be the kubelet's


def flag_problems(given: Mapping[str, str], version: str) -> Iterator[Problem]:
    """Yield the name and the problem of each flag that must not be set for this version.

    Raises:
        ValueError: the version is not a supported one.
    """
    for name, value in given.items():
        if problem := _problem(name, version) or _value_problem(name, value, version):
            yield name, problem


def flag_conflicts(
    given: Mapping[str, str], kubelet: Mapping[str, Any], version: str
) -> Iterator[Problem]:
    """Yield the name and the problem of each flag that needs another one, or a field.

    Sources: NewKubeGenericRuntimeManager in pkg/kubelet/kuberuntime, cmd/kubelet/app/server.go, and
    for vmodule component-base logs/api/v1.
    """
    pair = ("image-credential-provider-config", "image-credential-provider-bin-dir")
    for name, other in (pair, pair[::-1]):
        if given.get(name) and not given.get(other):
            yield name, f"needs {other} too"
    if given.get("exit-on-lock-contention") in TRUE and not given.get("lock-file"):
        yield "exit-on-lock-contention", "needs lock-file too"
    configuration = Configuration(kubelet, version)
    form = configuration["logging.format"]
    if given.get("vmodule", "").strip(",") and form not in (None, "", "text"):
        yield "vmodule", f"works only with the text format, but kubelet.logging.format is {form}"
    gate = rules.GATED["seccompDefault"]
    if given.get("seccomp-default") in TRUE and not configuration.gate_is_on(gate):
        yield (
            "seccomp-default",
            f"needs the feature gate {gate}, which is off in {version}; set it to true in"
            " kubelet.featureGates",
        )


def flag_warnings(given: Mapping[str, str], version: str) -> Iterator[Problem]:
    """Yield the name of each flag that the version takes but that needs a warning, and why."""
    for name in given:
        flag = table.flags(version).get(name)
        if flag and flag.deprecated and not _problem(name, version):
            last = (table.span("flags", name) or ("", ""))[1]
            end = (
                ""
                if last == table.SUPPORTED_VERSIONS[-1]
                else f"; {last} is the last version that has it"
            )
            yield name, f"is deprecated{end}{_REMEDIES.get(name, '')}"


def _problem(name: str, version: str) -> str | None:
    flag = table.flags(version).get(name)
    if name.startswith("-"):
        return f"must be written without dashes: {name.lstrip('-')}"
    if name in OWN:
        return f"is set by the program{OWN[name]}"
    if flag and name == _DROP_INS:
        return (
            "would let files on the machine change fields that the program checks and protects; set"
            " their fields in kubelet, for a node, a pool or the stack"
        )
    if name in LOGGING or (flag and name in NOT_DEPRECATED):
        return None
    field = flag.field if flag else LOGGING_FIELDS.get(name)
    if field:
        if field in table.fields(version):
            return f"is deprecated in favour of a field; set {field} in kubelet"
        return f"does not exist in {version}, nor does its field" if not flag else None
    if flag:
        return None
    return _absent(name, version)


def _value_problem(name: str, value: str, version: str) -> str | None:
    # NewMainKubelet in pkg/kubelet/kubelet.go; in-tree providers are out of the code since 1.31.
    if name != "cloud-provider" or value in ("", "external"):
        return value_problem(name, value)
    if table.number(version) < table.number("1.31"):
        return None
    return f'"{value}" was removed from the kubelet in 1.31; set it to external'


def _absent(name: str, version: str) -> str | None:
    if name in GONE_IN_1_24:
        return f"was removed in 1.24, so the kubelet does not start with it{GONE_IN_1_24[name]}"
    if name in KLOG:
        if table.number(version) < table.number("1.26"):
            return None
        return "was removed in 1.26, so the kubelet does not start with it; logs go to the journal"
    span = table.span("flags", name)
    if span is None:
        known = [*table.flags(version), *LOGGING]
        return f"is not a flag of the kubelet in {version}{hint(name, known)}"
    since, last = span
    if table.number(version) < table.number(since):
        return f"is not a flag of the kubelet in {version}; it was added in {since}"
    removed = f"1.{table.number(last) + 1}"
    remedy = _REMEDIES.get(name, "; so were cAdvisor's others" if last == _CADVISOR_LAST else "")
    return f"was removed in {removed}, so the kubelet does not start with it{remedy}"
