"""Checks of the cluster itself: its version, our rights in it, its clock, its signer."""

import re
from datetime import datetime, timedelta

from admission import rules
from admission.api_server.access_reviews import CERTIFICATES, Right, missing_rights
from admission.api_server.api import CLIENT_CSRS, SERVING_CSRS, ApiError
from admission.gate.checks.check import PASSED, Answer, Context, few
from admission.objects.csr import kept_status, request_status

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"
MOST_CLOCK_DIFFERENCE = timedelta(seconds=30)
# https://kubernetes.io/releases/version-skew-policy/: a kubelet may be three minors older.
MOST_MINORS_BEHIND = 3
SIGNERS_QPS, REQUESTS_A_NODE = 20, 2
LONG_SIGNING_S = 10  # worth a warning
LONGEST_SIGNING = timedelta(minutes=1)
LONGEST_RENEWAL = timedelta(minutes=1)

GATE_RIGHTS: tuple[Right, ...] = (
    (CERTIFICATES, "certificatesigningrequests", "", "", "list watch"),
    (CERTIFICATES, "certificatesigningrequests/approval", "", "", "update"),
    ("", "nodes", "", "", "get list watch"),
    ("", "nodes/proxy", "", "", "get"),
    ("", "secrets", "kube-system", "", "get patch delete"),
    ("authorization.k8s.io", "subjectaccessreviews", "", "", "create"),
)
ATTRIBUTE_RIGHTS: tuple[Right, ...] = (("", "nodes", "", "", "patch"),)
LEAVE_RIGHTS: tuple[Right, ...] = (
    ("", "nodes", "", "", "get patch delete"),
    ("", "pods", "", "", "get list"),
    ("", "pods/eviction", "", "", "create"),
    ("apps", "daemonsets", "", "", "get"),
)


async def check_version(context: Context) -> Answer:
    """Compare the kubelets' versions with the API server's."""
    version = await context.api.insist("GET", "/version")
    server = _minor(f"{version['major']}.{version['minor']}")
    problems = []
    for node, kubelet in context.orders.kubelet_versions.items():
        behind = server - _minor(kubelet)
        if not 0 <= behind <= MOST_MINORS_BEHIND:
            rule = "newer than" if behind < 0 else f"more than {MOST_MINORS_BEHIND} minors behind"
            problems.append(f"{node}'s kubelet {kubelet} is {rule} the API server")
    if not problems:
        return PASSED
    return "failed", f"{few(problems)}, which has {version['gitVersion']}; set kubernetesVersion"


async def check_rights(context: Context) -> Answer:
    """Ask for each right that the gate needs now, and that a leaving node will need."""
    signers = [rules.SERVING_SIGNER] if context.orders.serving_approval == "gate" else []
    signers += [rules.CLIENT_SIGNER] if context.orders.client_approval == "gate" else []
    attributes = ATTRIBUTE_RIGHTS if context.orders.attributes else ()
    needed = (
        *GATE_RIGHTS,
        *attributes,
        *((CERTIFICATES, "signers", "", name, "approve") for name in signers),
    )
    missing = await missing_rights(context.api.insist, needed)
    if missing:
        return "failed", f"the kubeconfig's user may not {few(missing)}; give it these rights"
    missing = await missing_rights(context.api.insist, LEAVE_RIGHTS)
    if missing:
        return "warning", (
            f"the kubeconfig's user may not {few(missing)}; give it these rights before a node"
            " leaves"
        )
    return PASSED


async def check_clock(context: Context) -> Answer:
    """Compare the API server's clock with ours."""
    await context.api.insist("GET", "/version")
    ahead = context.api.ahead
    if abs(ahead) <= MOST_CLOCK_DIFFERENCE:
        return PASSED
    which = "ahead of" if ahead > timedelta() else "behind"
    return "failed", (
        f"the API server's clock is {abs(ahead).total_seconds():.0f} s {which} this machine's;"
        " certificates and tokens would not be valid when they should; set the clocks, with NTP"
    )


async def check_signer(context: Context) -> Answer:
    """Look for evidence that kube-controller-manager signs; only the joins prove it."""
    requests = [
        request_status(item)
        for path in (SERVING_CSRS, CLIENT_CSRS)
        for item in (await context.api.list(path, kept_status)).items
    ]
    now = context.now + context.api.ahead
    unsigned = [
        request.name
        for request in requests
        if request.state == "approved" and now - request.created > LONGEST_SIGNING
    ]
    if unsigned:
        return "warning", (
            f"approved requests are not signed ({few(unsigned)}); kube-controller-manager needs"
            " --cluster-signing-cert-file and --cluster-signing-key-file, and must run"
        )
    if any(request.state == "issued" for request in requests):
        return PASSED
    try:
        lease = await context.api.insist("GET", LEASE)
    except ApiError as error:
        if error.status != 404:
            raise
        return (
            "not checked",
            "no request was signed recently, and kube-controller-manager has no Lease",
        )
    age = now - datetime.fromisoformat(lease["spec"]["renewTime"])
    if age > LONGEST_RENEWAL:
        return "warning", (
            f"kube-controller-manager renewed its Lease {age.total_seconds():.0f} s ago; it is"
            " not running, and nobody signs certificates"
        )
    return PASSED


async def check_signing_rate(context: Context) -> Answer:
    """Say how long a large run takes at least, since its flags can't be seen from outside.

    The signers of kube-controller-manager share one client, which makes 20 requests a second unless
    --kube-api-qps is raised (pkg/controller/apis/config/v1alpha1/defaults.go, and
    cmd/kube-controller-manager/app/certificates.go), one for each of a node's two certificates.
    """
    least_s = context.orders.joining * REQUESTS_A_NODE / SIGNERS_QPS
    if least_s < LONG_SIGNING_S:
        return PASSED
    return "not checked", (
        f"kube-controller-manager signs for {SIGNERS_QPS // REQUESTS_A_NODE} nodes a second, unless"
        " its --kube-api-qps (20) and --kube-api-burst (30) are raised, as the setting"
        f" controlPlane.kubeApiQps does: {context.orders.joining} nodes take at least {least_s:.0f}"
        " s"
    )


async def check_kubelet_verification(_: Context) -> Answer:
    """Say that this shows only with a wrong certificate, which the gate then reports."""
    return "not checked", (
        "whether kube-apiserver verifies kubelets (--kubelet-certificate-authority) can't be seen"
        " from outside while all their certificates are right"
    )


def _minor(version: str) -> int:
    match = re.match(r"v?1\.(\d+)", version)
    if not match:
        raise ValueError(f"{version!r} is not a Kubernetes version such as 1.37")
    return int(match[1])
