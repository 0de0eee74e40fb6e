"""The connection of the standard library: what it does by itself, and what it hands over."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from admission.api_server import brief_connection
from admission.api_server.api import LARGEST_OBJECT_BYTES
from admission.api_server.brief_connection import BriefConnection, Requests, open_briefly
from admission.api_server.connection import Connection
from admission.api_server.lists import Listed
from tests.unit.admission.tls_api_server import (
    CERTIFICATE,
    CERTIFICATES,
    KEY,
    ApiServer,
    encoded,
    kubeconfig,
    serving,
    url,
)
from tests.unit.certificates import authority

PATH = "/api/v1/nodes/node-1"


@pytest.fixture
def api_server(tmp_path: Path) -> Iterator[ApiServer]:
    with serving(tmp_path) as found:
        yield found


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@contextlib.contextmanager
def no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client's library must not be used."""

    async def refuse(*_: Any) -> Requests:
        raise AssertionError("the library is asked")

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "open", refuse)
        yield


@pytest.mark.parametrize("fails", [False, True])
def test_a_list_is_read_in_pages_by_itself_unless_that_fails(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    pages = {
        "250": {"padding": "x" * LARGEST_OBJECT_BYTES},
        "62": {"items": [{"metadata": {"name": "a"}}, {}]},
    }
    for limit, found in pages.items():
        # What is too long is told by its beginning, as Kubernetes writes it.
        kind = {"kind": "NodeList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}}
        api_server.answers[f"GET /api/v1/nodes?limit={limit}"] = {**kind, "items": [], **found}

    def refuse(*_: Any) -> bytes:
        raise OSError

    if fails:
        monkeypatch.setattr(BriefConnection, "_exchange", refuse)

    async def read() -> Listed:
        with contextlib.nullcontext() if fails else no_library(monkeypatch):
            api = await open_briefly(kubeconfig(tmp_path, url(api_server)))
            try:
                return await api.list("/api/v1/nodes", lambda item: item)
            finally:
                await api.close()

    listed = asyncio.run(read())
    assert listed.items == [{"metadata": {"name": "a"}}]
    assert listed.left_out == [("an object", "it lacks what we read (KeyError)")]


async def insist(path: str, *requests: tuple[Any, ...]) -> list[Any]:
    api = await open_briefly(path)
    try:
        kinds = {"PATCH": "application/merge-patch+json"}
        return [
            await api.insist(*r, content_type=kinds.get(r[0], "application/json")) for r in requests
        ]
    finally:
        await api.close()


def test_requests_go_over_one_connection_with_the_clients_certificate(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = kubeconfig(tmp_path, f"{url(api_server)}/")
    with no_library(monkeypatch):
        requests = [("GET", PATH), ("PATCH", PATH, {"a": 1}), ("DELETE", PATH, {"b": 2})]
        assert asyncio.run(insist(path, *requests))[0]["status"] == 200
    assert api_server.asked == [
        ("GET", PATH, None, None, None),
        ("PATCH", PATH, {"a": 1}, "application/merge-patch+json", None),
        ("DELETE", PATH, {"b": 2}, "application/json", None),
    ]
    assert api_server.clients == ["certificate"] * 3
    assert [*(tmp_path / "temporary").iterdir()] == []


def test_a_token_and_files_beside_the_kubeconfig_do_too(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/ca.crt").write_bytes(CERTIFICATE)
    (tmp_path / "pki/key").write_bytes(KEY)
    user = {"client-certificate": "pki/ca.crt", "client-key": "pki/key", "token": "t"}
    more = {"certificate-authority": "pki/ca.crt", "certificate-authority-data": ""}
    path = kubeconfig(tmp_path, url(api_server), user, **more)
    with no_library(monkeypatch):
        asyncio.run(insist(path, ("GET", PATH)))
    assert api_server.asked[0][-1] == "Bearer t"
    assert api_server.clients == ["certificate"]


@pytest.mark.parametrize("status", [302, 403, 404, 409, 429, 500, 503])
def test_a_request_that_fails_is_the_librarys(
    api_server: ApiServer, tmp_path: Path, status: int
) -> None:
    api_server.statuses = [status]
    answers = asyncio.run(insist(kubeconfig(tmp_path, url(api_server)), ("GET", PATH)))
    assert [answer["status"] for answer in answers] == [200]
    assert len(api_server.asked) == 2


def test_the_librarys_errors_are_told(api_server: ApiServer, tmp_path: Path) -> None:
    api_server.statuses = [404, 404]
    with pytest.raises(Exception, match=f"^GET {PATH}: 404 no such node$"):
        asyncio.run(insist(kubeconfig(tmp_path, url(api_server)), ("GET", PATH)))


@pytest.mark.parametrize(
    ("what", "value"), [("REQUEST_TIMEOUT_S", 0.1), ("SILENCE_S", 0.1)], ids=["slow", "silent"]
)
def test_a_server_that_takes_long_is_waited_for_by_the_library(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, value: float
) -> None:
    monkeypatch.setattr(brief_connection, what, value)
    api_server.pause_s = 0.5
    asyncio.run(insist(kubeconfig(tmp_path, url(api_server)), ("GET", PATH)))
    assert len(api_server.asked) == 2


def test_an_interruption_waits_for_no_answer(api_server: ApiServer, tmp_path: Path) -> None:
    api_server.pause_s = 3

    async def work() -> None:
        asking = asyncio.create_task(insist(kubeconfig(tmp_path, url(api_server)), ("GET", PATH)))
        while not api_server.asked:
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    began = time.monotonic()
    asyncio.run(work())
    assert time.monotonic() - began < 2


def test_a_connection_that_has_rested_is_opened_again(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brief_connection, "IDLE_S", -1)
    with no_library(monkeypatch):
        requests = [("GET", PATH)] * 3
        assert len(asyncio.run(insist(kubeconfig(tmp_path, url(api_server)), *requests))) == 3


def test_a_server_of_another_ca_gets_no_request(api_server: ApiServer, tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, url(api_server), {"token": "t"}, ca=authority(days=5))
    with pytest.raises(Exception, match="certificate verify failed"):
        asyncio.run(insist(path, ("GET", PATH)))
    assert api_server.asked == []


@pytest.mark.parametrize(
    ("user", "more"),
    [
        ({"exec": {"command": "aws"}}, {}),
        ({"tokenFile": "token"}, {}),
        ({"username": "a", "password": "b"}, {}),
        ({"auth-provider": {"name": "gcp"}}, {}),
        ({"token": "t", "as": "admin"}, {}),
        ({"client-certificate-data": encoded(CERTIFICATE)}, {}),
        ({**CERTIFICATES, "client-key": "key"}, {}),
        ({**CERTIFICATES, "client-key-data": "no base64"}, {}),
        ({**CERTIFICATES, "client-key-data": encoded(b"-----BEGIN ENCRYPTED PRIVATE KEY")}, {}),
        ({"token": "t"}, {"insecure-skip-tls-verify": True}),
        ({"token": "t"}, {"tls-server-name": "kubernetes"}),
        ({"token": "t"}, {"proxy-url": "http://proxy"}),
        ({"token": "t"}, {"certificate-authority": "ca.crt"}),
        ({"token": "t"}, {"certificate-authority-data": ""}),
        ({"token": "t"}, {"server": "http://127.0.0.1"}),
        ({"token": "t"}, {"server": "https://127.0.0.1/k8s/clusters/c-1"}),
        ({"token": "t"}, {"server": "https://a:b@127.0.0.1"}),
        ({"token": "t"}, {"server": ""}),
    ],
)
def test_a_kubeconfig_that_says_more_is_the_librarys(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: dict[str, Any],
    more: dict[str, Any],
) -> None:
    path = kubeconfig(tmp_path, "https://127.0.0.1", user, **more)
    with no_library(monkeypatch), pytest.raises(AssertionError, match="the library is asked"):
        asyncio.run(open_briefly(path))


def test_a_temporary_file_is_written_anew_once_its_credentials_have_ended(
    api_server: ApiServer, tmp_path: Path
) -> None:
    path = kubeconfig(tmp_path, url(api_server), {"token": "first"})
    api_server.statuses = [401, 401]  # of this connection, and of its successor

    async def renew() -> str:
        kubeconfig(tmp_path, url(api_server), {"token": "second"})
        return Path(path).read_text()  # noqa: ASYNC240

    async def work() -> Any:
        api = await open_briefly(path, renew)
        try:
            return await api.insist("GET", PATH)
        finally:
            await api.close()

    assert asyncio.run(work())["status"] == 200
    tokens = [asked[-1] for asked in api_server.asked]
    assert tokens == ["Bearer first", "Bearer first", "Bearer second"]


@pytest.mark.parametrize("content", ["", "a: [", "[]", "{}", "{current-context: one}", "x"])
def test_what_is_no_kubeconfig_is_told_by_the_library(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(
        ValueError, match=r"config (is not a kubeconfig|has no context|has no current)"
    ):
        asyncio.run(open_briefly(str(path)))


@pytest.mark.parametrize(("excepted", "brief"), [("10.0.0.0/8", True), ("", False)])
def test_a_proxy_is_the_librarys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, excepted: str, brief: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", excepted)
    monkeypatch.setenv("no_proxy", excepted)

    async def kind() -> bool:
        api = await open_briefly(kubeconfig(tmp_path, "https://10.0.0.9:6443", {"token": "t"}))
        await api.close()
        return isinstance(api, BriefConnection)

    assert asyncio.run(kind()) is brief
