"""The approver as docs/approver-unit.md has it run: on a machine, with a kubeconfig."""

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from admission.__main__ import parser
from components import serving_approver
from tests.contract import approver_program as program
from tests.contract.approver_program import LEASE, encoded, replica, wait_for
from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.contract.test_hostile_requests import FLAGS, prepare
from tests.hostile.api_server import CSRS, administrator
from tests.hostile.vector import ADDRESSES, SERVING_SIGNER, SERVING_USAGES, dns, ip, node, serving

pytestmark = pytest.mark.contract

TEXT = (program.ROOT / "docs/approver-unit.md").read_text()
PLURALS = {
    "Lease": "leases",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles",
    "RoleBinding": "rolebindings",
}


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(block("yaml")))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    with running(directory, *FLAGS) as started:
        prepare(administrator(yaml.safe_load(started.kubeconfig.read_text()), directory))
        program.inventory(started)
        for body in manifests():
            namespace = body["metadata"].get("namespace")
            place = f"namespaces/{namespace}/" if namespace else ""
            started.request(
                "POST", f"/apis/{body['apiVersion']}/{place}{PLURALS[body['kind']]}", body
            )
        yield started


def test_the_rights_are_those_of_the_service_account() -> None:
    def camel(rule: Any) -> dict[str, Any]:
        names = {"api_groups": "apiGroups", "resource_names": "resourceNames"}
        return {names.get(key, key): value for key, value in rule.items()}

    rules = {body["metadata"]["name"]: body["rules"] for body in manifests() if "rules" in body}
    assert rules == {
        program.NAME: list(map(camel, serving_approver.CLUSTER_RULES)),
        f"{program.NAME}-own": list(map(camel, serving_approver.OWN_RULES)),
        f"{program.NAME}-events": list(map(camel, serving_approver.EVENT_RULES)),
    }


def test_the_unit_starts_what_there_is() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(block("ini"))
    service = unit["Service"]
    python, *module, command, option, path = shlex.split(service["ExecStart"])
    assert python.startswith(service["WorkingDirectory"])
    assert module == ["-m", "admission"]
    assert parser().parse_args([command, option, path]).kubeconfig == path
    name, _, source = service["LoadCredential"].partition(":")
    assert path == f"${{CREDENTIALS_DIRECTORY}}/{name}"
    assert f"> {source}\n" in TEXT


def test_it_approves_with_a_kubeconfig_of_its_own_user(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = cluster.kubeconfig_for(program.NAME, tmp_path)
    with replica(kubeconfig) as log:
        wait_for("holder", lambda: (cluster.get(LEASE).get("spec") or {}).get("holderIdentity"))
        admin = administrator(yaml.safe_load(cluster.kubeconfig.read_text()), tmp_path)
        pem = serving(dns("node-2"), ip(ADDRESSES["node-2"]), name="node-2")
        body = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": "csr-1"},
            "spec": {
                "request": encoded(pem),
                "signerName": SERVING_SIGNER,
                "usages": list(SERVING_USAGES),
            },
        }
        assert admin.call("POST", CSRS, body, node("node-2"))[0] == 201
        wait_for("approval", lambda: cluster.get(f"{CSRS}/csr-1")["status"].get("conditions"))
        assert '"serving request approved"' in log.read_text()
