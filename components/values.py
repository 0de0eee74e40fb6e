"""The forms of single values in the settings: names, addresses, labels, paths, versions.

A validator's message goes on after the path and the value: `is not ...; give ...`.
"""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

import node_files

DNS_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DNS_NAME = re.compile(rf"\A{DNS_LABEL}(\.{DNS_LABEL})*\Z")
TAINT = re.compile(
    r"\A[A-Za-z0-9][A-Za-z0-9_./-]*(=[A-Za-z0-9_.-]*)?:(NoSchedule|PreferNoSchedule|NoExecute)\Z"
)
# apimachinery's util/validation: IsValidLabelValue, and IsQualifiedName for the name of a label.
LABEL_PART = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
LABEL = re.compile(rf"\A({LABEL_PART})?\Z")
LABEL_NAME = re.compile(rf"\A({DNS_LABEL}(\.{DNS_LABEL})*/)?{LABEL_PART}\Z")

HOST_PATH = re.compile(r"\A(/[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*)+\Z")
FLAG_VALUE = re.compile(r"\A[A-Za-z0-9_./:=,@+\[\]-]*\Z")
# Labels of Kubernetes' own namespaces that a kubelet may give its Node; with any other one it does
# not start (ValidateKubeletFlags in cmd/kubelet/app/options, IsKubeletLabel in
# staging/src/k8s.io/kubelet/pkg/apis/well_known_labels.go).
KUBELET_LABELS = frozenset(
    {
        "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch",
        "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/instance-type", "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
    }
)  # fmt: skip
KUBELET_NAMESPACES = re.compile(r"\A([a-z0-9.-]+\.)?(kubelet|node)\.kubernetes\.io\Z")
OTHERS_NAMESPACES = re.compile(r"\A([a-z0-9.-]+\.)?(kubernetes|k8s)\.io\Z")


def _name(value: str) -> str:
    if not DNS_NAME.match(value) or len(value) > 253:
        raise ValueError(
            "is not a name in lower-case letters, digits, - and . (RFC 1123); give the machine's"
            " Node name"
        )
    return value


def _address(value: str) -> str:
    try:
        # A zone, such as %eth0, is of one machine: no kubelet takes it.
        return str(ipaddress.ip_address("" if "%" in value else value))
    except ValueError:
        raise ValueError(
            "is not an IP address; give the address on which the machine's sshd listens"
        ) from None


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError("is not a network such as 10.96.0.0/12") from None


def _server(value: str) -> str:
    if not re.match(r"\Ahttps://[A-Za-z0-9.:\[\]-]+\Z", value):
        raise ValueError("is not an https URL without a path; give the API server's")
    return value


def _taint(value: str) -> str:
    if not TAINT.match(value):
        raise ValueError("is not a taint such as key=value:NoSchedule")
    return value


def _label(value: str) -> str:
    if not LABEL.match(value):
        raise ValueError("is not a label's value: up to 63 letters, digits, and - _ . between")
    return value


def _label_name(value: str) -> str:
    if not LABEL_NAME.match(value):
        raise ValueError(
            "is not a label's name: up to 63 letters, digits, and - _ . between, behind a DNS name"
            " and a / or by itself"
        )
    namespace = value.rpartition("/")[0]
    own = value in KUBELET_LABELS or KUBELET_NAMESPACES.match(namespace)
    if OTHERS_NAMESPACES.match(namespace) and not own:
        raise ValueError(
            "is not a label that a kubelet may give its Node, and it would not start; use a prefix"
            " of your own or node.kubernetes.io/"
        )
    return value


def _host_path(value: str) -> str:
    if not HOST_PATH.match(value) or ".." in value:
        raise ValueError("is not an absolute path of letters, digits and _ . @ + -")
    return value


def _unit_path(value: str) -> str:
    if not _host_path(value).endswith("/kubelet.service"):
        raise ValueError("is not a path of kubelet.service, the name by which it is started")
    return value


def _version(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('is not in quotes; write it in quotes, as "1.37" is')
    if value not in node_files.SUPPORTED_VERSIONS:
        known = node_files.SUPPORTED_VERSIONS
        raise ValueError(f"is not a supported minor version; those are {known[0]} to {known[-1]}")
    return value


def _flag_value(value: object) -> object:
    """YAML reads `4` and `true` as other things than the texts that a flag takes."""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value) if isinstance(value, int | float) else value
    if isinstance(text, str) and not FLAG_VALUE.match(text):
        raise ValueError("has a character other than letters, digits and _ . / : = , @ + - [ ]")
    return text


def _watchdog(value: int) -> int:
    if value != 0 and not 30 <= value <= 3600:
        raise ValueError("is not 0, which is none, nor a number of seconds from 30 to 3600")
    return value


def _check_name(value: str) -> str:
    if value not in node_files.CHECKS:
        raise ValueError(
            f"is not a check that can be skipped; those are {', '.join(node_files.CHECKS)}"
        )
    return value


def _protected_path(value: str) -> str:
    for _, fault in node_files.problems({}, node_files.SUPPORTED_VERSIONS[-1], (value,)):
        raise ValueError(fault)
    return value


Name = Annotated[str, AfterValidator(_name)]
# A pool's name stands in resource names and in the token's group, which takes no dot.
PoolName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Server = Annotated[str, AfterValidator(_server)]
Taint = Annotated[str, AfterValidator(_taint)]
Label = Annotated[str, AfterValidator(_label)]
LabelName = Annotated[str, AfterValidator(_label_name)]
Port = Annotated[int, Field(ge=1, le=65535)]
Repair = Annotated[int, Field(ge=0)]
HostPath = Annotated[str, AfterValidator(_host_path)]
UnitPath = Annotated[str, AfterValidator(_unit_path)]
UserName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]*$")]
AclEntry = Annotated[str, Field(pattern=r"^[ug]:[a-z_][a-z0-9_-]*:r$")]
SelinuxType = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")]
Endpoint = Annotated[str, Field(pattern=r"^unix:///[A-Za-z0-9_./-]+$")]
Version = Annotated[str, BeforeValidator(_version)]
FlagName = Annotated[str, Field(min_length=1)]
FlagValue = Annotated[str, BeforeValidator(_flag_value)]
WatchdogSeconds = Annotated[int, AfterValidator(_watchdog)]
CheckName = Annotated[str, AfterValidator(_check_name)]
ProtectedPath = Annotated[str, AfterValidator(_protected_path)]
Namespace = Annotated[str, Field(pattern=rf"^{DNS_LABEL}$")]
# The checks of admission/preflight.py.
ClusterCheck = Literal[
    "version", "rights", "clock", "token", "client-approval", "signer", "token-cleaner",
    "left-over-tokens", "kubelet-verification",
]  # fmt: skip
