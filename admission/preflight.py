"""What is asked of the cluster before a pool's nodes are let in: named checks.

A check that fails ends the run; a warning does not. What behaviour can't show is said to be not
checked. Any check can be left out by its name (`skipClusterChecks`).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from admission import rules
from admission.api import CSRS, UNREACHABLE, ApiError, decode
from admission.bootstrap_token import SECRETS, Found, expiration
from admission.cluster import RIGHTS_LIMIT_S, Cluster
from admission.inventory import Orders
from admission.progress import read_ask

SELF_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"
TOKENS = f"{SECRETS}?fieldSelector=type%3Dbootstrap.kubernetes.io/token"
CERTIFICATES = "certificates.k8s.io"
# As components/bootstrap_token.py marks what it makes.
MANAGED_BY = ("app.kubernetes.io/managed-by", "kubelet-tls-bootstrap")
POOL_LABEL = "kubelet-tls-bootstrap/pool"

MOST_CLOCK_DIFFERENCE = timedelta(seconds=30)
# https://kubernetes.io/releases/version-skew-policy/: a kubelet may be three minors older.
MOST_MINORS_BEHIND = 3
LONGEST_SIGNING = timedelta(minutes=1)
LONGEST_RENEWAL = timedelta(minutes=1)
# The token cleaner acts within seconds of an expiration.
LONGEST_CLEANING = timedelta(minutes=10)
TRY_AGAIN_S = 0.25

State = Literal["passed", "failed", "warning", "not checked"]
# A right: group, resource with its subresource, namespace, name, verbs.
Right = tuple[str, str, str, str, str]
GATE_RIGHTS: tuple[Right, ...] = (
    (CERTIFICATES, "certificatesigningrequests", "", "", "list watch"),
    (CERTIFICATES, "certificatesigningrequests/approval", "", "", "update"),
    ("", "nodes", "", "", "get list watch"),
    ("", "nodes/proxy", "", "", "get"),
    ("", "secrets", "kube-system", "", "get patch delete"),
    ("authorization.k8s.io", "subjectaccessreviews", "", "", "create"),
)
LEAVE_RIGHTS: tuple[Right, ...] = (
    ("", "nodes", "", "", "get patch delete"),
    ("", "pods", "", "", "get list"),
    ("", "pods/eviction", "", "", "create"),
    ("apps", "daemonsets", "", "", "get"),
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check has found."""

    check: str
    state: State
    text: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.text} (check {self.check})"


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the checks look at."""

    cluster: Cluster
    orders: Orders
    tokens: Sequence[Found]
    now: datetime
    token_faults: dict[str, str] = field(default_factory=dict)
    """Filled by the check of tokens: by a token's id, why it lets nobody in though it is alive."""


Answer = tuple[State, str]
Check = Callable[[Context], Awaitable[Answer]]
PASSED: Answer = ("passed", "")


async def run(context: Context) -> list[Finding]:
    """Return what each check finds, in their order; all run at once."""
    names = [name for name in CHECKS if name not in context.orders.skipped_checks]
    return [*await asyncio.gather(*(_find(name, context) for name in names))]


async def _find(name: str, context: Context) -> Finding:
    try:
        state, text = await CHECKS[name](context)
    except ApiError as error:
        return Finding(check=name, state="not checked", text=str(error))
    except UNREACHABLE as error:
        text = f"the API server does not answer: {type(error).__name__}"
        return Finding(check=name, state="not checked", text=text)
    return Finding(check=name, state=state, text=text)


def summary(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield a line for what passed, and one for each finding else."""
    by_state: dict[str, list[Finding]] = {}
    for finding in findings:
        by_state.setdefault(finding.state, []).append(finding)
    if passed := by_state.pop("passed", []):
        yield f"cluster checks passed: {', '.join(finding.check for finding in passed)}"
    for others in by_state.values():
        yield from map(str, others)


async def check_version(context: Context) -> Answer:
    """Compare the kubelets' versions with the API server's."""
    version = await context.cluster.insist("GET", "/version")
    server = _minor(f"{version['major']}.{version['minor']}")
    faults = []
    for node, kubelet in context.orders.kubelet_versions.items():
        behind = server - _minor(kubelet)
        if not 0 <= behind <= MOST_MINORS_BEHIND:
            rule = "newer than" if behind < 0 else f"more than {MOST_MINORS_BEHIND} minors behind"
            faults.append(f"{node}'s kubelet {kubelet} is {rule} the API server")
    if not faults:
        return PASSED
    return "failed", f"{_few(faults)}, which has {version['gitVersion']}; set kubernetesVersion"


async def check_rights(context: Context) -> Answer:
    """Ask for each right that the gate needs now, and that leaving needs one day."""
    signers = [rules.SERVING_SIGNER] if context.orders.serving_approval == "gate" else []
    signers += [rules.CLIENT_SIGNER] if context.orders.client_approval == "gate" else []
    needed = (*GATE_RIGHTS, *((CERTIFICATES, "signers", "", name, "approve") for name in signers))
    lacking = await _lacking(context.cluster, needed)
    if lacking:
        return "failed", f"the kubeconfig's user may not {_few(lacking)}; give it these rights"
    lacking = await _lacking(context.cluster, LEAVE_RIGHTS)
    if lacking:
        return "warning", f"the kubeconfig's user may not {_few(lacking)}; a node can't leave"
    return PASSED


async def check_clock(context: Context) -> Answer:
    """Compare the API server's clock with ours."""
    await context.cluster.insist("GET", "/version")
    ahead = context.cluster.ahead
    if abs(ahead) <= MOST_CLOCK_DIFFERENCE:
        return PASSED
    which = "ahead of" if ahead > timedelta() else "behind"
    return "failed", (
        f"the API server's clock is {abs(ahead).total_seconds():.0f} s {which} this machine's;"
        " certificates and tokens would not be valid when they should; set the clocks, with NTP"
    )


async def check_token(context: Context) -> Answer:
    """Show each living token to the API server, and look at whom it takes its holder for."""
    living = [found for found in context.tokens if found.life == "alive"]
    faults = await asyncio.gather(*(_token_fault(context.cluster, found) for found in living))
    for found, fault in zip(living, faults, strict=True):
        if fault:
            context.token_faults[found.token.id] = fault
    if context.token_faults:
        return "warning", _few([*context.token_faults.values()])
    if not living:
        return "not checked", "no token of the pool is alive; nodes that have joined need none"
    return PASSED


async def check_client_approval(context: Context) -> Answer:
    """Ask whether kube-controller-manager will approve the requests of a token's holder."""
    if not context.tokens:
        return PASSED
    found = context.tokens[0]
    if context.orders.client_approval == "gate":
        if await _may(context.cluster, found, "nodeclient"):
            return "warning", (
                "kube-controller-manager approves client requests of token holders by itself, while"
                " approval.client is gate: a ClusterRoleBinding grants"
                " certificatesigningrequests/nodeclient to the group system:bootstrappers or to all"
                " users; ours goes at the end of this run, delete any other"
            )
        return PASSED
    if await _until(lambda: _may(context.cluster, found, "nodeclient")):
        return PASSED
    return "warning", (
        "kube-controller-manager will not approve client requests: no binding grants"
        " certificatesigningrequests/nodeclient; auto-approve-csrs-for-group is missing"
    )


async def check_signer(context: Context) -> Answer:
    """Look for evidence that kube-controller-manager signs: the proof comes with the nodes."""
    listed = await context.cluster.insist("GET", CSRS)
    asks = [
        read_ask(item)
        for item in listed.get("items") or ()
        if item["spec"]["signerName"] in (rules.SERVING_SIGNER, rules.CLIENT_SIGNER)
    ]
    now = context.now + context.cluster.ahead
    unsigned = [
        ask.name for ask in asks if ask.state == "approved" and now - ask.created > LONGEST_SIGNING
    ]
    if unsigned:
        return "warning", (
            f"approved requests are not signed ({_few(unsigned)}); kube-controller-manager needs"
            " --cluster-signing-cert-file and --cluster-signing-key-file, and must run"
        )
    if any(ask.state == "issued" for ask in asks):
        return PASSED
    try:
        lease = await context.cluster.insist("GET", LEASE)
    except ApiError as error:
        if error.status != 404:
            raise
        return (
            "not checked",
            "no request was signed lately, and the controller manager has no Lease",
        )
    age = now - datetime.fromisoformat(lease["spec"]["renewTime"])
    if age > LONGEST_RENEWAL:
        return "warning", (
            f"kube-controller-manager renewed its Lease {age.total_seconds():.0f} s ago; it does"
            " not run, and nobody signs certificates"
        )
    return PASSED


async def check_token_cleaner(context: Context) -> Answer:
    """Look for tokens that the token cleaner should have deleted long ago."""
    old = [
        name
        for name, _, data in await _tokens(context.cluster)
        if data.get("expiration") and context.now - expiration(data) > LONGEST_CLEANING
    ]
    if not old:
        return PASSED
    return "warning", (
        f"{_few(old)} expired long ago and nobody deletes them; kube-controller-manager needs"
        " --controllers=*,bootstrapsigner,tokencleaner"
    )


async def check_left_over_tokens(context: Context) -> Answer:
    """Look for living tokens of this pool's name that are not the ones of this run."""
    ours = {token.secret_name for token in context.orders.tokens}
    alive = [
        f"{name} until {expiration(data):%H:%M:%SZ}"
        for name, labels, data in await _tokens(context.cluster)
        if labels.get(MANAGED_BY[0]) == MANAGED_BY[1]
        and labels.get(POOL_LABEL) == context.orders.pool
        and name not in ours
        and data.get("token-secret")
        and expiration(data) > context.now
    ]
    if not alive:
        return PASSED
    return "warning", (
        f"earlier tokens of the pool {context.orders.pool} are alive: {_few(alive)}; those of this"
        " stack go at the end of the run, delete others with kubectl -n kube-system delete secret"
    )


async def check_kubelet_verification(_: Context) -> Answer:
    """Say that only a kubelet with a wrong certificate could show it; the gate tells of one."""
    return "not checked", (
        "whether kube-apiserver verifies kubelets (--kubelet-certificate-authority) can't be seen"
        " from outside while all their certificates are right"
    )


CHECKS: Mapping[str, Check] = {
    "version": check_version,
    "rights": check_rights,
    "clock": check_clock,
    "token": check_token,
    "client-approval": check_client_approval,
    "signer": check_signer,
    "token-cleaner": check_token_cleaner,
    "left-over-tokens": check_left_over_tokens,
    "kubelet-verification": check_kubelet_verification,
}


def _minor(version: str) -> int:
    match = re.match(r"v?1\.(\d+)", version)
    if not match:
        raise ValueError(f"{version!r} is no Kubernetes version such as 1.37")
    return int(match[1])


def _few(items: Sequence[str], most: int = 5) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


async def _lacking(cluster: Cluster, rights: Iterable[Right]) -> list[str]:
    """Return those of the rights that our credentials don't have."""
    wanted = [(right, verb) for right in rights for verb in right[-1].split()]
    allowed = await asyncio.gather(*(_may_we(cluster, right, verb) for right, verb in wanted))
    return [
        f"{verb} {name or resource}"
        for ((_, resource, _, name, _), verb), may in zip(wanted, allowed, strict=True)
        if not may
    ]


async def _may_we(cluster: Cluster, right: Right, verb: str) -> bool:
    group, resource, namespace, name, _ = right
    resource, _, subresource = resource.partition("/")
    attributes = {
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "namespace": namespace,
        "name": name,
        "verb": verb,
    }
    spec = {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
    return await _allowed(cluster, SELF_ACCESS_REVIEWS, "SelfSubjectAccessReview", spec)


async def _may(cluster: Cluster, found: Found, subresource: str) -> bool:
    """Ask whether a token's holder may create requests, or some kind of them."""
    spec = {
        "user": found.token.user,
        "groups": ["system:bootstrappers", "system:authenticated", found.token.group],
        "resourceAttributes": {
            "group": CERTIFICATES,
            "resource": "certificatesigningrequests",
            "subresource": subresource,
            "verb": "create",
        },
    }
    return await _allowed(cluster, ACCESS_REVIEWS, "SubjectAccessReview", spec)


async def _allowed(cluster: Cluster, path: str, kind: str, spec: Mapping[str, Any]) -> bool:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = await cluster.insist("POST", path, review)
    return answer["status"].get("allowed") is True


async def _token_fault(cluster: Cluster, found: Found) -> str:
    """Return what is wrong with a living token, if something is."""
    token = found.token
    user: dict[str, Any] = {}

    async def accepted() -> bool:
        try:
            user.update(await cluster.identity(found.value))
        except ApiError as error:
            if error.status != 401:
                raise
        return bool(user)

    if not await _until(accepted):
        return (
            f"the API server does not accept the token {token.id} (401), though its Secret is alive"
            f" until {found.expires:%H:%M:%SZ}; kube-apiserver needs"
            " --enable-bootstrap-token-auth=true"
        )
    lacking = {"system:bootstrappers", token.group} - set(user.get("groups") or ())
    if user.get("username") != token.user or lacking:
        return (
            f"the API server takes the token {token.id} for {user.get('username')}"
            f" without {', '.join(sorted(lacking)) or 'fault in its groups'}"
        )
    if not await _until(lambda: _may(cluster, found, "")):
        return (
            f"the token {token.id} may not ask for certificates; the ClusterRoleBinding"
            " kubelet-bootstrap is missing"
        )
    return ""


async def _until(ask: Callable[[], Awaitable[bool]]) -> bool:
    """Ask until the answer is yes, for some seconds: new objects are seen after a moment."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + RIGHTS_LIMIT_S
    while not (answer := await ask()) and loop.time() < limit:
        await asyncio.sleep(TRY_AGAIN_S)
    return answer


async def _tokens(cluster: Cluster) -> list[tuple[str, dict[str, str], dict[str, str]]]:
    """Return the name, the labels and the content of every bootstrap token's Secret."""
    listed = await cluster.insist("GET", TOKENS)
    return [
        (
            item["metadata"]["name"],
            item["metadata"].get("labels") or {},
            {key: decode(value).decode() for key, value in (item.get("data") or {}).items()},
        )
        for item in listed.get("items") or ()
    ]
