"""The approver's resources: what it may do, how it runs, and that both halves name things alike."""

from typing import Any

import pytest

from admission import pool_inventory
from admission.__main__ import DEFAULT_NAMESPACE, DEFAULT_PORT
from admission.approver.approver import LEASE
from admission.rules.certificate_request import LARGEST_REQUEST_BYTES
from components import approver_arguments, approver_policies
from components import pool_inventory as written_inventory
from components.approver_arguments import ServingApproverArgs
from components.serving_approver import ServingApprover
from settings import checks
from settings.parsing import parse
from settings.problem import SettingsError
from tests.unit.engine import Engine

IMAGE = "registry.example.org/approver:1"


def declare(**changes: Any) -> dict[str, dict[str, Any]]:
    args = ServingApproverArgs(image=IMAGE, **changes)
    return Engine().run(lambda: ServingApprover("approver", args) and None).resources


def rules(role: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    """Each right on its own: group, resource, name or all, verb."""
    return {
        (group, resource, name, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ["*"])
        for verb in rule["verbs"]
    }


@pytest.fixture(scope="module")
def resources() -> dict[str, dict[str, Any]]:
    return declare()


def test_its_rights_in_the_whole_cluster_are_these_and_no_more(
    resources: dict[str, dict[str, Any]],
) -> None:
    group, csrs = "certificates.k8s.io", "certificatesigningrequests"
    assert rules(resources["approver-role"]) == {
        *((group, csrs, "*", verb) for verb in ("list", "watch")),
        (group, f"{csrs}/approval", "*", "update"),
        (group, "signers", "kubernetes.io/kubelet-serving", "approve"),
        *(("", "nodes", "*", verb) for verb in ("list", "watch")),
        ("authorization.k8s.io", "subjectaccessreviews", "*", "create"),
    }


def test_its_rights_in_namespaces_are_these_and_no_more(
    resources: dict[str, dict[str, Any]],
) -> None:
    leases = ("coordination.k8s.io", "leases")
    assert rules(resources["approver-own-role"]) == {
        *(("", "configmaps", "*", verb) for verb in ("list", "watch")),
        (*leases, LEASE, "get"),
        (*leases, LEASE, "update"),
    }
    assert rules(resources["approver-events-role"]) == {("", "events", "*", "create")}
    assert resources["approver-own-role"]["metadata"]["namespace"] == DEFAULT_NAMESPACE
    assert resources["approver-events-role"]["metadata"]["namespace"] == "default"


def test_the_program_makes_its_lease_and_leaves_the_holder_to_it(
    resources: dict[str, dict[str, Any]],
) -> None:
    lease = resources["approver-lease"]
    assert lease["__type"] == "kubernetes:coordination.k8s.io/v1:LeasePatch"
    assert (lease["metadata"]["name"], lease["metadata"]["namespace"]) == (LEASE, DEFAULT_NAMESPACE)
    assert "spec" not in lease


def test_each_role_is_bound_to_its_own_account_alone(resources: dict[str, dict[str, Any]]) -> None:
    account = resources["approver-account"]["metadata"]
    for part in ("", "-own", "-events"):
        binding, role = resources[f"approver{part}-binding"], resources[f"approver{part}-role"]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        (subject,) = binding["subjects"]
        assert (subject["kind"], subject["name"], subject["namespace"]) == (
            "ServiceAccount", account["name"], account["namespace"],
        )  # fmt: skip


def test_its_binding_names_its_stack() -> None:
    """By which another one learns that it has an approver."""
    metadata = declare(stack="o/p/s")["approver-binding"]["metadata"]
    assert metadata["annotations"] == {"kubelet-tls-bootstrap/stack": "o/p/s"}


def test_its_pods_have_no_privilege(resources: dict[str, dict[str, Any]]) -> None:
    spec = resources["approver-deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["hostNetwork"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "env" in container
    assert not any(e["name"].startswith("KUBERNETES") for e in container["env"])


def test_two_replicas_run_on_two_machines(resources: dict[str, dict[str, Any]]) -> None:
    spec = resources["approver-deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    affinity = spec["template"]["spec"]["affinity"]["podAntiAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    assert spec["replicas"] == 2
    assert spec["selector"]["matchLabels"] == labels == term["labelSelector"]["matchLabels"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    budget = resources["approver-budget"]["spec"]
    assert budget == {"maxUnavailable": 1, "selector": {"matchLabels": labels}}


def test_it_reads_the_inventories_of_given_pools_alone() -> None:
    def told(**changes: Any) -> list[str]:
        spec = declare(**changes)["approver-deployment"]["spec"]["template"]["spec"]
        return [each for each in spec["containers"][0]["args"] if each.startswith("--pool")]

    assert told() == []
    assert told(pools=("a", "b")) == ["--pool=a", "--pool=b"]


def test_only_its_port_can_be_reached_where_a_policy_has_an_effect(
    resources: dict[str, dict[str, Any]],
) -> None:
    spec = resources["approver-network-policy"]["spec"]
    assert spec["podSelector"] == resources["approver-deployment"]["spec"]["selector"]
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"ports": [{"protocol": "TCP", "port": DEFAULT_PORT}]}]
    assert "approver-network-policy" not in declare(host_network=True)


def test_policies_are_made_where_the_settings_say_so(resources: dict[str, dict[str, Any]]) -> None:
    def policies(made: dict[str, dict[str, Any]]) -> set[str]:
        return {name for name in made if "policy" in name and "network" not in name}

    assert policies(resources) == set()
    made = declare(admission_policy=True, namespace="own")
    assert policies(made) == {
        f"approver-{part}-policy{binding}"
        for part in ("approvals", "requests")
        for binding in ("", "-binding")
    }
    for part in ("approvals", "requests"):
        binding = made[f"approver-{part}-policy-binding"]["spec"]
        name = made[f"approver-{part}-policy"]["metadata"]["name"]
        assert binding == {"policyName": name, "validationActions": ["Deny"]}
        assert made[f"approver-{part}-policy"]["spec"]["failurePolicy"] == "Fail"
    (condition,) = made["approver-approvals-policy"]["spec"]["matchConditions"]
    assert "'system:serviceaccount:own:kubelet-serving-approver'" in condition["expression"]
    assert approver_policies.LARGEST_REQUEST_BYTES == LARGEST_REQUEST_BYTES


LABEL = "node-role.kubernetes.io/control-plane"


def test_it_runs_on_nodes_of_the_control_plane_alone(resources: dict[str, dict[str, Any]]) -> None:
    spec = resources["approver-deployment"]["spec"]["template"]["spec"]
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required == {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": LABEL, "operator": "Exists"}]}]
    }
    assert {"key": LABEL, "operator": "Exists"} in spec["tolerations"]


def test_it_runs_on_any_node_where_the_settings_allow_that() -> None:
    spec = declare(allow_workers=True)["approver-deployment"]["spec"]["template"]["spec"]
    assert spec["affinity"].keys() == {"podAntiAffinity"}
    assert {"key": LABEL, "operator": "Exists"} in spec["tolerations"]


def test_the_pods_get_another_address_of_the_api_server() -> None:
    made = declare(server="https://10.98.0.10:6443", host_network=True, namespace="own")
    spec = made["approver-deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    environment = {e["name"]: e.get("value") for e in container["env"]}
    assert environment["KUBERNETES_SERVICE_HOST"] == "10.98.0.10"
    assert environment["KUBERNETES_SERVICE_PORT"] == "6443"
    assert spec["hostNetwork"] is True
    assert "--namespace=own" in container["args"]
    assert made["approver-own-role"]["metadata"]["namespace"] == "own"


def test_both_halves_name_things_alike() -> None:
    assert approver_arguments.NAME == LEASE
    assert written_inventory.INVENTORY_LABEL == pool_inventory.LABEL
    assert written_inventory.INVENTORY_KEY == pool_inventory.KEY
    assert approver_arguments.PORT == DEFAULT_PORT
    assert written_inventory.NAME_PREFIX == pool_inventory.NAME_PREFIX


def test_an_approver_needs_an_image() -> None:
    (problem,) = checks.problems(parse({"approver": {"enabled": True}}))
    assert "approver.image" in str(problem)
    assert list(checks.problems(parse({"approver": {"enabled": True, "image": IMAGE}}))) == []


def test_a_near_miss_is_reported() -> None:
    with pytest.raises(SettingsError, match="did you mean hostNetwork"):
        parse({"approver": {"hostNetwrk": True}})
