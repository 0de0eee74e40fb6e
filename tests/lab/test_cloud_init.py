"""A machine that creates itself joins by its user data, as cloud-init would carry it out.

Runs before `test_join` by name, on the same lab, and leaves it with nothing joined.
"""

import json
import shlex
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.lab.kubelet import WIPE
from tests.lab.project import Project

pytestmark = pytest.mark.lab

PREFIX = "kubelet-tls-bootstrap:"
MACHINE = "node-2"
CLEAN = f"{WIPE}; systemctl daemon-reload"


@pytest.fixture(scope="module", autouse=True)
def grown(project: Project) -> Iterator[None]:
    """A stack with a pool whose machines create themselves; afterwards nothing is joined.

    The pool is open, by its own choice: kube-controller-manager approves whoever has its token.
    """
    original = project.settings()
    settings = project.settings()
    pools = settings["config"][f"{PREFIX}pools"]
    kubelet = pools["workers"]["kubelet"]
    pools["workers"] = {"kubelet": kubelet, "labels": {"made": "itself"}, "nodes": []}
    pools["workers"]["cloudInit"] = {"withToken": True}
    pools["workers"]["token"] = {"scope": "pool", "afterJoin": "expire"}
    pools["workers"]["approval"] = {"client": "controller-manager"}
    project.write_settings(settings)
    project.up()
    yield
    project.ssh(MACHINE, CLEAN, check=False)
    project.kubectl("delete", "node", MACHINE, "--ignore-not-found")
    project.write_settings(original)
    project.pulumi("destroy", "--yes", "--skip-preview")


def user_data(project: Project) -> str:
    """The secret output, from the state: no command may print it."""
    (root,) = (r for r in project.state() if r["type"] == "pulumi:pulumi:Stack")
    text: str = json.loads(root["outputs"]["userData"]["workers"]["plaintext"])
    return text


def carry_out(project: Project, document: dict[str, Any]) -> str:
    """Do on the machine what cloud-init's modules write_files and runcmd do."""
    for entry in document["write_files"]:
        path = shlex.quote(entry["path"])
        project.run(
            ".venv/bin/python", "-m", "lab", "ssh", MACHINE,
            f"mkdir -p $(dirname {path}) && umask 077 && cat >{path}"
            f" && chown {entry['owner']} {path} && chmod {entry['permissions']} {path}",
            stdin=entry["content"],
        )  # fmt: skip
    return project.ssh(MACHINE, "set -e\n" + "\n".join(document["runcmd"]))


def csrs(project: Project, signer: str) -> list[dict[str, Any]]:
    """The CSRs for a signer, the newest first: other tests have made some too."""
    found = [
        csr
        for csr in project.get("csr")["items"]
        if csr["spec"]["signerName"] == f"kubernetes.io/{signer}"
    ]
    return sorted(found, key=lambda csr: str(csr["metadata"]["creationTimestamp"]), reverse=True)


def waiting(project: Project) -> list[dict[str, Any]]:
    """The serving CSRs of which nothing has become yet."""
    return [csr for csr in csrs(project, "kubelet-serving") if not csr["status"]]


def test_the_output_is_a_secret_where_it_holds_the_token(project: Project) -> None:
    printed = project.pulumi("stack", "output", "--json").stdout
    assert json.loads(printed)["userData"] == {"workers": "[secret]"}


def test_the_machine_names_itself_and_joins(project: Project) -> None:
    printed = carry_out(project, yaml.safe_load(user_data(project)))
    assert printed.endswith(f"joined as {MACHINE}\n")
    project.kubectl("wait", f"node/{MACHINE}", "--for=condition=Ready", "--timeout=90s")
    node = project.get("node", MACHINE)
    assert node["metadata"]["labels"]["made"] == "itself"
    addresses = {a["type"]: a["address"] for a in node["status"]["addresses"]}
    assert addresses == {"Hostname": MACHINE, "InternalIP": "10.98.0.12"}
    requester = csrs(project, "kube-apiserver-client-kubelet")[0]["spec"]
    assert requester["username"].startswith("system:bootstrap:")
    assert "system:bootstrappers:workers" in requester["groups"]


def test_no_token_is_left_on_the_machine(project: Project) -> None:
    found = project.ssh(MACHINE, "ls /etc/kubernetes; cat /etc/kubernetes/bootstrap-kubelet.conf")
    assert "bootstrap-token\n" not in found.partition("apiVersion")[0]
    assert "tokenFile: /etc/kubernetes/bootstrap-token" in found


def test_its_serving_certificate_waits_for_somebody_who_knows_it(project: Project) -> None:
    deadline = time.monotonic() + 60
    while not (pending := waiting(project)) and time.monotonic() < deadline:
        time.sleep(1)
    assert pending[0]["spec"]["username"] == f"system:node:{MACHINE}"
    project.kubectl("certificate", "approve", pending[0]["metadata"]["name"])
    end = time.monotonic() + 60
    path = "/var/lib/kubelet/pki/kubelet-server-current.pem"
    while time.monotonic() < end and not project.ssh(MACHINE, f"ls {path}", check=False):
        time.sleep(1)
    assert project.ssh(MACHINE, f"test -s {path} && echo live") == "live\n"
