"""The formats of the values for kubelets and Nodes: versions, labels, taints, flags, checks.

A validator's message continues after the path and the value, as in `formats`, unless its error is a
SENTENCE or WITHOUT_VALUE.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

import node_files
from settings.formats import matching

SENTENCE = "sentence"  # the type of an error whose message already has the value
WITHOUT_VALUE = "without_value"  # ... whose message continues after the path alone

# apimachinery's util/validation: IsValidLabelValue, and IsQualifiedName for the name of a label, of
# an annotation and of a taint.
LABEL_PART = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
# No label of the DNS name before the slash has a longest length: IsDNS1123Subdomain.
PREFIX_PART = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
QUALIFIED = rf"((?=[^/]{{1,253}}/){PREFIX_PART}(\.{PREFIX_PART})*/)?{LABEL_PART}"
LABEL = re.compile(rf"\A({LABEL_PART})?\Z")
LABEL_NAME = re.compile(rf"\A{QUALIFIED}\Z")
TAINT = re.compile(rf"\A{QUALIFIED}(=({LABEL_PART})?)?:(NoSchedule|PreferNoSchedule|NoExecute)\Z")
# What the gate notes on a Node: admission/objects/node_attributes.py.
OUR_PREFIX = re.compile(r"\Akubelet-tls-bootstrap(\.node-restriction\.kubernetes\.io)?/")
NO_TAINT = (
    "is not a taint such as key=value:NoSchedule; its effect is NoSchedule, PreferNoSchedule or"
    " NoExecute, and its key and value are as those of labels"
)
TAINT_KEYS = {"key", "value", "effect", "timeAdded"}
LABEL_RULE = "use up to 63 letters, digits, -, _ and ., beginning and ending with a letter or digit"
PATCH = re.compile(r"\Av?(1\.[0-9]{2})(?:[.+-].*)?\Z")  # as a release names itself
FLAG_VALUE = re.compile(r"\A[A-Za-z0-9_./:=,@+*?\[\]()<>~%-]*\Z")

_VERSIONS = (
    f"give a minor version from {node_files.SUPPORTED_VERSIONS[0]}"
    f" to {node_files.SUPPORTED_VERSIONS[-1]}"
)


def _as_text(value: object) -> object:
    """Return a taint as text that is given as Kubernetes' objects have it."""
    if not isinstance(value, Mapping):
        return value
    if not {*value} <= TAINT_KEYS or not all(isinstance(v, str | None) for v in value.values()):
        raise ValueError(NO_TAINT)
    key, given, effect = (value.get(name) or "" for name in ("key", "value", "effect"))
    return f"{key}={given}:{effect}" if given or "=" in key else f"{key}:{effect}"


def _taint(value: str) -> str:
    if not TAINT.match(value):
        raise ValueError(NO_TAINT)
    return value


def _label(value: str) -> str:
    if not LABEL.match(value):
        raise ValueError(f"is not a label's value; {LABEL_RULE}")
    return value


def _name_of(what: str, read: Callable[[str], str] = str) -> AfterValidator:
    def check(value: str) -> str:
        if not LABEL_NAME.match(read(value)):
            raise ValueError(
                f"is not {what}'s name; {LABEL_RULE}; a DNS name and a / may precede it"
            )
        if OUR_PREFIX.match(value):
            raise ValueError("is what this program keeps its own notes under; use another prefix")
        return value

    return AfterValidator(check)


def _version(value: object) -> object:
    known = node_files.SUPPORTED_VERSIONS
    if isinstance(value, int | float) and not isinstance(value, bool):
        # YAML reads 1.30 as the number 1.3.
        meant = next((text for text in (str(value), f"{value}0") if text in known), None)
        remedy = f'quote it: "{meant}"' if meant else f"{_VERSIONS}, in quotes"
        raise PydanticCustomError(
            WITHOUT_VALUE,
            "is the number {number}; {remedy}",
            {"number": str(value), "remedy": remedy},
        )
    if isinstance(value, str) and value not in known:
        if f"{value}0" in known:
            raise ValueError(
                f'is not a supported version; if you mean {value}0, quote it: "{value}0"'
            )
        minor = PATCH.match(value)
        if minor and minor[1] in known:
            raise ValueError(f'is not a minor version; give "{minor[1]}"')
        raise ValueError(f"is not a supported version; {_VERSIONS}")
    return value


def _flag_value(value: object) -> object:
    """Return a flag's value as text, also if YAML reads it as a number or a boolean."""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value) if isinstance(value, int | float) else value
    if isinstance(text, str) and not FLAG_VALUE.match(text):
        raise ValueError(
            "has a character other than letters, digits and"
            " _ . / : = , @ + - * ? [ ] ( ) < > ~ %; remove it"
        )
    return text


def _watchdog(value: int) -> int:
    if value != 0 and not 30 <= value <= 3600:
        raise ValueError("is not 0 (off) or a number of seconds from 30 to 3600")
    return value


def _check_name(value: str) -> str:
    if value not in node_files.CHECKS:
        raise ValueError(
            f"is not a check that can be skipped; those are {', '.join(node_files.CHECKS)}"
        )
    return value


def _protected_path(value: str) -> str:
    for _, problem in node_files.problems({}, node_files.SUPPORTED_VERSIONS[-1], (value,)):
        raise ValueError(problem)
    return value


Taint = Annotated[str, BeforeValidator(_as_text), AfterValidator(_taint)]
Label = Annotated[str, AfterValidator(_label)]
LabelName = Annotated[str, _name_of("a label")]
# The API server reads an annotation's name in lower case (ValidateAnnotations).
AnnotationName = Annotated[str, _name_of("an annotation", str.lower)]
Version = Annotated[str, BeforeValidator(_version)]
FlagName = Annotated[str, matching(r".+", "is not a flag's name; give it without dashes")]
FlagValue = Annotated[str, BeforeValidator(_flag_value)]
WatchdogSeconds = Annotated[int, AfterValidator(_watchdog)]
CheckName = Annotated[str, AfterValidator(_check_name)]
ProtectedPath = Annotated[str, AfterValidator(_protected_path)]
# The names of the checks in admission/gate/checks/preflight.py.
ClusterCheck = Literal[
    "version", "rights", "clock", "token", "client-approval", "signer", "signing-rate",
    "token-cleaner", "left-over-tokens", "kubelet-verification",
]  # fmt: skip
