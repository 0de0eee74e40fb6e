"""The YAML of a kubeconfig, with plain values as kubectl takes them.

kubectl and Pulumi's Kubernetes provider read it with sigs.k8s.io/yaml, whose plain values are those
of go.yaml.in/yaml/v2 (resolve.go), and then as JSON, in which a number or a truth value is no text.
"""

import json
import re
from typing import Any, ClassVar

import yaml

_NUMBER = (
    r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+|[0-9][0-9_]*"
    r"|[0-9_]*\.?[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*\.(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
)
VERSION = re.compile(r"\s*%YAML\s+(?!1\.1\s)")
_TRUE = ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE")
_FALSE = ("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers: ClassVar = {
        first: [(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"))]
        for tag, pattern, firsts in (
            ("bool", "|".join((*_TRUE, *_FALSE)), "yYnNtTfFoO"),
            ("float", _NUMBER, "-+.0123456789"),
            ("merge", "<<", "<"),
            ("null", "~|", ("~", "")),
        )
        for first in firsts
    }


_Loader.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers | {
    "n": [
        *_Loader.yaml_implicit_resolvers["n"],
        ("tag:yaml.org,2002:null", re.compile(r"null\Z")),
    ],
    "N": [
        *_Loader.yaml_implicit_resolvers["N"],
        ("tag:yaml.org,2002:null", re.compile(r"(?:Null|NULL)\Z")),
    ],
}
_Loader.add_constructor("tag:yaml.org,2002:bool", lambda _, node: node.value in _TRUE)
# None is needed, whatever it is.
_Loader.add_constructor("tag:yaml.org,2002:float", lambda *_: 0.0)


def load(text: str) -> Any:
    """Return the first document.

    Raises:
        ValueError, yaml.YAMLError, RecursionError: it is not YAML.
    """
    text = text.removeprefix("\ufeff")
    if VERSION.match(text):
        raise ValueError("another version of YAML")
    if text.lstrip().startswith("{"):
        try:  # with tabs, which PyYAML does not take
            return json.loads(text)
        except ValueError:
            pass
    loader = _Loader(text)
    try:
        return loader.get_data() if loader.check_data() else None
    finally:
        loader.dispose()
