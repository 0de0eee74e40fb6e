"""Kubeconfigs with something wrong, missing or twice, and their texts in many forms."""

import json
from typing import Any

import yaml

from tests.contract.kubeconfigs.parts import (
    AUTHORITY,
    document,
)


def documents(url: str) -> dict[str, Any]:
    """Other documents, as objects."""
    plain = document(url, {"token": "t"})
    (cluster,), (user,), (context,) = plain["clusters"], plain["users"], plain["contexts"]
    alien = {"name": "x", "cluster": {"server": "x"}}
    of = context["context"]
    return {
        "no kind": {k: v for k, v in plain.items() if k not in ("kind", "apiVersion")},
        "another kind": {**plain, "kind": "Cluster"},
        "another version": {**plain, "apiVersion": "v2"},
        "an empty kind": {**plain, "kind": "", "apiVersion": ""},
        "null kind": {**plain, "kind": None, "apiVersion": None},
        "preferences": {**plain, "preferences": {"colors": True}},
        "extensions": {**plain, "extensions": [{"name": "x", "extension": {"a": 1}}]},
        "an unknown field": {**plain, "curent-context": "x"},
        "no current context": {k: v for k, v in plain.items() if k != "current-context"},
        "an empty current context": {**plain, "current-context": ""},
        "another current context": {**plain, "current-context": "x"},
        "a number as current context": {**plain, "current-context": 1},
        "no users": {**plain, "users": []},
        "no clusters": {**plain, "clusters": []},
        "null clusters": {**plain, "clusters": None},
        "clusters as object": {**plain, "clusters": {"k": {}}},
        "no contexts": {**plain, "contexts": None},
        "another cluster first": {**plain, "clusters": [alien, cluster]},
        "two of a name": {**plain, "clusters": [alien | {"name": "k"}, cluster]},
        "two of another name": {**plain, "clusters": [alien, alien, cluster]},
        "two users of a name": {**plain, "users": [user, user]},
        "two contexts of a name": {**plain, "contexts": [context, context]},
        "a nameless cluster": {**plain, "clusters": [{"cluster": {}}, cluster]},
        "another broken user": {**plain, "users": [user, {"name": "x", "user": {"token": 1}}]},
        "another insecure cluster": {
            **plain,
            "clusters": [cluster, {"name": "x", "cluster": {"insecure-skip-tls-verify": True}}],
        },
        "another user without a key": {
            **plain, "users": [user, {"name": "x", "user": {"client-certificate": "x"}}],
        },
        "a context without a user": context_of(plain, {"cluster": "k"}),
        "a context without a cluster": context_of(plain, {"user": "u"}),
        "a context of another user": context_of(plain, {**of, "user": "x"}),
        "a context of another cluster": context_of(plain, {**of, "cluster": "x"}),
        "a context that is null": context_of(plain, None),
        "a namespace": context_of(plain, {**of, "namespace": "kube-system"}),
        "an odd namespace": context_of(plain, {**of, "namespace": "A b"}),
        "a namespace with a line feed": context_of(plain, {**of, "namespace": "a\n"}),
        "a name with a dot": {
            **context_of(plain, {**of, "cluster": "a.b:c/d"}),
            "clusters": [{**cluster, "name": "a.b:c/d"}],
        },
        "a name of blanks": {
            **context_of(plain, {**of, "user": " u "}), "users": [{**user, "name": " u "}],
        },
        "an empty cluster's name": {
            **context_of(plain, {**of, "cluster": ""}), "clusters": [{**cluster, "name": ""}],
        },
        "an empty user's name": {
            **context_of(plain, {**of, "user": ""}), "users": [{**user, "name": ""}],
        },
        "an empty context's name": {
            **plain, "contexts": [{**context, "name": ""}], "current-context": "",
        },
        "a user without an object": {**plain, "users": [{"name": "u"}]},
    }  # fmt: skip


def context_of(plain: dict[str, Any], context: Any) -> dict[str, Any]:
    return {**plain, "contexts": [{"name": "c", "context": context}]}


def texts(url: str) -> dict[str, str | bytes]:
    """A plain kubeconfig in other forms of text."""
    plain = document(url, {"token": "t"})
    text = yaml.safe_dump(plain, sort_keys=False)
    scalars = (
        *("y", "n", "Y", "no", "on", "Off", "yes", "true", "null", "~", "Null", "1", "1.0", "1e9"),
        *("1E3", "1_0", "0o14", "0x1f", "0b1", "010", "12:30:45", ".inf", ".nan", "2020-01-01"),
        *("=", "<<", "1e", "e1", "+", "0.", ".5", "-1e-3", "-", "t", "1.2.3", "0x", "+1", "08"),
        *("_1", "1e+9", "0o8", "-0b1", "!!str 1", "!!str t", "'1'", '"t"', "!x t", "a: b", "a #b"),
        *(
            "2001-12-14t21:59:43.10-05:00",
            "!!binary dA==",
            "!!int 1",
            "!!float 1",
            "0.0.0",
            "1,000",
        ),
        *("@a", "%a", "`a", "{a: b}", "[a]", "*a", "&a t", "|\n  t", ">-\n  t", "TRUE", "True", ""),
    )
    plain_token = {f"token: {s}": text.replace("token: t\n", f"token: {s}\n") for s in scalars}
    flow = yaml.safe_dump(plain, default_flow_style=True, width=10**6)
    merged = text.replace(
        "  user:\n    token: t\n", "  user:\n    <<: &one {token: t}\n    as: ops\n"
    )
    return {
        **plain_token,
        "plain": text,
        "JSON": json.dumps(plain),
        "JSON in lines": json.dumps(plain, indent=2),
        "JSON with tabs": json.dumps(plain, indent="\t"),
        "JSON with a comma at its end": json.dumps(plain)[:-1] + ",}",
        "JSON with a key twice": json.dumps(plain)[:-1] + ', "current-context": "c"}',
        "JSON and more": json.dumps(plain) + "\nx: y\n",
        "JSON twice": json.dumps(plain) * 2,
        "JSON after a byte order mark": "\ufeff" + json.dumps(plain),
        "flow": flow,
        "a byte order mark": "\ufeff" + text,
        "UTF-16": text.encode("utf-16"),
        "Latin-1": (text + "# \u00e9\n").encode("latin-1"),
        "CRLF": text.replace("\n", "\r\n"),
        "CR": text.replace("\n", "\r"),
        "comments": f"# a\n{text}# b\n",
        "three dashes": f"---\n{text}",
        "dots": f"{text}...\n",
        "dashes at its end": f"---\n{text}---\n",
        "two documents": f"{text}---\n{text.replace('token: t', 'token: x')}",
        "an empty document first": f"---\n---\n{text}",
        "a broken document after": f"{text}---\n[a\n",
        "a directive": f"%YAML 1.1\n---\n{text}",
        "a directive of another version": f"%YAML 1.2\n---\n{text}",
        "quoted keys": text.replace("token:", '"token":'),
        "a question mark": text.replace("token: t", "? token\n    : t"),
        "an anchor": text.replace("user: u\n", "user: &u u\n").replace("name: u\n", "name: *u\n"),
        "an unknown anchor": text.replace("user: u\n", "user: *x\n"),
        "a merge": merged,
        "a key twice": text.replace("token: t\n", "token: x\n    token: t\n"),
        "the current context twice": f"{text}current-context: c\n",
        "the users twice": f"{text}users: []\n",
        "keys in capitals": text.replace("token:", "Token:"),
        "a number as key": f"{text}1: 2\n",
        "a tab": text.replace("    token: t", "\ttoken: t"),
        "a tab after": text.replace("token: t", "token:\tt\t"),
        "blank lines": text.replace("\n", "\n\n"),
        "nothing": "",
        "blanks": " \n",
        "a comment alone": "# a\n",
        "null": "null",
        "a list": "[]",
        "a text": "x",
        "an object": "{}",
        "an open list": "a: [",
        "a NUL": text + "# \0\n",
        "a control character": text + "# \x01\n",
        "a surrogate": text + 'x: "\\ud800"\n',
        "an emoji": text + "x: \U0001f600\n",
        "deep": text + "x: " + "[" * 5000 + "]" * 5000 + "\n",
        "PEM": AUTHORITY.pem,
    }  # fmt: skip
