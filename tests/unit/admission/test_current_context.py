"""What a kubeconfig's current context says is what kubectl takes it for, or it is refused.

tests/contract/test_kubeconfigs.py compares hundreds of them with kubectl.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from admission.api_server.current_context import parse
from admission.api_server.kubeconfig import client_of_kubeconfig
from admission.api_server.kubeconfig_content import Unusable
from admission.api_server.named_files import checked
from tests.unit.admission.test_verification import INTERMEDIATE, ROOT, SERVER, STRANGER
from tests.unit.admission.tls_api_server import CERTIFICATES, encoded

V1 = "client.authentication.k8s.io/v1"
CA = {"certificate-authority-data": encoded(ROOT.pem)}
PLUGIN = {"apiVersion": V1, "command": "plugin", "interactiveMode": "Never"}
OIDC = {"client-id": "k", "idp-issuer-url": "https://x", "id-token": "a.e30.c"}


def document(user: Any, cluster: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://10.0.0.9", **(cluster or CA)}}],
        "users": [{"name": "u", "user": user}],
        **more,
    }


TOKEN = document({"token": "t"})
TEXT = yaml.safe_dump(TOKEN)


def with_password() -> str:
    encryption = BestAvailableEncryption(b"p")
    return encoded(SERVER.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", "\r\n"),
        f"\ufeff{TEXT}",
        f"---\n{TEXT}---\n{TEXT.replace('token: t', 'token: x')}",
        json.dumps(TOKEN, indent="\t"),
        yaml.safe_dump(TOKEN, default_flow_style=True),
        TEXT.replace("token: t", "token: 't'"),
        TEXT.replace("token: t", "<<: {token: t}"),
        f"{TEXT}unknown: 1\n",
        yaml.safe_dump({**TOKEN, "kind": "Config", "apiVersion": "v1"}),
        yaml.safe_dump({**TOKEN, "kind": None, "apiVersion": ""}),
    ],
)
def test_every_form_that_kubectl_takes_is_taken(text: str) -> None:
    found = parse(text)
    assert (found.server, found.token.data) == ("https://10.0.0.9", b"t")


def test_a_plugin_that_must_ask_somebody_is_not_asked_beside_a_token() -> None:
    user = {"token": "t", "exec": {**PLUGIN, "interactiveMode": "Always"}}
    document = yaml.safe_load(TEXT)
    document["users"][0]["user"] = user
    found = parse(yaml.safe_dump(document))
    assert (found.token.data, found.plugin) == (b"t", None)


@pytest.mark.parametrize("token", ["12:30:45", "2020-01-01", "1.2.3", "=", "e1", "t"])
def test_what_is_text_for_kubectl_is_text(token: str) -> None:
    assert parse(TEXT.replace("token: t", f"token: {token}")).token.data == token.encode()


@pytest.mark.parametrize(
    "token", ["1", "1e9", "0o14", "0x1f", "y", "No", "on", ".5", "true", "1_0"]
)
def test_what_is_no_text_for_kubectl_is_refused(token: str) -> None:
    with pytest.raises(Unusable, match="token of a user is not text; put it in quotes"):
        parse(TEXT.replace("token: t", f"token: {token}"))


CLUSTERS = {
    "is neither true nor false": [
        {"insecure-skip-tls-verify": 0}, {"insecure-skip-tls-verify": "false"},
        {"disable-compression": "true"},
    ],
    "sets insecure-skip-tls-verify": [{"insecure-skip-tls-verify": True}],
    "names no server": [{"server": ""}, {"server": None}],
    "is not a plain URL": [
        {"server": server}
        for server in (
            *(" https://x", "https://x?a=b", "https://x#a", "https://me:p@x", "ftp://x", "x:6443"),
            *("https://", "https://[x", "https://x:y", "https://x\n"),
        )
    ],
    "a proxy-url that the gate's client can't use": [
        {"proxy-url": url} for url in ("socks5://x", "https://x", "x", "http://")
    ],
    "has both certificate-authority and": [{**CA, "certificate-authority": "x"}],
    "is not base64": [{"certificate-authority-data": data} for data in ("!!", "YQ", " YWE=")],
}  # fmt: skip
USERS = {
    "names no credentials": [
        *({}, None, {"token": ""}, {"password": "p"}, {"client-key-data": "YQ=="}, {"exec": None}),
    ],
    "without its client-key": [{"client-certificate-data": "YQ=="}],
    "has both client-key and": [{**CERTIFICATES, "client-key": "x"}],
    "both a token and a username": [
        {"token": "t", "password": "p"}, {"tokenFile": "x", "username": "me"},
    ],
    "without as": [
        *({"token": "t", "as-groups": ["a"]}, {"token": "t", "as-uid": "1"}),
        {"token": "t", "as-user-extra": {"a": []}},
    ],
    "an empty text in as-groups": [{"token": "t", "as": "x", "as-groups": ["", "a"]}],
    "interactiveMode is none of": [
        {"exec": {**PLUGIN, "interactiveMode": None}}, {"exec": {**PLUGIN, "interactiveMode": "x"}},
    ],
    "asks somebody at a terminal": [{"exec": {**PLUGIN, "interactiveMode": "Always"}}],
    "apiVersion is none of": [
        {"exec": {**PLUGIN, "apiVersion": f"{V1}alpha1"}}, {"exec": {**PLUGIN, "apiVersion": ""}},
    ],
    "no program with its arguments": [
        {"exec": {**PLUGIN, key: value}, "token": "t"}
        for key, value in (
            *(("command", ""), ("args", [1]), ("args", "x"), ("env", [{"value": "x"}])),
            *(("env", [{"name": ""}]), ("provideClusterInfo", 0), ("env", [1])),
        )
    ],
    "is not oidc with": [
        {"auth-provider": provider}
        for provider in (
            *({"name": "gcp", "config": {}}, {"name": "oidc"}, "oidc"),
            {"name": "oidc", "config": {**OIDC, "idp-issuer-url": ""}},
        )
    ],
    "both an auth-provider and an exec": [
        {"auth-provider": {"name": "oidc", "config": OIDC}, "exec": PLUGIN},
    ],
}  # fmt: skip
DOCUMENTS = {
    "is not a kubeconfig with": [[], "x", {**TOKEN, "kind": "Pod"}, {**TOKEN, "apiVersion": "v2"}],
    "has no current context": [{}, {**TOKEN, "current-context": ""}],
    "current-context of it is not text": [{**TOKEN, "current-context": 1}],
    "has two clusters of one name": [{**TOKEN, "clusters": TOKEN["clusters"] * 2}],
    "has no user of the name": [{**TOKEN, "users": []}, {**TOKEN, "users": None}],
    "has no user in its current": [
        {**TOKEN, "contexts": [{"name": "c", "context": {"cluster": "k"}}]}
    ],
    "users is not a list": [{**TOKEN, "users": {"u": {}}}, {**TOKEN, "users": [1]}],
    "a user is not an object": [
        {**TOKEN, "users": [*TOKEN["users"], {"name": "x", "user": "x"}]},
    ],
    "token of a user is not text": [
        {**TOKEN, "users": [*TOKEN["users"], {"name": "x", "user": {"token": 1}}]},
    ],
    "has no cluster of the name": [{**TOKEN, "clusters": [{"cluster": {}}]}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        *(
            (document({"token": "t"}, {**CA, **c}), why)
            for why, all_ in CLUSTERS.items()
            for c in all_
        ),
        *((document(user), why) for why, all_ in USERS.items() for user in all_),
        *((made, why) for why, all_ in DOCUMENTS.items() for made in all_),
    ],
)
def test_what_can_not_be_used_is_refused_with_the_reason(made: Any, reason: str) -> None:
    with pytest.raises(Unusable, match=reason) as caught:
        parse(yaml.safe_dump(made))
    assert "10.0.0.9" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "%YAML 1.2\n---\n" + TEXT, TEXT + "x: " + "[" * 5000])
def test_what_is_no_yaml_for_kubectl_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match=r"is not YAML|nor YAML"):
        parse(text)


def test_a_plugin_is_not_asked_beside_other_credentials() -> None:
    """So does client-go, and says nothing."""
    for user in ({"token": "t"}, CERTIFICATES, {"username": "me"}):
        assert parse(yaml.safe_dump(document({"exec": PLUGIN, **user}))).plugin is None


def files(user: dict[str, Any], directory: Path, ca: bytes = ROOT.pem) -> Any:
    made = document(user, {"certificate-authority-data": encoded(ca)})
    return checked(parse(yaml.safe_dump(made)), directory)


def test_of_a_ca_bundle_every_certificate_counts_that_can_be_read(tmp_path: Path) -> None:
    lines = ROOT.pem.splitlines(keepends=True)
    broken = b"".join([lines[0], b"AAAA" + lines[1][4:], *lines[2:]])
    bundle = b"text\n" + broken + INTERMEDIATE.pem.replace(b"\n", b"\r\n") + STRANGER.pem + b"end"
    found = files({"token": "t"}, tmp_path, bundle).ca
    assert found.count(b"BEGIN CERTIFICATE") == 2
    with pytest.raises(Unusable, match="without a certificate in PEM"):
        files({"token": "t"}, tmp_path, broken)


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ({**CERTIFICATES, "client-key-data": encoded(SERVER.with_key)}, "don't belong together"),
        ({**CERTIFICATES, "client-certificate-data": encoded(b"x")}, "don't belong together"),
        ({**CERTIFICATES, "client-key-data": with_password()}, "has a client-key with a password"),
        ({"token": "t\n"}, "a token that is empty, or that no request can hold"),
        ({"token": " t"}, "a token that is empty, or that no request can hold"),
        ({"tokenFile": "empty"}, "a token that is empty, or that no request can hold"),
        ({"tokenFile": "missing"}, "as tokenFile that can't be read: No such file"),
    ],
)
def test_files_that_can_not_be_used_are_refused_with_the_reason(
    tmp_path: Path, user: dict[str, Any], reason: str
) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(Unusable, match=reason):
        files(user, tmp_path)


PROGRAM = """#!/bin/sh
printf %s "$KUBERNETES_EXEC_INFO" >{here}/told
cat {here}/status
"""


def asked(directory: Path, status: dict[str, str], **plugin: Any) -> Any:
    """The client of a kubeconfig whose plugin prints this."""
    program = directory / "plugin"
    program.write_text(PROGRAM.format(here=directory))
    program.chmod(0o755)
    credential = {"apiVersion": V1, "kind": "ExecCredential", "status": status}
    (directory / "status").write_text(json.dumps(credential))
    user = {"exec": {**PLUGIN, "command": str(program), **plugin}}
    text = yaml.safe_dump(document(user, {**CA, "tls-server-name": "api"}))

    async def work() -> Any:
        client, _ = await client_of_kubeconfig(None, text)
        await client.close()
        return client

    return asyncio.run(work())


def test_a_plugin_is_told_of_the_cluster_if_it_wants_to(tmp_path: Path) -> None:
    asked(tmp_path, {"token": "t"})
    assert json.loads((tmp_path / "told").read_text())["spec"] == {"interactive": False}
    asked(tmp_path, {"token": "t"}, provideClusterInfo=True)
    assert json.loads((tmp_path / "told").read_text())["spec"]["cluster"] == {
        "server": "https://10.0.0.9",
        "tls-server-name": "api",
        **CA,
        "config": None,
    }


def test_a_plugin_may_give_a_certificate_and_a_token(tmp_path: Path) -> None:
    key = SERVER.with_key[len(SERVER.pem) :].decode()
    identity = {"clientCertificateData": SERVER.pem.decode(), "clientKeyData": key}
    client = asked(tmp_path, {**identity, "token": "t"})
    assert client.configuration.api_key == {"BearerToken": "Bearer t"}
    assert client.configuration.cert_file
    with pytest.raises(ValueError, match="neither a token nor a certificate with its key"):
        asked(tmp_path, {"clientCertificateData": SERVER.pem.decode(), "token": "t"})
