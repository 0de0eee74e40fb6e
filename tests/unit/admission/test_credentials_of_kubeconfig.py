"""Credentials that a kubeconfig gives: they end, are read again, and leave nothing behind."""

import asyncio
import base64
import json
import os
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from admission.api_server import credentials, exec_plugin
from admission.api_server.api import ApiError
from admission.api_server.connection import Connection
from admission.api_server.kubeconfig import client_of_kubeconfig
from tests.unit import certificates

PLUGIN = """#!/bin/sh
echo asked >>{here}/asked
[ ! -e {here}/broken ] || {{ echo 'sign in first' >&2; exit 1; }}
printf '{{"apiVersion":"{version}","kind":"ExecCredential","status":{{"token":"%s"}}}}' \\
    "$(cat {here}/token)"
"""
VERSION = "client.authentication.k8s.io/v1"
Work = Callable[[str], Coroutine[Any, Any, None]]


def kubeconfig(server: str, user: dict[str, Any], **cluster: Any) -> str:
    document = {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    return yaml.safe_dump(document)


def with_server(token: Callable[[], str], work: Work) -> list[str]:
    """Run with an API server that takes one token; returns what was given to it."""
    given: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        given.append(request.headers.get("Authorization", ""))
        if given[-1] != f"Bearer {token()}":
            return web.json_response({"message": "Unauthorized"}, status=401)
        return web.json_response({"kind": "Status"})

    async def run() -> None:
        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(application, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            await work(f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()

    asyncio.run(run())
    return given


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, Any]:
    """A user of an exec plugin that gives what is in the file `token`."""
    program = tmp_path / "plugin"
    program.write_text(PLUGIN.format(here=tmp_path, version=VERSION))
    program.chmod(0o755)
    (tmp_path / "token").write_text("first")
    return {"exec": {"command": str(program), "apiVersion": VERSION, "interactiveMode": "Never"}}


def asked(directory: Path) -> int:
    return len((directory / "asked").read_text().splitlines())


def test_a_token_that_has_ended_is_asked_for_again(tmp_path: Path, plugin: dict[str, Any]) -> None:
    async def work(server: str) -> None:
        connection = await Connection.open(None, kubeconfig(server, plugin))
        assert await connection.request("GET", "/api") == {"kind": "Status"}
        (tmp_path / "token").write_text("second")
        both = [connection.request("GET", "/api") for _ in range(2)]
        assert await asyncio.gather(*both) == [{"kind": "Status"}] * 2
        answer = await connection.stream("/api")
        assert answer.status == 200
        answer.close()
        await connection.close()

    given = with_server((tmp_path / "token").read_text, work)
    assert given == ["Bearer first"] * 3 + ["Bearer second"] * 3
    assert asked(tmp_path) == 2


def test_a_content_that_has_ended_is_asked_for_again() -> None:
    tokens = ["first"]

    async def work(server: str) -> None:
        async def renew() -> str:
            return kubeconfig(server, {"token": tokens[-1]})

        connection = await Connection.open(None, await renew(), renew)
        assert await connection.request("GET", "/api") == {"kind": "Status"}
        tokens.append("second")
        assert await connection.request("GET", "/api") == {"kind": "Status"}
        await connection.close()

    given = with_server(lambda: tokens[-1], work)
    assert given == [f"Bearer {token}" for token in ("first", "first", "second")]


def test_a_content_that_can_not_be_had_again_leaves_the_refusal() -> None:
    async def work(server: str) -> None:
        async def renew() -> str:
            raise ValueError("the other stack is gone")

        connection = await Connection.open(None, kubeconfig(server, {"token": "first"}), renew)
        with pytest.raises(ApiError, match="401 Unauthorized"):
            await connection.request("GET", "/api")
        await connection.close()

    assert with_server(lambda: "another", work) == ["Bearer first"]


def test_a_refusal_is_told_and_no_plugin_is_asked_all_the_time(
    tmp_path: Path, plugin: dict[str, Any]
) -> None:
    async def work(server: str) -> None:
        connection = await Connection.open(None, kubeconfig(server, plugin))
        for _ in range(3):
            with pytest.raises(ApiError, match="401 Unauthorized"):
                await connection.request("GET", "/api")
        await connection.close()

    with_server(lambda: "another", work)
    assert asked(tmp_path) == 2


def test_a_kubelets_refusal_asks_no_plugin_again(tmp_path: Path, plugin: dict[str, Any]) -> None:
    """The API server passes it on, and it says nothing about our credentials."""

    async def work(server: str) -> None:
        connection = await Connection.open(None, kubeconfig(server, plugin))
        with pytest.raises(ApiError, match="401 Unauthorized"):
            await connection.reach("/api/v1/nodes/node-1/proxy/healthz")
        await connection.close()

    assert with_server(lambda: "another", work) == ["Bearer first"]
    assert asked(tmp_path) == 1


def test_a_plugin_that_gives_nothing_is_named(tmp_path: Path, plugin: dict[str, Any]) -> None:
    (tmp_path / "broken").touch()

    async def work() -> None:
        with pytest.raises(
            ValueError, match=r"exec plugin that gave no credentials .*; run .*/plugin"
        ):
            await Connection.open(None, kubeconfig("https://api.example.org", plugin))

    asyncio.run(work())


def test_a_plugin_that_does_not_end_is_ended(
    tmp_path: Path, plugin: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_plugin, "LIMIT_S", 0.5)
    (tmp_path / "plugin").write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 600\n")

    async def work() -> None:
        with pytest.raises(ValueError, match="exec plugin that gave no credentials"):
            await Connection.open(None, kubeconfig("https://api.example.org", plugin))

    asyncio.run(work())
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_key_is_in_no_file_once_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    certificate, key = certificates.server("127.0.0.1")
    data = {
        f"client-{name}-data": base64.b64encode(content).decode()
        for name, content in (("certificate", certificate), ("key", key))
    }

    async def work() -> None:
        for _ in range(2):  # the second finds the same content
            authority = base64.b64encode(certificate).decode()
            text = kubeconfig("https://x", data, **{"certificate-authority-data": authority})
            connection = await Connection.open(None, text)
            assert os.listdir(tmp_path) == []  # noqa: PTH208
            await connection.close()

    asyncio.run(work())


def test_an_api_server_that_is_not_verified_is_refused() -> None:
    text = kubeconfig("https://x", {"token": "t"}, **{"insecure-skip-tls-verify": True})

    async def work() -> None:
        with pytest.raises(
            ValueError, match=r"sets insecure-skip-tls-verify.*certificate-authority"
        ):
            await Connection.open(None, text)

    asyncio.run(work())


def test_netrc_counts_for_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))

    async def work(server: str) -> None:
        connection = await Connection.open(None, kubeconfig(server, {"token": "own"}))
        with pytest.raises(ApiError, match="401"):
            await connection.request("GET", "/api")
        await connection.close()

    assert set(with_server(lambda: "t", work)) == {"Bearer own"}


@pytest.mark.parametrize("used", [True, False])
def test_a_proxy_of_the_environment_counts_for_every_request(
    monkeypatch: pytest.MonkeyPatch, used: bool
) -> None:
    """This machine itself is reached without one."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    seen: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readline()).decode())
        body = json.dumps({"status": {"userInfo": {"username": "proxied"}}})
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()

    async def work(server: str) -> None:
        between = await asyncio.start_server(proxy, "127.0.0.1", 0)
        port = between.sockets[0].getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        server = "http://api.example.org" if used else server
        connection = await Connection.open(None, kubeconfig(server, {"token": "t"}))
        await connection.request("GET", "/api")
        await connection.close()
        between.close()
        assert len(seen) == used
        assert all(line.startswith(f"GET {server}/api ") for line in seen)

    given = with_server(lambda: "t", work)
    assert len(given) == (not used)


def test_credentials_of_another_cluster_are_not_taken(
    tmp_path: Path, plugin: dict[str, Any]
) -> None:
    path = tmp_path / "kubeconfig"

    async def work(server: str) -> None:
        path.write_text(kubeconfig(server, plugin))
        connection = await Connection.open(str(path), None)
        path.write_text(kubeconfig("https://another.example.org:6443", plugin))
        (tmp_path / "token").write_text("second")
        with pytest.raises(ApiError, match="401 Unauthorized"):
            await connection.request("GET", "/api")
        await connection.close()

    assert with_server(lambda: "second", work) == ["Bearer first"]


def sent(user: dict[str, Any], tmp_path: Path, **cluster: Any) -> list[tuple[str, str]]:
    """The headers of a request that say who asks, with a kubeconfig that has this user."""
    found: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        found.extend(
            (name, value)
            for name, value in request.headers.items()
            if name == "Authorization" or name.startswith("Impersonate-")
        )
        return web.json_response({"kind": "Status"})

    async def run() -> None:
        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(application, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        path = tmp_path / "config"
        server = f"http://127.0.0.1:{runner.addresses[0][1]}"
        path.write_text(kubeconfig(server, user, **cluster))
        api = await Connection.open(str(path), None)
        try:
            await api.request("GET", "/version")
        finally:
            await api.close()
            await runner.cleanup()

    asyncio.run(run())
    return found


def test_who_acts_as_another_does_so_in_each_request(tmp_path: Path) -> None:
    user = {
        "token": "t",
        "as": "ops",
        "as-uid": "7",
        "as-groups": ["a", "b"],
        "as-user-extra": {"example.org/scope": ["x"]},
    }
    assert sent(user, tmp_path) == [
        ("Authorization", "Bearer t"),
        ("Impersonate-User", "ops"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-example.org%2Fscope", "x"),
    ]


@pytest.mark.parametrize("absolute", [True, False])
def test_a_token_in_a_file_is_taken_without_its_line_end(tmp_path: Path, absolute: bool) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n")
    named = str(file) if absolute else "token"
    assert sent({"tokenFile": named, "token": "older"}, tmp_path) == [
        ("Authorization", "Bearer abc")
    ]


def test_a_plugin_is_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/plugin"
    program.write_text(PLUGIN.format(here=tmp_path, version=VERSION))
    program.chmod(0o755)
    (tmp_path / "token").write_text("t0")
    user = {"exec": {"apiVersion": VERSION, "command": "bin/plugin", "interactiveMode": "Never"}}
    assert sent(user, tmp_path) == [("Authorization", "Bearer t0")]


def test_a_file_is_relative_to_a_link_and_not_to_what_it_leads_to(tmp_path: Path) -> None:
    """As for kubectl; a plain kubeconfig is read by another module than one with more in it."""
    real, home = tmp_path / "real", tmp_path / "home"
    real.mkdir()
    home.mkdir()
    authority = certificates.authority(days=90)
    (home / "ca.crt").write_bytes(authority)
    server = "https://127.0.0.1:6443"
    (real / "config").write_text(
        kubeconfig(server, {"token": "t"}, **{"certificate-authority": "ca.crt"})
    )
    (home / "config").symlink_to(real / "config")
    assert credentials.read(str(home / "config")).server == server

    async def look() -> str:
        client, ca = await client_of_kubeconfig(str(home / "config"), None)
        await client.close()
        return ca

    assert asyncio.run(look()).encode() == authority


@pytest.mark.parametrize(
    "user",
    [
        *({"as-groups": "sys"}, {"as-user-extra": {"scope": "x"}}),
        *({"as": True}, {"as-uid": 1001}, {"as-groups": [1]}, {"as-user-extra": {"scope": [{}]}}),
        *({"as": "a\r\nX: b"}, {"as": ["x"]}),
    ],
)
def test_what_no_header_says_of_another_user_is_refused(
    tmp_path: Path, user: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"correct it$|put text in quotes"):
        sent({"token": "t", "as": "ops", **user}, tmp_path)


def test_a_plugin_of_a_kubeconfig_without_a_path_is_found_where_the_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not among the programs of PATH, as a name without a slash is."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for directory in (here, elsewhere):
        directory.mkdir()
        program = directory / "plug"
        program.write_text(PLUGIN.format(here=directory, version=VERSION))
        program.chmod(0o755)
        (directory / "token").write_text(directory.name)
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", f"{elsewhere}:{os.environ['PATH']}")
    user = {"exec": {"apiVersion": VERSION, "command": "./plug", "interactiveMode": "Never"}}

    async def work(server: str) -> None:
        connection = await Connection.open(None, kubeconfig(server, user))
        await connection.request("GET", "/api")
        await connection.close()

    assert with_server(lambda: "here", work) == ["Bearer here"]
