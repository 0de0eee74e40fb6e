"""The connection to an API server: kubeconfigs, watches that come back, the token's end."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from admission.api_server.api import (
    LONGEST_PAUSE_S,
    NODES,
    READ_PAUSE_S,
    ApiError,
    Unreadable,
    Watched,
)
from admission.api_server.connection import INSIST_LIMIT_S, Connection
from admission.gate import bootstrap_token
from admission.gate.bootstrap_token import REVOKED, FoundToken
from admission.gate.orders import AfterJoin, Token
from admission.objects.token_secret import SECRETS
from tests.unit.admission.fakes import TOKEN_ID, clock, run
from tests.unit.certificates import authority

SECRET = f"{SECRETS}/bootstrap-token-{TOKEN_ID}"
ALL_NODES = Watched(NODES, lambda node: node)
CSRS_PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


class Answer:
    """What an HTTP request gives: a body, or the lines of a watch and how it ends."""

    def __init__(
        self, body: Any = None, *, status: int = 200, lines: Any = (), end: Any = None
    ) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self.response = self
        self.closed = False
        self._body, self._lines, self._end = body, lines, end

    @property
    def content(self) -> "Answer":
        return self

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def iter_any(self) -> AsyncIterator[bytes]:
        if self._body is not None:
            yield self._body if isinstance(self._body, bytes) else json.dumps(self._body).encode()
            return
        for line in self._lines:
            yield line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
        if self._end is None:
            await asyncio.Future()
        if isinstance(self._end, Exception):
            raise self._end
        await asyncio.sleep(self._end)

    def close(self) -> None:
        self.closed = True


class Client:
    """The client library's part: gives the answers that a test has put up, in their order."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Any]] = []
        self.configuration = type("Configuration", (), {"host": "https://api.example.org:6443"})()

    async def param_serialize(self, method: str, path: str, **values: Any) -> tuple[Any, ...]:
        return method, path, values["header_params"], values["body"], None

    async def call_api(self, method: str, url: str, _: Any, body: Any, *__: Any) -> Answer:
        self.asked.append((method, url, body))
        if not self.answers:
            raise Done
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Answer)
        return answer


class Done(Exception):
    """A test's answers are used up."""


def cluster(*answers: Any) -> tuple[Connection, Client]:
    client = Client(*answers)
    return Connection(client, "", nothing_else), client  # type: ignore[arg-type]


async def nothing_else() -> Any:
    raise ValueError("there are no other credentials")


def node(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": version}}


def listed(version: str, *items: Any) -> Answer:
    return Answer({"metadata": {"resourceVersion": version}, "items": list(items)})


def event(kind: str, *args: str) -> dict[str, Any]:
    return {"type": kind, "object": node(*args)}


def watched(*answers: Any) -> tuple[list[str], list[str], Client]:
    """What a watch tells of until its answers are used up, what it says, what it asks."""
    api, client = cluster(*answers)
    seen: list[str] = []
    said: list[str] = []

    def see(kind: str, item: dict[str, Any]) -> None:
        seen.append(f"{kind} {item.get('metadata', {}).get('name', len(item.get('items', [])))}")

    with pytest.raises(Done):
        run(api.watch(ALL_NODES, see, said.append))
    return seen, said, client


def urls(client: Client) -> list[str]:
    return [url for _, url, _ in client.asked]


# Watches


def test_a_watch_tells_of_what_is_there_and_of_each_change() -> None:
    lines = [event("ADDED", "b", "6"), event("BOOKMARK", "-", "9"), event("DELETED", "a", "10")]
    seen, said, client = watched(listed("5", node("a", "1")), Answer(lines=lines, end=30))
    assert seen == ["SYNC 1", "ADDED a", "ADDED b", "DELETED a"]
    assert said == []
    assert urls(client)[1].endswith("resourceVersion=5")
    assert urls(client)[2].endswith("resourceVersion=10")


def test_a_watch_goes_on_from_a_bookmark() -> None:
    _, _, client = watched(listed("5"), Answer(lines=[event("BOOKMARK", "-", "9")], end=30))
    assert urls(client)[2].endswith("resourceVersion=9")


@pytest.mark.parametrize(
    "broken",
    [
        Answer(lines=[{"type": "ERROR", "object": {"code": 410}}], end=0),
        Answer(status=410),
        Answer(lines=[b'{"type": "ADDED", "object'], end=0),
        Answer(end=aiohttp.ClientPayloadError("cut")),
        Answer(end=TimeoutError()),
        Answer(end=0),
        aiohttp.ClientConnectionError("refused"),
        ConnectionResetError(),
    ],
    ids=["expired event", "expired", "half a line", "cut", "silent", "closed", "refused", "reset"],
)
def test_a_watch_that_breaks_starts_again_with_everything_that_exists(broken: Any) -> None:
    seen, _, client = watched(listed("5"), broken, listed("7", node("a", "6")))
    assert seen == ["SYNC 0", "SYNC 1", "ADDED a"]
    assert urls(client)[2] == f"{NODES}?limit=250"
    if isinstance(broken, Answer):
        assert broken.closed


def test_an_api_server_that_goes_away_is_reported_of_once_and_when_it_is_back() -> None:
    gone = [aiohttp.ClientConnectionError("refused")] * 5
    seen, said, _ = watched(listed("5"), *gone, listed("5"))
    assert seen == ["SYNC 0", "SYNC 0"]
    assert said == [
        "the API server https://api.example.org:6443 does not answer: ClientConnectionError"
        " refused; trying again",
        "the API server https://api.example.org:6443 answers again",
    ]


def test_pauses_grow_while_an_api_server_is_away() -> None:
    api, client = cluster(*[ConnectionRefusedError()] * 10)

    async def until_done() -> float:
        with pytest.raises(Done):
            await api.watch(ALL_NODES, lambda *_: None, lambda _: None)
        return clock()

    assert 20 < run(until_done()) < 40
    assert len(client.asked) == 11


def test_missing_rights_end_a_watch_though_not_at_once() -> None:
    forbidden = Answer({"message": "nodes is forbidden"}, status=403)
    api, client = cluster(*[forbidden] * 50)

    async def until_its_end() -> float:
        with pytest.raises(ApiError, match="nodes is forbidden"):
            await api.watch(ALL_NODES, lambda *_: None, lambda _: None)
        return clock()

    # So that credentials are read again before that: `Transport` pauses between two readings.
    assert READ_PAUSE_S < run(until_its_end()) < 2 * READ_PAUSE_S + LONGEST_PAUSE_S
    assert len(client.asked) > 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_after_hours_is_the_first_of_a_row(status: int) -> None:
    refused = Answer({"message": "no"}, status=status)
    seen, _, _ = watched(listed("5"), Answer(end=7200), refused, refused, refused, listed("9"))
    assert seen == ["SYNC 0", "SYNC 0"]


@pytest.mark.parametrize("between", [listed("5"), ConnectionRefusedError()], ids=["list", "outage"])
def test_whatever_is_no_refusal_ends_a_row_of_them(between: Any) -> None:
    row = [Answer({"message": "no"}, status=403)] * 5
    later = [*row, *([between] * 2 if isinstance(between, Exception) else [between, Answer(end=0)])]
    seen, _, _ = watched(*later, *row[:3], listed("9"))
    assert seen[-1] == "SYNC 0"


def test_rights_that_come_are_used() -> None:
    forbidden = Answer({"message": "nodes is forbidden"}, status=403)
    seen, _, _ = watched(forbidden, listed("5"))
    assert seen == ["SYNC 0"]


def test_a_certificate_of_another_ca_ends_a_watch_at_once() -> None:
    api, client = cluster(ssl.SSLCertVerificationError())
    with pytest.raises(ssl.SSLCertVerificationError):
        run(api.watch(ALL_NODES, lambda *_: None, lambda _: None))
    assert len(client.asked) == 1


# Requests


def test_an_error_has_its_status_and_message_but_no_query() -> None:
    api, _ = cluster(Answer({"message": "no such node"}, status=404))
    with pytest.raises(ApiError, match=r"^GET /api/v1/nodes/a: 404 no such node$") as caught:
        run(api.request("GET", "/api/v1/nodes/a?x=y"))
    assert caught.value.status == 404


@pytest.mark.parametrize("body", [b"<html>ok</html>", b"ok", b"[]", b'"a"', b"", b"{"])
def test_an_answer_that_is_no_object_is_an_error_that_names_the_request(body: bytes) -> None:
    api, _ = cluster(Answer(body))
    with pytest.raises(Unreadable, match=r"^the answer to GET /version can't be read: it is not"):
        run(api.request("GET", "/version?x=y"))


@pytest.mark.parametrize(
    "failure", [Answer({}, status=503), Answer({}, status=429), ConnectionRefusedError()]
)
def test_insisting_outlives_a_restart(failure: Any) -> None:
    api, _ = cluster(failure, failure, Answer({"a": 1}))
    assert run(api.insist("GET", NODES)) == {"a": 1}


def test_insisting_says_once_that_nobody_answers() -> None:
    api, _ = cluster(ConnectionRefusedError("no"), ConnectionRefusedError("no"), Answer({"a": 1}))
    said: list[str] = []
    assert run(api.insist("GET", NODES, say=said.append)) == {"a": 1}
    assert said == [
        f"the API server {api.server} does not answer: ConnectionRefusedError no; trying again",
        f"the API server {api.server} answers again",
    ]


def test_insisting_ends() -> None:
    api, _ = cluster(*[ConnectionRefusedError()] * 100)

    async def insist() -> float:
        with pytest.raises(ConnectionRefusedError):
            await api.insist("GET", NODES)
        return clock()

    assert INSIST_LIMIT_S < run(insist()) < INSIST_LIMIT_S + 6


def test_insisting_takes_no_for_an_answer() -> None:
    api, client = cluster(Answer({}, status=403))
    with pytest.raises(ApiError):
        run(api.insist("GET", NODES))
    assert len(client.asked) == 1


@pytest.mark.parametrize("allowed", [True, False])
def test_the_review_is_asked_for_the_requester_as_the_csr_names_it(allowed: bool) -> None:
    api, client = cluster(Answer({"status": {"allowed": allowed}}, status=201))
    spec = {
        "username": "system:node:a",
        "uid": "u",
        "groups": ["system:nodes"],
        "extra": {"k": ["v"]},
        "request": "",
    }
    assert run(api.may_serve_itself(spec)) is allowed
    method, url, body = client.asked[0]
    assert (method, url) == ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews")
    assert body["spec"] == {
        "user": "system:node:a",
        "uid": "u",
        "groups": ["system:nodes"],
        "extra": {"k": ["v"]},
        "resourceAttributes": {
            "group": "certificates.k8s.io",
            "version": "*",
            "resource": "certificatesigningrequests",
            "subresource": "selfnodeserver",
            "verb": "create",
        },
    }


# The token


def end(*answers: Any, after_join: AfterJoin = "revoke") -> tuple[str, Client]:
    api, client = cluster(*answers)
    token = Token(id=TOKEN_ID, secret_uid="uid", group="system:bootstrappers:workers")
    found = FoundToken(token=token, life="alive")
    state: str = run(bootstrap_token.end(api, found, after_join))
    return state, client


def secret(uid: str = "uid", **data: str) -> Answer:
    return Answer({"metadata": {"uid": uid}, "data": data})


def test_a_token_is_revoked_in_place_by_a_patch_with_its_uid() -> None:
    state, client = end(secret(**{"token-secret": "eA=="}), secret(**REVOKED))
    assert state == "revoked"
    assert client.asked == [
        ("GET", SECRET, None),
        ("PATCH", SECRET, {"metadata": {"uid": "uid"}, "data": REVOKED}),
    ]
    assert base64.b64decode(REVOKED["usage-bootstrap-authentication"]) == b"false"


def test_a_token_whose_secret_is_gone_is_dead() -> None:
    assert end(Answer({}, status=404))[0] == "gone"
    assert end(secret(), Answer({}, status=404))[0] == "gone"


def test_the_secret_of_somebody_else_is_left_alone() -> None:
    with pytest.raises(ValueError, match="not the one that this stack created"):
        end(secret(uid="another"))


def test_a_token_that_stays_alive_is_an_error() -> None:
    with pytest.raises(ValueError, match="still alive"):
        end(secret(), secret(**{**REVOKED, "token-secret": "eA=="}))


def test_a_token_may_live_on() -> None:
    for after_join, state in (("expire", "expiring"), ("keep", "kept")):
        found, client = end(after_join=after_join)  # type: ignore[arg-type]
        assert (found, client.asked) == (state, [])


def test_the_api_servers_clock_is_read_off_its_answers() -> None:
    answer = Answer({})
    answer.headers = {"Date": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)}
    api, _ = cluster(answer)
    run(api.request("GET", "/version"))
    assert timedelta(minutes=59) < api.ahead <= timedelta(hours=1)


# Kubeconfigs


def kubeconfig(user: dict[str, Any], **cluster_values: Any) -> dict[str, Any]:
    server = {"server": "https://api.example.org:6443", **cluster_values}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [
            {"name": "other", "context": {"cluster": "no", "user": "no"}},
            {"name": "one", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": user}],
    }


async def connected(path: Path | None, content: str | None = None) -> Connection:
    api = await Connection.open(str(path) if path else None, content)
    await api.close()
    return api


def test_files_are_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(authority(days=5))
    (tmp_path / "token").write_text("t")
    path = tmp_path / "config"
    path.write_text(
        yaml.safe_dump(kubeconfig({"tokenFile": "token"}, **{"certificate-authority": "ca.crt"}))
    )
    api = asyncio.run(connected(path))
    assert api.host == "api.example.org"
    assert api.kubelets_trust().get_ca_certs()


def test_a_kubeconfig_may_be_given_by_its_content() -> None:
    data = base64.b64encode(authority(days=5)).decode()
    content = yaml.safe_dump(kubeconfig({"token": "t"}, **{"certificate-authority-data": data}))
    assert asyncio.run(connected(None, content)).kubelets_trust().get_ca_certs()


def test_a_kubeconfig_without_a_ca_proves_no_kubelet() -> None:
    api = asyncio.run(connected(None, yaml.safe_dump(kubeconfig({"token": "t"}))))
    with pytest.raises(ValueError, match="has no certificate-authority"):
        api.kubelets_trust()


@pytest.mark.parametrize(
    "content",
    ["", "hunter2", "[hunter2]", "a: [hunter2", "{}", "{current-context: hunter2, contexts: []}"],
)
def test_a_bad_kubeconfig_is_named_and_not_quoted(content: str) -> None:
    with pytest.raises(
        ValueError, match=r"^the kubeconfig that the stack's .* (is not|has no)"
    ) as caught:
        asyncio.run(connected(None, content))
    assert "hunter2" not in str(caught.value)


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere can't be read: No such file"):
        asyncio.run(connected(tmp_path / "nowhere"))
