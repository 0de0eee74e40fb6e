"""The checks of the cluster: what passes, what fails, and what is said about each."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from admission.api_server.access_reviews import ACCESS_REVIEWS, SELF_ACCESS_REVIEWS
from admission.api_server.api import CSRS, ApiError, Keep
from admission.api_server.lists import Listed
from admission.gate.bootstrap_token import FoundToken, find
from admission.gate.checks import preflight
from admission.gate.checks.check import Context
from admission.gate.checks.cluster import LEASE
from admission.gate.checks.tokens import check_token
from admission.gate.orders import Token
from admission.objects.node_attributes import Attributes
from admission.objects.token_secret import TOKENS
from tests.unit.admission.fakes import CLIENT, NOW, entry, listed, orders, run

TOKEN = Token(id="abc123", secret_uid="uid", group="system:bootstrappers:workers")
ALIVE = FoundToken(
    token=TOKEN,
    life="alive",
    created=NOW,
    expires=NOW + timedelta(hours=1),
    value="abc123.0123456789abcdef",
)
HOLDER = {
    "username": "system:bootstrap:abc123",
    "groups": ["system:bootstrappers", "system:bootstrappers:workers", "system:authenticated"],
}


class Answers:
    """An API server that answers what a test has put up, and allows what is not denied."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.asked_groups: set[str] = set()  # of others, for whom we have asked
        self.denied: set[str] = set()  # what may not be done, such as `update nodes/proxy`
        self.answers: dict[str, Any] = {
            "/version": {"major": "1", "minor": "37+", "gitVersion": "v1.37.2"},
            CSRS: {"items": []},
            TOKENS: {"items": []},
            LEASE: ApiError(404, "GET", LEASE, "not found"),
        }
        self.user: Any = HOLDER

    async def insist(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **_: Any
    ) -> Any:
        if path in (ACCESS_REVIEWS, SELF_ACCESS_REVIEWS):
            assert body is not None
            attributes = body["spec"]["resourceAttributes"]
            self.asked_groups.update(body["spec"].get("groups", ()))
            what = "/".join(filter(None, (attributes["resource"], attributes.get("subresource"))))
            name = attributes.get("name") or what
            return {"status": {"allowed": f"{attributes['verb']} {name}" not in self.denied}}
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def list(self, path: str, keep: Keep) -> Listed:
        base, _, signer = path.partition("?fieldSelector=spec.signerName=")
        items = (await self.insist("GET", base))["items"]
        return listed((i for i in items if not signer or i["spec"]["signerName"] == signer), keep)

    async def identity(self, token: str) -> Any:
        assert token == ALIVE.value
        if isinstance(self.user, Exception):
            raise self.user
        return self.user


@pytest.fixture
def api() -> Answers:
    return Answers()


def found_by(api: Answers, check: str, *, tokens: Any = (ALIVE,), **changed: Any) -> str:
    """What one check says, with its state in front."""
    told = replace(orders(entry("node-1", "10.0.0.1")), **changed)
    context = Context(api=api, orders=told, tokens=tokens, now=NOW)  # type: ignore[arg-type]
    state, text = run(preflight.CHECKS[check](context))  # type: ignore[arg-type]
    return f"{state} {text}".strip()


def token_secret(name: str, **changed: Any) -> dict[str, Any]:
    data = {"token-secret": "s", "expiration": "2026-11-24T13:00:00Z", **changed}
    labels = {
        "app.kubernetes.io/managed-by": "kubelet-tls-bootstrap",
        "kubelet-tls-bootstrap/pool": "workers",
    }
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": f"bootstrap-token-{name}", "labels": labels}, "data": encoded}


def request(state: str, *, age: timedelta) -> dict[str, Any]:
    status: dict[str, Any] = {"conditions": [{"type": "Approved"}]}
    if state == "issued":
        status["certificate"] = "Y2VydA=="
    created = (NOW - age).isoformat()
    metadata = {"name": f"csr-{state}", "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"signerName": CLIENT}, "status": status}


# All of them


def test_a_sound_cluster_passes_and_says_what_can_not_be_seen(api: Answers) -> None:
    api.answers[CSRS] = {"items": [request("issued", age=timedelta(hours=1))]}
    context = Context(
        api=api,  # type: ignore[arg-type]
        orders=orders(entry("node-1", "10.0.0.1")),
        tokens=(ALIVE,),
        now=NOW,
    )
    lines = list(preflight.summary(run(preflight.run(context))))
    assert lines[0] == (
        "cluster checks passed: version, rights, clock, token, client-approval, signer,"
        " signing-rate, token-cleaner, left-over-tokens"
    )
    assert [line.partition(":")[0] for line in lines[1:]] == ["not checked"]


def test_a_check_that_is_skipped_is_not_made(api: Answers) -> None:
    told = replace(orders(), skipped_checks=frozenset(preflight.CHECKS) - {"clock"})
    context = Context(api=api, orders=told, tokens=(), now=NOW)  # type: ignore[arg-type]
    assert [finding.check for finding in run(preflight.run(context))] == ["clock"]


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (ApiError(403, "GET", "/version", "forbidden"), "GET /version: 403 forbidden"),
        (aiohttp.ClientConnectionError(), "the API server does not answer"),
    ],
)
def test_a_check_that_gets_no_answer_is_said_to_be_not_made(
    api: Answers, failure: Exception, text: str
) -> None:
    api.answers["/version"] = failure
    context = Context(api=api, orders=orders(), tokens=(), now=NOW)  # type: ignore[arg-type]
    findings = {finding.check: finding for finding in run(preflight.run(context))}
    assert findings["version"].state == "not checked"
    assert text in findings["version"].text


def test_an_odd_object_of_somebody_stops_no_check_but_its_own(api: Answers) -> None:
    odd = {"metadata": {"name": "bootstrap-token-odd111"}, "data": {"expiration": "/w=="}}
    api.answers[TOKENS] = {"items": [odd]}
    issued = request("issued", age=timedelta(hours=1))
    api.answers[CSRS] = {"items": [{"spec": {"signerName": CLIENT}}, issued]}
    context = Context(api=api, orders=orders(), tokens=(), now=NOW)  # type: ignore[arg-type]
    findings = {finding.check: finding for finding in run(preflight.run(context))}
    assert findings["signer"].state == "passed"
    assert findings["token-cleaner"].state == "warning"
    assert findings["left-over-tokens"].state == "passed"


@pytest.mark.parametrize(
    ("joining", "told"),
    [(0, ""), (99, ""), (300, "signs for 10 nodes a second, unless its --kube-api-qps (20)")],
)
def test_a_large_run_is_told_how_long_signing_takes(api: Answers, joining: int, told: str) -> None:
    many = replace(orders(), joining=joining)
    context = Context(api=api, orders=many, tokens=(), now=NOW)  # type: ignore[arg-type]
    findings = {finding.check: finding for finding in run(preflight.run(context))}
    assert findings["signing-rate"].state == ("not checked" if told else "passed")
    assert told in findings["signing-rate"].text
    assert not told or findings["signing-rate"].text.endswith("300 nodes take at least 30 s")


def test_the_settings_know_each_check() -> None:
    from typing import get_args  # noqa: PLC0415

    from settings.kubelet_formats import ClusterCheck  # noqa: PLC0415 - tests alone know both

    assert get_args(ClusterCheck) == tuple(preflight.CHECKS)


# Each by itself


@pytest.mark.parametrize(
    ("kubelet", "said"),
    [
        ("1.37", "passed"),
        ("1.34", "passed"),
        ("v1.36.1", "passed"),
        ("1.38", "failed node-1's kubelet 1.38 is newer than the API server, which has v1.37.2"),
        ("1.33", "failed node-1's kubelet 1.33 is more than 3 minors behind the API server"),
    ],
)
def test_a_kubelet_is_as_new_as_the_api_server_or_three_minors_older(
    api: Answers, kubelet: str, said: str
) -> None:
    assert found_by(api, "version", kubelet_versions={"node-1": kubelet}).startswith(said)


@pytest.mark.parametrize(
    ("right", "state"),
    [
        ("watch certificatesigningrequests", "failed"),
        ("update certificatesigningrequests/approval", "failed"),
        ("approve kubernetes.io/kubelet-serving", "failed"),
        ("get nodes/proxy", "failed"),
        ("patch secrets", "failed"),
        ("create subjectaccessreviews", "failed"),
        ("create pods/eviction", "warning"),
        ("patch nodes", "warning"),
    ],
)
def test_each_missing_right_is_named(api: Answers, right: str, state: str) -> None:
    api.denied.add(right)
    said = found_by(api, "rights")
    assert said.startswith(f"{state} the kubeconfig's user may not {right};")


def test_a_gate_that_sets_labels_needs_the_right_to(api: Answers) -> None:
    api.denied.add("patch nodes")
    wanted = {"node-1": Attributes(labels={"tier": "a"})}
    assert found_by(api, "rights", attributes=wanted).startswith("failed the kubeconfig's user may")


def test_a_gate_needs_to_approve_only_what_it_approves(api: Answers) -> None:
    api.denied |= {
        "approve kubernetes.io/kubelet-serving",
        "approve kubernetes.io/kube-apiserver-client-kubelet",
    }
    assert found_by(api, "rights", serving_approval="manual") == "passed"
    said = found_by(api, "rights", serving_approval="manual", client_approval="gate")
    assert "approve kubernetes.io/kube-apiserver-client-kubelet" in said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (30, "passed"),
        (-30, "passed"),
        (31, "failed the API server's clock is 31 s ahead of this machine's"),
        (-400, "failed the API server's clock is 400 s behind this machine's"),
    ],
)
def test_clocks_may_differ_by_half_a_minute(api: Answers, seconds: int, said: str) -> None:
    api.ahead = timedelta(seconds=seconds)
    assert found_by(api, "clock").startswith(said)


def test_a_token_that_authenticates_as_it_should_passes(api: Answers) -> None:
    assert found_by(api, "token") == "passed"


TOKEN_PROBLEMS = {
    "not accepted": (
        ApiError(401, "POST", "/x", "Unauthorized"),
        "does not accept the token abc123 (401), though its Secret is alive until 13:00:00Z",
    ),
    "another user": (
        {**HOLDER, "username": "system:bootstrap:other1"},
        "authenticates the token abc123 as system:bootstrap:other1",
    ),
    "no group": (
        {**HOLDER, "groups": ["system:bootstrappers"]},
        "is not in system:bootstrappers:workers",
    ),
}


@pytest.mark.parametrize(("user", "said"), TOKEN_PROBLEMS.values(), ids=TOKEN_PROBLEMS)
def test_a_token_that_does_not_authenticate_is_a_warning_that_the_report_repeats(
    api: Answers, user: Any, said: str
) -> None:
    api.user = user
    context = Context(api=api, orders=orders(), tokens=(ALIVE,), now=NOW)  # type: ignore[arg-type]
    state, text = run(check_token(context))  # type: ignore[arg-type]
    assert state == "warning"
    assert said in text
    assert context.token_problems == {"abc123": text}
    assert "0123456789abcdef" not in text


def test_a_token_that_may_not_request_names_the_missing_binding(api: Answers) -> None:
    api.denied.add("create certificatesigningrequests")
    assert "the ClusterRoleBinding kubelet-bootstrap is missing" in found_by(api, "token")


def test_a_token_that_is_accepted_after_a_moment_passes(api: Answers) -> None:
    api.user = ApiError(401, "POST", "/x", "Unauthorized")

    async def check() -> Any:
        asyncio.get_running_loop().call_later(2, setattr, api, "user", HOLDER)
        context = Context(api=api, orders=orders(), tokens=(ALIVE,), now=NOW)  # type: ignore[arg-type]
        return await check_token(context)

    assert run(check())[0] == "passed"


def test_dead_tokens_are_not_tried(api: Answers) -> None:
    api.user = AssertionError()
    dead = (FoundToken(token=TOKEN, life="revoked"),)
    assert found_by(api, "token", tokens=dead).startswith("not checked")


def test_who_approves_client_requests_is_as_the_settings_say(api: Answers) -> None:
    assert found_by(api, "client-approval") == "passed"
    said = found_by(api, "client-approval", client_approval="gate")
    assert said.startswith("warning kube-controller-manager also approves client requests")
    api.denied.add("create certificatesigningrequests/nodeclient")
    assert found_by(api, "client-approval", client_approval="gate") == "passed"
    assert "auto-approve-csrs-for-group is missing" in found_by(api, "client-approval")


def test_nobody_approves_holders_of_dead_tokens(api: Answers) -> None:
    """Those of an earlier release are in no group whose requests are approved."""
    dead = (FoundToken(token=TOKEN, life="revoked"),)
    for mode in ("gate", "controller-manager"):
        said = found_by(api, "client-approval", tokens=dead, client_approval=mode)
        assert said.startswith("not checked")


def test_approval_is_asked_for_all_groups_of_the_tokens_holder(api: Answers) -> None:
    group = "system:bootstrappers:-auto-approve"
    found_by(api, "client-approval", tokens=(replace(ALIVE, groups=(group,)),))
    assert group in api.asked_groups


def test_a_signer_shows_itself_by_what_it_has_signed_or_by_its_lease(api: Answers) -> None:
    assert found_by(api, "signer").startswith("not checked")
    api.answers[LEASE] = {"spec": {"renewTime": (NOW - timedelta(seconds=5)).isoformat()}}
    assert found_by(api, "signer") == "passed"
    api.answers[LEASE] = {"spec": {"renewTime": (NOW - timedelta(minutes=5)).isoformat()}}
    assert "renewed its Lease 300 s ago" in found_by(api, "signer")
    api.answers[CSRS] = {"items": [request("issued", age=timedelta(minutes=9))]}
    assert found_by(api, "signer") == "passed"
    api.answers[CSRS]["items"] += [request("approved", age=timedelta(seconds=30))]
    assert found_by(api, "signer") == "passed"
    api.answers[CSRS]["items"] += [request("approved", age=timedelta(minutes=2))]
    assert "approved requests are not signed (csr-approved)" in found_by(api, "signer")


def test_tokens_that_expired_long_ago_show_that_no_cleaner_runs(api: Answers) -> None:
    api.answers[TOKENS] = {"items": [token_secret("old111", expiration="2026-11-24T11:55:00Z")]}
    assert found_by(api, "token-cleaner") == "passed"
    api.answers[TOKENS]["items"] += [token_secret("old222", expiration="2026-11-24T11:40:00Z")]
    assert found_by(api, "token-cleaner").startswith(
        "warning bootstrap-token-old222 expired long ago"
    )


def test_living_tokens_of_the_pool_that_are_not_this_runs_are_reported(api: Answers) -> None:
    api.answers[TOKENS] = {
        "items": [
            token_secret("abc123"),
            token_secret("dead11", **{"token-secret": ""}),
            token_secret("past11", expiration="2026-11-24T11:00:00Z"),
        ]
    }
    assert found_by(api, "left-over-tokens") == "passed"
    api.answers[TOKENS]["items"] += [token_secret("left11")]
    assert "are alive: bootstrap-token-left11 until 13:00:00Z" in found_by(api, "left-over-tokens")


# A token's Secret


def found(api: Answers, data: Mapping[str, str], uid: str = "uid") -> FoundToken:
    path = f"/api/v1/namespaces/kube-system/secrets/{TOKEN.secret_name}"
    metadata = {"uid": uid, "creationTimestamp": "2026-11-24T11:59:00Z"}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    api.answers[path] = {"metadata": metadata, "data": encoded}
    result: FoundToken = run(find(api, TOKEN, NOW, print, limit_s=1))  # type: ignore[arg-type]
    return result


LIVING = {
    "token-secret": "0123456789abcdef",
    "usage-bootstrap-authentication": "true",
    "expiration": "2026-11-24T13:00:00Z",
}


def test_a_living_token_is_found_with_what_it_lets_its_node_ask(api: Answers) -> None:
    token = found(api, LIVING)
    assert (token.life, token.value, token.problem) == ("alive", ALIVE.value, "")
    grant = token.grant("node-1")
    assert grant is not None
    assert grant.created == datetime(2026, 11, 24, 11, 59, tzinfo=UTC)
    assert grant.expires == datetime(2026, 11, 24, 13, 0, tzinfo=UTC)
    assert "0123456789abcdef" not in repr(token)


@pytest.mark.parametrize(
    ("data", "uid", "life", "problem"),
    [
        ({**LIVING, "token-secret": ""}, "uid", "revoked", "raise the node's generation"),
        ({}, "uid", "inactive", ""),
        (
            {**LIVING, "expiration": "2026-11-24T11:00:00Z"},
            "uid",
            "expired",
            "expired at 11:00:00Z; the next pulumi up makes a new one; if",
        ),
        ({**LIVING, "expiration": "soon"}, "uid", "expired", "the next pulumi up makes a new"),
        (
            {**LIVING, "expiration": "2026-12-01"},
            "uid",
            "expired",
            "the next pulumi up makes a new",
        ),
        (LIVING, "another", "another", "is not the one that this stack created"),
    ],
)
def test_a_token_that_lets_nobody_in_says_why(
    api: Answers, data: Mapping[str, str], uid: str, life: str, problem: str
) -> None:
    token = found(api, data, uid)
    assert token.life == life
    assert problem in token.problem
    # What has kept the pool's joins from beginning is told by its own error.
    assert bool(token.problem) == (life != "inactive")


def test_a_token_without_expiration_lives(api: Answers) -> None:
    assert found(api, {**LIVING, "expiration": ""}).life == "alive"
