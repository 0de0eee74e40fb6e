"""Who asks."""

from typing import Any

from tests.contract.kubeconfigs.parts import (
    AUTHORITY,
    CERTIFICATE,
    ENCRYPTED,
    IDENTITY,
    KEY,
    OIDC,
    SERVER,
    V1,
    b64,
    wrapped,
)


def users() -> dict[str, Any]:
    """Who asks, in the forms that a kubeconfig has for that."""
    token = {"token": "t"}
    plugin = {"apiVersion": V1, "command": "{dir}/plugin", "interactiveMode": "Never"}
    return {
        "a token": token,
        "a certificate": IDENTITY,
        "a certificate and a token": {**IDENTITY, **token},
        "files": {"client-certificate": "{dir}/client.crt", "client-key": "{dir}/client.key"},
        "a file and data": {"client-certificate": "{dir}/client.crt", "client-key-data": b64(KEY)},
        "relative files": {"client-certificate": "client.crt", "client-key": "client.key"},
        "relative files further up": {"client-certificate": "../client.crt", "client-key": "x"},
        "a certificate twice": {**IDENTITY, "client-certificate": "{dir}/client.crt"},
        "a key twice": {**IDENTITY, "client-key": "{dir}/client.key"},
        "a certificate without a key": {"client-certificate-data": b64(CERTIFICATE)},
        "a key without a certificate": {"client-key-data": b64(KEY)},
        "a key without a certificate, and a token": {"client-key-data": b64(KEY), **token},
        "another key": {**IDENTITY, "client-key-data": b64(SERVER.with_key[len(SERVER.pem) :])},
        "a missing certificate": {
            **{"client-certificate": "{dir}/x", "client-key": "{dir}/client.key"}
        },
        "a missing key": {"client-certificate": "{dir}/client.crt", "client-key": "{dir}/x"},
        "a certificate that is none": {**IDENTITY, "client-certificate-data": b64(b"x")},
        "a key that is none": {**IDENTITY, "client-key-data": b64(b"x")},
        "a key before the certificate": {
            "client-certificate-data": b64(KEY + CERTIFICATE),
            "client-key-data": b64(b"text\n" + KEY),
        },
        "CRLF in a certificate": {
            "client-certificate-data": b64(CERTIFICATE.replace(b"\n", b"\r\n")),
            "client-key-data": b64(KEY.replace(b"\n", b"\r\n")),
        },
        "a chain": {**IDENTITY, "client-certificate-data": b64(CERTIFICATE + AUTHORITY.pem)},
        "a key with a password": {
            **IDENTITY,
            "client-key-data": b64(ENCRYPTED),
        },
        "data that is no base64": {**IDENTITY, "client-key-data": "!"},
        "data in several lines": {**IDENTITY, "client-key-data": wrapped(KEY)},
        "data with a blank": {**IDENTITY, "client-key-data": " " + b64(KEY)},
        "data without padding": {**token, "client-certificate-data": "YQ"},
        "tokenFile": {"tokenFile": "{dir}/token"},
        "a relative tokenFile": {"tokenFile": "token"},
        "an empty tokenFile": {"tokenFile": "{dir}/empty"},
        "a missing tokenFile": {"tokenFile": "{dir}/x"},
        "a missing tokenFile and a token": {"tokenFile": "{dir}/x", **token},
        "an empty tokenFile and a token": {"tokenFile": "{dir}/empty", **token},
        "tokenFile and a token": {"tokenFile": "{dir}/token", **token},
        "a token with blanks": {"token": " t "},
        "a token with a line feed": {"token": "t\n"},
        "a token with a tab": {"token": "a\tb"},
        "a token of other letters": {"token": "t\u00e9"},
        "an empty token": {"token": ""},
        "no token": {"token": None},
        "a number as token": {"token": 123},
        "a truth value as token": {"token": True},
        "a list as token": {"token": ["t"]},
        "nobody": {},
        "null": None,
        "a list": [],
        "text": "u",
        "name and password": {"username": "me", "password": "p"},
        "a name alone": {"username": "me"},
        "a password alone": {"password": "p"},
        "name, password and token": {"username": "me", "password": "p", **token},
        "name, password and tokenFile": {
            **{"username": "me", "password": "p", "tokenFile": "{dir}/token"}
        },
        "name, password and certificate": {"username": "me", "password": "p", **IDENTITY},
        "as": {**token, "as": "ops"},
        "as with all": {
            **{**token, "as": "ops", "as-uid": "7", "as-groups": ["a", "b"]},
            "as-user-extra": {"example.org/Scope": ["x", "y"], "%": ["z"]},
        },
        "as with nothing more": {**token, "as": "ops", "as-groups": [], "as-user-extra": {}},
        "as with null": {**token, "as": "ops", "as-groups": None, "as-user-extra": None},
        "as with a null list": {**token, "as": "ops", "as-user-extra": {"a": None}},
        "empty as": {**token, "as": ""},
        "as-groups without as": {**token, "as-groups": ["a"]},
        "as-uid without as": {**token, "as-uid": "7"},
        "as-user-extra without as": {**token, "as-user-extra": {"a": ["b"]}},
        "as-user-extra of nothing without as": {**token, "as-user-extra": {"a": []}},
        "an empty group": {**token, "as": "ops", "as-groups": ["", "a"]},
        "null in groups": {**token, "as": "ops", "as-groups": [None, "a"]},
        "a number in groups": {**token, "as": "ops", "as-groups": [1]},
        "groups in a text": {**token, "as": "ops", "as-groups": "a"},
        "as with a line feed": {**token, "as": "a\nb"},
        "as of other letters": {**token, "as": "\u00e9"},
        "as and a certificate": {**IDENTITY, "as": "ops"},
        "a plugin": {"exec": plugin},
        "a plugin beside it": {"exec": {**plugin, "command": "./plugin"}},
        "a plugin in a directory beside it": {"exec": {**plugin, "command": "bin/plugin"}},
        "a plugin in PATH": {"exec": {**plugin, "command": "sh", "args": ["{dir}/plugin"]}},
        "a plugin that is not there": {"exec": {**plugin, "command": "{dir}/x"}},
        "a plugin in no PATH": {"exec": {**plugin, "command": "no-such-plugin"}},
        "a plugin with arguments": {
            "exec": {**plugin, "args": ["a b"], "env": [{"name": "WHO", "value": "x"}]}
        },
        "a plugin that fails": {"exec": {**plugin, "args": ["fail"]}},
        "a plugin that says nothing": {"exec": {**plugin, "args": ["nothing"]}},
        "a plugin of another version": {"exec": {**plugin, "args": ["v1beta1"]}},
        "a plugin of v1beta1": {
            "exec": {**plugin, "apiVersion": f"{V1}beta1", "args": ["v1beta1"]}
        },
        "a plugin of v1beta1 without a mode": {
            "exec": {"apiVersion": f"{V1}beta1", "command": "{dir}/plugin", "args": ["v1beta1"]}
        },
        "a plugin of v1alpha1": {"exec": {**plugin, "apiVersion": f"{V1}alpha1"}},
        "a plugin without a version": {"exec": {**plugin, "apiVersion": None}},
        "a plugin without a command": {"exec": {**plugin, "command": ""}},
        "a plugin without a mode": {"exec": {**plugin, "interactiveMode": None}},
        "a plugin that asks": {"exec": {**plugin, "interactiveMode": "Always"}},
        "a plugin that may ask": {"exec": {**plugin, "interactiveMode": "IfAvailable"}},
        "a plugin with an odd mode": {"exec": {**plugin, "interactiveMode": "never"}},
        "a plugin with a nameless variable": {"exec": {**plugin, "env": [{"value": "x"}]}},
        "a plugin with a variable without a value": {"exec": {**plugin, "env": [{"name": "X"}]}},
        "a plugin with a number": {"exec": {**plugin, "args": [1]}},
        "a plugin with null": {"exec": {**plugin, "args": None, "env": None}},
        "a plugin that is told of the cluster": {
            "exec": {**plugin, "provideClusterInfo": True, "args": ["cluster"]}
        },
        "a plugin that gives a certificate": {"exec": {**plugin, "args": ["certificate"]}},
        "a plugin that gives a certificate alone": {"exec": {**plugin, "args": ["alone"]}},
        "a plugin that gives both": {"exec": {**plugin, "args": ["both"]}},
        "a plugin and a token": {"exec": plugin, **token},
        "a plugin and a certificate": {"exec": plugin, **IDENTITY},
        "a plugin and a password": {"exec": plugin, "username": "me", "password": "p"},
        "a plugin that is null": {"exec": None, **token},
        "a plugin that is text": {"exec": "x", **token},
        "a plugin that is nothing": {"exec": {}, **token},
        "an unknown field": {**token, "tokne": "x"},
        "oidc": {"auth-provider": {"name": "oidc", "config": OIDC}},
        "oidc without an issuer": {
            "auth-provider": {"name": "oidc", "config": {**OIDC, "idp-issuer-url": ""}}
        },
        "oidc without a client": {
            "auth-provider": {"name": "oidc", "config": {k: OIDC[k] for k in [*OIDC][1:]}}
        },
        "oidc without settings": {"auth-provider": {"name": "oidc"}},
        "gcp": {"auth-provider": {"name": "gcp", "config": {}}},
        "an auth-provider and a plugin": {
            "exec": plugin,
            "auth-provider": {"name": "oidc", "config": OIDC},
        },
    }  # fmt: skip
