"""Whatever goes wrong while machines join is named, and stops no other machine.

Runs between `test_bad_input` and `test_join` by name, on the same lab, and leaves it with nothing
joined. The tests tell one story and run in their order.
"""

import base64
import contextlib
import http.client
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from admission.api_server.api import CSRS
from admission.objects.token_secret import content
from admission.rules import CLIENT_SIGNER
from tests.lab.project import Project
from tests.lab.test_bad_input import other_ca
from tests.unit.admission.fakes import pem

pytestmark = pytest.mark.lab

PREFIX = "kubelet-tls-bootstrap:"
CONTROL_PLANE = "10.98.0.10"
NOBODY = "10.98.0.99"
OUTAGE_S = 60
DROP_IN = "/etc/systemd/system/kube-controller-manager.service.d/50-kubelet-tls-bootstrap.conf"


@pytest.fixture(scope="module", autouse=True)
def nothing_joined_after(project: Project) -> Iterator[None]:
    original = project.settings()
    project.kubectl("delete", "csr", "--all")  # those of earlier tests
    yield
    project.write_settings(original)
    project.kubectl("delete", "nodes,csr", "--all")
    project.pulumi("destroy", "--yes", "--skip-preview")


def nodes_of(settings: dict[str, Any]) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = settings["config"][f"{PREFIX}pools"]["workers"]["nodes"]
    return nodes


def dead_machine(project: Project, name: str) -> dict[str, Any]:
    """A node of the settings whose machine is not there."""
    known_hosts = (project.directory / ".lab/known_hosts").read_text().splitlines()
    host_key = known_hosts[0].split(maxsplit=1)[1]
    return {"name": name, "address": NOBODY, "hostKey": host_key}


def failed(project: Project, settings: dict[str, Any], *, stall_s: int) -> str:
    """What `pulumi up` says when it fails with these settings."""
    settings["config"][f"{PREFIX}stallSeconds"] = stall_s
    project.write_settings(settings)
    done = project.up(check=False)
    said = done.stdout + done.stderr
    print(said)  # pytest shows it if the test fails
    assert done.returncode != 0
    return said


@contextlib.contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Do something while `pulumi up` runs; its failure is the test's."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not errors, errors


def until(condition: Callable[[], Any], limit_s: float = 60) -> Any:
    """What the condition gives once it gives something."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.1)
    return found


def quietly(project: Project, *command: str) -> Any:
    """What kubectl prints as JSON, kept out of the transcript: it may be secret."""
    done = subprocess.run(
        ["kubectl", *command, "-o", "json"],
        cwd=project.directory,
        env={**os.environ, **project.env},
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stdout) if done.returncode == 0 else {}


def our_secrets(project: Project) -> list[dict[str, str]]:
    """The content of each of our tokens' Secrets."""
    label = "app.kubernetes.io/managed-by=kubelet-tls-bootstrap"
    listed = quietly(project, "-n", "kube-system", "get", "secrets", "-l", label)
    return [content(item) for item in listed.get("items", [])]


@dataclass
class Holder:
    """Somebody who has a token, and may do with it what a token's holder may."""

    project: Project
    token: str

    @classmethod
    def of(cls, project: Project, description: str) -> "Holder":
        """Steal the one living token of a description."""

        def living() -> list[str]:
            return [
                f"{data['token-id']}.{data['token-secret']}"
                for data in our_secrets(project)
                if data.get("description") == description and data.get("token-secret")
            ]

        (token,) = until(living)
        return cls(project, token)

    def ask(self, name: str, node: str) -> None:
        """Make a request for a node's client certificate."""
        body = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": {
                "signerName": CLIENT_SIGNER,
                "usages": ["digital signature", "client auth"],
                "request": base64.b64encode(pem(node, [], [])).decode(),
            },
        }
        until(lambda: self._post(body) == 201)

    def _post(self, body: dict[str, Any]) -> int:
        trust = ssl.create_default_context(cafile=str(self.project.directory / ".lab/ca.crt"))
        connection = http.client.HTTPSConnection(CONTROL_PLANE, 6443, context=trust, timeout=5)
        with contextlib.closing(connection):
            headers = {
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            }
            connection.request("POST", CSRS, json.dumps(body), headers)
            return connection.getresponse().status


def request_of(project: Project, name: str) -> dict[str, Any]:
    found: dict[str, Any] = project.get("csr", name)
    return found.get("status", {})


def is_ready(project: Project, node: str) -> bool:
    found = quietly(project, "get", "node", node)
    conditions = found.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_a_kubelet_that_crashes_and_a_wrong_ca_are_each_named(
    project: Project, settings: dict[str, Any]
) -> None:
    wrong = project.directory / ".lab/wrong-ca.crt"
    wrong.write_bytes(base64.b64decode(other_ca(project)))
    settings["config"][f"{PREFIX}cluster"]["caPath"] = ".lab/wrong-ca.crt"
    # What is checked on the machines would stop both before a kubelet starts.
    settings["config"][f"{PREFIX}skipChecks"] = ["server"]
    nodes_of(settings)[0]["kubelet"] = {"featureGates": {"NoSuchGate": True}}
    said = failed(project, settings, stall_s=20)
    assert (
        "cluster checks passed: version, rights, clock, token, client-approval, signing-rate,"
        " token-cleaner, left-over-tokens" in said
    )
    assert "not checked: no request was signed recently" in said
    assert "node-1 has not joined: the kubelet keeps stopping" in said
    assert "unrecognized feature gate: NoSuchGate" in said  # in the last lines of its journal
    assert (
        "node-2 has not joined: https://10.98.0.10:6443 presents a certificate that"
        " the CA in /etc/kubernetes/pki/ca.crt did not sign" in said
    )
    for node in ("node-1", "node-2"):
        assert (
            f"{node} has NOT joined: no request for a certificate has arrived; the error of the"
            f" resource {node}-member says why" in said
        )


def test_the_tokens_of_a_failed_run_are_dead_and_the_next_run_has_others(
    project: Project, settings: dict[str, Any]
) -> None:
    former = our_secrets(project)
    assert {data["description"] for data in former} == {
        f"joins the node {node} of the pool workers" for node in ("node-1", "node-2")
    }
    assert [data["token-secret"] for data in former] == ["", ""]

    for node in nodes_of(settings):
        node["kubelet"] = {"featureGates": {"NoSuchGate": True}}
    said = failed(project, settings, stall_s=20)
    assert "their tokens end with this run, and the next pulumi up continues from here" in said
    # The Secrets of the former ones go with the next run that succeeds.
    latter = our_secrets(project)
    assert {data["token-secret"] for data in latter} == {""}
    both = [{data["token-id"] for data in secrets} for secrets in (former, latter)]
    assert len(both[1] - both[0]) == 2


@pytest.mark.long
def test_an_api_server_that_is_away_before_and_after_the_request_is_named(
    project: Project, settings: dict[str, Any]
) -> None:
    route = f"ip route {{}} unreachable {CONTROL_PLANE}/32"
    project.ssh("node-2", route.format("add"))

    stop_and_start = (
        f"read go; systemctl stop kube-apiserver; sleep {OUTAGE_S}; systemctl start kube-apiserver"
    )

    def outage() -> None:
        until(lambda: requests(project))
        # The connection is there already: the kubelet is quick.
        done = ssh.communicate("go\n", timeout=OUTAGE_S + 60)
        assert ssh.returncode == 0, done

    ssh = subprocess.Popen(
        [".venv/bin/python", "-m", "lab", "ssh", "cp-1", stop_and_start],
        cwd=project.directory,
        env={**os.environ, **project.env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    settings["config"][f"{PREFIX}token"] = {"afterJoin": "expire"}
    settings["config"][f"{PREFIX}stallSeconds"] = OUTAGE_S + 20
    project.write_settings(settings)
    with beside(outage):
        done = project.pulumi("up", "--yes", "--skip-preview", "--refresh", check=False)
    project.ssh("node-2", route.format("del"))
    said = done.stdout + done.stderr
    print(said)
    assert done.returncode != 0
    for node in ("node-1", "node-2"):
        assert (
            f"{node} has not joined: https://10.98.0.10:6443 does not answer this machine" in said
        )
    assert "the API server https://10.98.0.10:6443 does not answer" in said
    assert "the API server https://10.98.0.10:6443 answers again" in said
    assert "node-2 has NOT joined: no request for a certificate has arrived" in said


@pytest.mark.long
def test_tokens_that_may_outlive_a_run_expire_by_themselves(project: Project) -> None:
    live = [secret for secret in our_secrets(project) if secret["token-secret"]]
    assert len(live) == 2
    for secret in live:
        left = datetime.fromisoformat(secret["expiration"]) - datetime.now(UTC)
        assert timedelta(minutes=50) < left < timedelta(minutes=60)


def test_the_next_run_goes_on_and_ends_the_tokens(project: Project) -> None:
    project.up()
    assert is_ready(project, "node-1")
    assert is_ready(project, "node-2")
    assert [secret["token-secret"] for secret in our_secrets(project)] == ["", ""]
    project.pulumi("preview", "--expect-no-changes")


def test_a_controller_manager_without_a_signing_key_is_named(
    project: Project, settings: dict[str, Any]
) -> None:
    restart = "systemctl daemon-reload && systemctl restart kube-controller-manager"
    take_out = f"sed -i.kept -E 's/--cluster-signing-[a-z-]+=[^ ]+//g' {DROP_IN} && {restart}"
    project.ssh("cp-1", take_out)
    # It keeps its certificates. With the first join of a pool all of its tokens are active.
    nodes_of(settings)[0]["generation"] = 2
    nodes_of(settings).append(dead_machine(project, "node-9"))

    def ask() -> None:
        Holder.of(project, "joins the node node-9 of the pool workers").ask("unsigned", "node-9")

    with beside(ask):
        said = failed(project, settings, stall_s=15)
    project.ssh("cp-1", f"mv {DROP_IN}.kept {DROP_IN} && {restart}")
    assert (
        "node-9 has NOT joined: its client request unsigned is approved, but not signed;"
        " kube-controller-manager needs --cluster-signing-cert-file" in said
    )


def test_a_stolen_token_of_one_node_lets_in_that_node_once_and_no_other(
    project: Project, settings: dict[str, Any]
) -> None:
    """The gate approves: one machine joins with its token, another's name is taken already."""
    settings["config"][f"{PREFIX}token"] = {"afterJoin": "keep"}
    nodes_of(settings)[0]["generation"] = 3
    nodes_of(settings).append(dead_machine(project, "node-9"))
    taken = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-9"}}
    project.run("kubectl", "create", "-f", "-", stdin=json.dumps(taken))
    status = {
        "addresses": [{"type": "InternalIP", "address": "10.98.0.77"}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "a", "message": "b"}],
    }
    patch = json.dumps({"status": status})
    project.kubectl("patch", "node", "node-9", "--subresource=status", "--type=merge", "-p", patch)
    project.ssh(
        "node-1",
        "systemctl stop kubelet; rm -rf /var/lib/kubelet/pki /etc/kubernetes/kubelet.conf",
    )
    project.kubectl("delete", "node", "node-1")

    def steal() -> None:
        first = Holder.of(project, "joins the node node-1 of the pool workers")
        second = Holder.of(project, "joins the node node-9 of the pool workers")
        second.ask("of-a-taken-name", "node-9")
        second.ask("of-another-name", "node-1")
        until(lambda: is_ready(project, "node-1"))
        first.ask("once-more", "node-1")
        first.ask("of-the-other", "node-9")
        first.ask("of-a-third", "node-2")

    with beside(steal):
        said = failed(project, settings, stall_s=20)
    assert "node-1: joined" in said
    assert "client CSR" in said
    for name in ("of-a-taken-name", "of-another-name", "once-more", "of-the-other", "of-a-third"):
        assert request_of(project, name) == {}, name
        assert f"client CSR {name} refused: " in said
    assert "of-a-taken-name refused: the Node node-9 exists" in said
    assert (
        "the Node node-9 belongs to a machine with the address 10.98.0.77; the name is taken"
        in said
    )


def requests(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = quietly(project, "get", "csr").get("items", [])
    return found
