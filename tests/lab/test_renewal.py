"""Certificates of seconds are renewed for minutes, by the resident approver and nobody else.

Makes the controller manager sign for 100 s only, so that each kubelet asks anew after 70 to 90 s.
Takes about five minutes.
"""

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.project import Project
from tests.lab.test_join import ADDRESSES, API_SERVER, run_pod, serving_certificate

pytestmark = pytest.mark.lab

NODES = ("node-1", "node-2")
LIFETIME_S = 100
RENEWALS = 2
TAKEOVER_LIMIT_S = 25  # the Lease's 15 s, and a candidate's turn
STRANGE_ADDRESS = "10.98.0.99"
NAME = "kubelet-serving-approver"
METRIC = "kubelet_serving_approver"
SIGNING_FLAG = f"--cluster-signing-duration={LIFETIME_S}s"
UNITS = (
    "/etc/systemd/system/kube-controller-manager.service"
    " /etc/systemd/system/kube-controller-manager.service.d/*.conf"
)
SIGN_BRIEFLY = f"""
for unit in {UNITS}; do
    [ ! -e "$unit" ] || sed -i "s|^ExecStart=/usr/bin/[a-z-]*|& {SIGNING_FLAG}|" "$unit"
done
systemctl daemon-reload
systemctl restart kube-controller-manager
"""
SIGN_AS_USUAL = f"""
for unit in {UNITS}; do
    [ ! -e "$unit" ] || sed -i 's| {SIGNING_FLAG}||' "$unit"
done
systemctl daemon-reload
systemctl restart kube-controller-manager
"""
ASK_ANEW = "rm -f /var/lib/kubelet/pki/kubelet-server-*; systemctl restart kubelet"


def wait_for(what: str, found: Callable[[], Any], limit_s: float) -> Any:
    """Return what is found, once it is."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        result = found()
        if result:
            return result
        time.sleep(1)
    raise AssertionError(f"after {limit_s:.0f} s there is no {what}")


def serial(project: Project, node: str) -> str:
    """The number of the node's live certificate; nothing if it has none."""
    try:
        return serving_certificate(project, node, "-serial").strip()
    except AssertionError:
        return ""


def holder(project: Project) -> str:
    """The pod that holds the Lease, if one does."""
    found = project.kubectl(
        "get", "lease", NAME, "-n", "kube-system", "-o", "jsonpath={.spec.holderIdentity}",
        check=False,
    )  # fmt: skip
    return found.stdout


def pods(project: Project) -> dict[str, str]:
    """The approver's pods that run, and where."""
    found = project.get("pods", "-n", "kube-system", "-l", f"app.kubernetes.io/name={NAME}")
    return {
        pod["metadata"]["name"]: pod["spec"]["nodeName"]
        for pod in found["items"]
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    }


def metric(node: str, line: str) -> float:
    """A value that the replica on a node exposes; 0 for one that is not there."""
    with urllib.request.urlopen(f"http://{ADDRESSES[node]}:10279/metrics", timeout=5) as answer:
        found = re.search(rf"^{re.escape(line)} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture(scope="module")
def approved(project: Project) -> Iterator[Project]:
    """The project with the approver deployed, joined machines, and a signer for seconds.

    The settings afterwards are what they were: the next `up` takes the approver away.
    """
    original = project.settings()
    project.lab("up", "--approver")
    project.ssh("cp-1", SIGN_BRIEFLY)
    settings = project.settings()
    settings["config"]["kubelet-tls-bootstrap:approver"] = {
        "enabled": True,
        "image": "docker.io/lab/approver:1",
        "allowWorkers": True,  # the lab's control plane is no node
        "hostNetwork": True,
        "server": API_SERVER,
    }
    project.write_settings(settings)
    project.up()
    project.pulumi("preview", "--expect-no-changes")
    yield project
    project.write_settings(original)
    project.ssh("cp-1", SIGN_AS_USUAL)


def test_two_replicas_run_and_one_of_them_approves(approved: Project) -> None:
    running = pods(approved)
    leader = wait_for("holder of the Lease", lambda: holder(approved), 20)
    assert leader in running
    assert len(running) == len(set(running.values())) == 2
    for pod, node in running.items():
        assert metric(node, f"{METRIC}_leader") == (pod == leader)


def test_its_account_may_approve_no_other_signer(approved: Project) -> None:
    def may(verb: str, resource: str, name: str = "", *, group: str = "") -> bool:
        attributes = {"verb": verb, "resource": resource, "name": name, "group": group}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:kube-system:{NAME}",
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "resourceAttributes": {**attributes, "namespace": "kube-system"},
            },
        }
        answer = approved.run(
            "kubectl", "create", "-f", "-", "-o", "json", stdin=json.dumps(review)
        )
        return bool(json.loads(answer.stdout)["status"]["allowed"])

    group = "certificates.k8s.io"
    assert may("approve", "signers", "kubernetes.io/kubelet-serving", group=group)
    assert may("list", "configmaps")
    for other in ("kube-apiserver-client-kubelet", "kube-apiserver-client", "legacy-unknown"):
        assert not may("approve", "signers", f"kubernetes.io/{other}", group=group)
    for verb, resource in (
        ("get", "secrets"), ("update", "configmaps"), ("create", "pods"), ("patch", "nodes"),
    ):  # fmt: skip
        assert not may(verb, resource)
    assert not may("create", "certificatesigningrequests", group=group)


def status(project: Project) -> Any:
    """What `ktb status --json` prints."""
    command = ("./ktb", "status", "--json", "--kubeconfig", ".lab/kubeconfig")
    return json.loads(project.run(*command).stdout)


def test_status_tells_each_certificate_and_the_token(approved: Project) -> None:
    found = status(approved)
    assert [node["name"] for node in found["nodes"]] == sorted(
        node["metadata"]["name"] for node in approved.get("nodes")["items"]
    )
    for node in found["nodes"]:
        assert node["pool"] == "workers"
        assert node["ready"] == "yes"
        end = serving_certificate(approved, node["name"], "-enddate", "-dateopt", "iso_8601")
        assert node["servingCertificate"]["end"][:10] == end.removeprefix("notAfter=")[:10]
        assert node["servingCertificate"]["problem"] == ""
    assert {token["state"] for token in found["tokens"]} == {"revoked"}
    assert found["problems"] == []
    text = approved.run("./ktb", "status", "--kubeconfig", ".lab/kubeconfig").stdout
    assert re.search(r"^node-1 +workers +yes +20\d\d-", text, re.MULTILINE)


def test_certificates_are_renewed_while_nobody_runs_pulumi(approved: Project) -> None:
    greeters = {node: run_pod(approved, node) for node in NODES}
    for node in NODES:
        approved.ssh(node, ASK_ANEW)  # for one that joined before the signer was told
    killed = False
    seen: dict[str, list[str]] = {node: [] for node in NODES}
    deadline = time.monotonic() + LIFETIME_S + RENEWALS * LIFETIME_S
    while any(len(serials) <= RENEWALS for serials in seen.values()):
        assert time.monotonic() < deadline, f"not {RENEWALS} renewals: {seen}"
        for node in NODES:
            live = serial(approved, node)
            assert live or not seen[node], f"{node} has no valid certificate any more"
            if live and not seen[node]:  # a kubelet that was just restarted learns its pods first
                wait_for("logs", lambda node=node: says(approved, greeters[node]), 30)
            if live and live not in seen[node]:
                seen[node].append(live)
            if seen[node]:
                assert says(approved, greeters[node]) == f"hello from {node}\n"
        if not killed and all(len(serials) >= 2 for serials in seen.values()):
            killed = True
            kill_the_leader(approved)
        time.sleep(2)
    assert killed
    node = pods(approved)[holder(approved)]
    count = metric(node, f"{METRIC}_approve_seconds_count")
    assert metric(node, f'{METRIC}_approve_seconds_bucket{{le="1"}}') > count / 2


def says(project: Project, pod: str) -> str:
    """What `kubectl logs` prints of a pod; nothing if it fails."""
    return project.kubectl("logs", pod, check=False).stdout


def kill_the_leader(project: Project) -> None:
    """Kill the leading replica without a goodbye, and see another one take over."""
    before = holder(project)
    project.kubectl("delete", "pod", before, "-n", "kube-system", "--grace-period=0", "--force")
    after = wait_for(
        "new holder of the Lease",
        lambda: (name := holder(project)) != before and name,
        TAKEOVER_LIMIT_S,
    )
    assert after in pods(project)


def test_an_address_that_changed_behind_our_back_is_refused_and_reported(
    approved: Project,
) -> None:
    leader = wait_for("leader", lambda: pods(approved).get(holder(approved)), TAKEOVER_LIMIT_S)
    moved = next(node for node in NODES if node != leader)
    file = "/etc/kubernetes/kubelet.env"
    approved.ssh(
        moved,
        f"ip address add {STRANGE_ADDRESS}/24 dev host0; cp -p {file} /root/kubelet.env;"
        f" sed -i 's/{ADDRESSES[moved]}/{STRANGE_ADDRESS}/' {file}; systemctl restart kubelet",
    )
    line = f'{METRIC}_decisions_total{{result="refused",rule="address"}}'
    wait_for("refusal", lambda: metric(leader, line), 60)

    def reasons() -> set[str]:
        events = approved.get("events", "-n", "default")["items"]
        ours = [e for e in events if e["source"].get("component") == NAME]
        assert all(event["involvedObject"]["name"] == moved for event in ours)
        return {event["reason"] for event in ours}

    wait_for("Event", lambda: reasons() >= {"NodeAddressMismatch", "ServingCertificateRefused"}, 30)
    pending = [c for c in approved.get("csr")["items"] if not c["status"].get("conditions")]
    assert {c["spec"]["username"] for c in pending} == {f"system:node:{moved}"}
    told = {request["name"]: request for request in status(approved)["pendingRequests"]}
    assert told.keys() == {c["metadata"]["name"] for c in pending}
    assert all(request["decision"] == "refuse" for request in told.values())
    assert all(STRANGE_ADDRESS in request["reason"] for request in told.values())
    lines = approved.kubectl("logs", "-n", "kube-system", holder(approved)).stdout.splitlines()
    (refusal, *_) = [
        entry
        for entry in map(json.loads, lines)
        if entry.get("decision") == "refused" and STRANGE_ADDRESS in entry.get("sans", [])
    ]
    assert refusal["requester"] == f"system:node:{moved}"
    assert STRANGE_ADDRESS in refusal["reason"]
    assert re.fullmatch("[0-9a-f]{64}", refusal["keyFingerprint"])

    approved.ssh(
        moved,
        f"mv /root/kubelet.env {file}; ip address del {STRANGE_ADDRESS}/24 dev host0;"
        " systemctl restart kubelet",
    )
    wait_for(
        "end of the mismatch",
        lambda: not metric(leader, f"{METRIC}_node_address_mismatches"),
        60,
    )
