"""Command-line flags of the kubelet that a user adds to those that the program sets.

Which flags a version has, and which field each one sets, is in the table. Listed here is what the
table can't know: flags that were gone before 1.24, those of the logging library, and advice.
"""

from collections.abc import Iterator, Mapping

from node_files.versions import table
from node_files.versions.nearest import hint
from node_files.versions.shape import Problem

# Set by the program, and the setting to say it with, if there is one.
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

# Gone in 1.24 with dockershim: kubernetes/kubernetes#106907, CHANGELOG-1.24. The others of that
# year: cmd/kubelet/app/options of 1.23 and 1.24 compared.
_DOCKERSHIM = "; set up networking in the container runtime (CNI)"
_RUNTIME = "; it was for dockershim"
GONE_IN_1_24: Mapping[str, str] = {
    "cni-bin-dir": _DOCKERSHIM,
    "cni-cache-dir": _DOCKERSHIM,
    "cni-conf-dir": _DOCKERSHIM,
    "docker-endpoint": _RUNTIME,
    "dynamic-config-dir": "; the configuration comes from a file only",
    "experimental-check-node-capabilities-before-mount": "; it did nothing",
    "experimental-dockershim-root-directory": _RUNTIME,
    "image-pull-progress-deadline": _RUNTIME,
    "network-plugin": _DOCKERSHIM,
    "network-plugin-mtu": _DOCKERSHIM,
    "non-masquerade-cidr": _DOCKERSHIM,
    "really-crash-for-testing": "; it was for tests",
}

# Gone in 1.26: kubernetes/kubernetes#112120, KEP-2845. Logs go to stderr, and so to the journal.
KLOG = (
    "add-dir-header", "alsologtostderr", "log-backtrace-at", "log-dir", "log-file",
    "log-file-max-size", "logtostderr", "one-output", "skip-headers", "skip-log-headers",
    "stderrthreshold",
)  # fmt: skip

# Flags that are no deprecated twin of a field: k8s.io/component-base logs/api/v1/options.go, and
# notDeprecated in cmd/kubelet/app/options/options.go.
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
    "container-runtime": "; there is but one kind of runtime since",
    "pod-infra-container-image": "; set the sandbox image in the container runtime",
    "master-service-namespace": "; it did nothing",
}
_DROP_IN = "KUBELET_CONFIG_DROPIN_DIR_ALPHA"
_CADVISOR_LAST = "1.36"  # CHANGELOG-1.37: cAdvisor's flags were never meant to be the kubelet's


def flag_problems(given: Mapping[str, str], version: str) -> Iterator[Problem]:
    """Yield the name and the problem of each flag that a kubelet of the version must not be given.

    Raises:
        ValueError: the version is not a supported one.
    """
    for name in given:
        if problem := _problem(name, version):
            yield name, problem


def flag_warnings(given: Mapping[str, str], version: str) -> Iterator[Problem]:
    """Yield the name of each flag that the version still takes but does not want, and why."""
    for name in given:
        flag = table.flags(version).get(name)
        if flag and name == "config-dir":
            # cmd/kubelet/app/server.go of 1.28, 1.29
            alpha = table.number(version) < table.number("1.30")
            wish = f"; it needs {_DROP_IN} in the unit's environment" if alpha else ""
            yield name, f"lets files override what is checked here{wish}"
        if flag and flag.deprecated and not _problem(name, version):
            last = (table.span("flags", name) or ("", ""))[1]
            end = "" if last == table.SUPPORTED_VERSIONS[-1] else f"; {last} is the last to take it"
            yield name, f"is deprecated{end}{_REMEDIES.get(name, '')}"


def _problem(name: str, version: str) -> str | None:
    flag = table.flags(version).get(name)
    if name.startswith("-"):
        return f"is written without dashes: {name.lstrip('-')}"
    if name in OWN:
        return f"is set by the program{OWN[name]}"
    if name in LOGGING or (flag and name in NOT_DEPRECATED):
        return None
    field = flag.field if flag else LOGGING_FIELDS.get(name)
    if field:
        if field in table.fields(version):
            return f"is deprecated in favour of a field; set {field} in kubelet"
        return f"is in no configuration of {version}" if not flag else None
    if flag:
        return None
    return _absent(name, version)


def _absent(name: str, version: str) -> str | None:
    if name in GONE_IN_1_24:
        return f"was removed in 1.24, and a kubelet with it does not start{GONE_IN_1_24[name]}"
    if name in KLOG:
        if table.number(version) < table.number("1.26"):
            return None
        return "was removed in 1.26, and a kubelet with it does not start; logs go to the journal"
    span = table.span("flags", name)
    if span is None:
        known = [*table.flags(version), *LOGGING]
        return f"is no flag of the kubelet in {version}{hint(name, known)}"
    since, last = span
    if table.number(version) < table.number(since):
        return f"is no flag of the kubelet in {version}; it came with {since}"
    removed = f"1.{table.number(last) + 1}"
    remedy = _REMEDIES.get(name, "; cAdvisor's flags are gone" if last == _CADVISOR_LAST else "")
    return f"was removed in {removed}, and a kubelet with it does not start{remedy}"
