"""What a run finds in the cluster that is not its own stack's, before it touches anything."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from admission import pool_inventory
from admission.cluster_look import FoundInventory, Look
from components.bootstrap_rbac import BINDINGS, SERVING_ROLE
from credentials import Credentials
from settings.parsing import parse
from settings.problem import SettingsError
from stack import other_pools, shared_cluster
from stack.reading import Stack
from stack.record import Record, RecordedNode

RBAC = "/apis/rbac.authorization.k8s.io/v1"
SERVING, OPEN = "node-server-cert-renewal", "auto-approve-csrs-for-group"
NODE = {"name": "n1", "address": "10.0.0.1"}
CSR_ROLE = "system:certificates.k8s.io:certificatesigningrequests"
USUAL = {name: name for name in (SERVING_ROLE, *BINDINGS)}
# What this stack's nodes are denied by the settings of `Cluster.names`.
DENIED = {"addresses": [], "cidrs": ["10.96.0.0/12"], "names": ["api"]}


def document(pool: str, *nodes: str, **denied: list[str]) -> str:
    """What the inventory of a pool says; each node is given as NAME=ADDRESS."""
    entries = [
        {"name": name, "addresses": [address], "dnsNames": [name]}
        for name, address in (node.split("=") for node in nodes)
    ]
    nothing: dict[str, list[str]] = {"addresses": [], "cidrs": [], "names": []}
    return json.dumps({"pool": pool, "nodes": entries, "denied": nothing | denied})


JOINED = Record(
    nodes={"n1": RecordedNode(address="10.0.0.1")},
    members={"n1": "urn"},
    in_cluster={**USUAL, "workers-inventory": "kube-system/kubelet-tls-bootstrap-workers"},
    inventories=[document("workers", "n1=10.0.0.1", **DENIED)],
)


def inventory(
    pool: str,
    *nodes: str,
    stack: str = "o/p/other",
    namespace: str = "kube-system",
    **denied: list[str],
) -> FoundInventory:
    """The inventory of a pool."""
    text = document(pool, *nodes, **denied)
    name = f"kubelet-tls-bootstrap-{pool}"
    content = pool_inventory.read(text)
    return FoundInventory(namespace=namespace, name=name, stack=stack, content=content)


def binding(role: str, group: str) -> dict[str, Any]:
    api_group = "rbac.authorization.k8s.io"
    return {
        "roleRef": {"apiGroup": api_group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": api_group, "kind": "Group", "name": group}],
    }


def by_hand() -> dict[str, dict[str, Any]]:
    """What the commands of the manual procedure make."""
    bindings = {
        "kubelet-bootstrap": ("system:node-bootstrapper", "system:bootstrappers"),
        OPEN: (f"{CSR_ROLE}:nodeclient", "system:bootstrappers"),
        "node-client-cert-renewal": (f"{CSR_ROLE}:selfnodeclient", "system:nodes"),
        SERVING: (f"{CSR_ROLE}:selfnodeserver", "system:nodes"),
    }
    found = {f"{RBAC}/clusterrolebindings/{n}": binding(*each) for n, each in bindings.items()}
    rule = {
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["certificatesigningrequests/selfnodeserver"],
        "resourceNames": ["certificates.k8s.io"],
        "verbs": ["create"],
    }
    return {**found, f"{RBAC}/clusterroles/{SERVING_ROLE}": {"rules": [rule]}}


class Cluster:
    """A cluster that is looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found = Look(objects={}, inventories=())
        self.failure = ""
        self.is_preview = False
        self.looks: list[bool] = []  # whether each was patient
        self.said: list[str] = []
        monkeypatch.setattr(shared_cluster, "look", self._look)
        monkeypatch.setattr(other_pools, "full_name", lambda: "o/p/s")
        monkeypatch.setattr(shared_cluster, "full_name", lambda: "o/p/s")
        monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: self.is_preview)
        monkeypatch.setattr(pulumi.log, "warn", self.said.append)
        monkeypatch.setattr(pulumi.log, "info", self.said.append)

    async def _look(self, *_: Any, namespace: str, patient: bool) -> Look:
        self.looks.append(patient)
        if self.failure:
            raise ValueError(self.failure)
        return self.found

    def has(self, *inventories: FoundInventory, **objects: Any) -> None:
        self.found = Look(objects=objects, inventories=inventories)

    def names(self, settings: dict[str, Any] | None = None, record: Record | None = None) -> Any:
        """What roles and bindings are called that have not their usual names."""
        credentials = Credentials(
            kubeconfig_path="kubeconfig",
            kubeconfig=None,
            server="https://api",
            api_server="https://api",
            ca_certificate="",
            private_key=None,
            host_keys={},
        )
        raw = {"pools": {"workers": {"nodes": [NODE]}}} if settings is None else settings
        stack = Stack(settings=parse(raw), credentials=credentials, record=record or Record())
        return asyncio.run(shared_cluster.with_cluster(stack)).rbac_names


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def test_an_empty_cluster_has_nothing_that_is_not_ours(cluster: Cluster) -> None:
    assert cluster.names() == {}
    assert (cluster.looks, cluster.said) == ([True], [])


def test_a_run_that_adds_nothing_does_not_look(cluster: Cluster) -> None:
    assert cluster.names(record=JOINED) == {}
    fewer = replace(
        JOINED, inventories=[document("workers", "n1=10.0.0.1", "n2=10.0.0.2", **DENIED)]
    )
    assert cluster.names(record=fewer) == {}
    assert cluster.looks == []
    added = {"pools": {"workers": {"nodes": [NODE, {"name": "n2", "address": "10.0.0.2"}]}}}
    moved = {"pools": {"workers": {"nodes": [{**NODE, "address": "10.0.0.9"}]}}}
    another = {"pools": {"workers": {"nodes": [NODE]}, "more": {}}}
    elsewhere = {"approver": {"namespace": "ktb"}, "pools": {"workers": {"nodes": [NODE]}}}
    networks = {"cluster": {"serviceCidr": "10.0.0.0/8"}, "pools": {"workers": {}}}
    hosts = {**networks, "controlPlane": {"hosts": [{"name": "cp", "address": "10.9.0.9"}]}}
    of_node: list[dict[str, Any]] = [
        {"pools": {"workers": {"nodes": [NODE | more]}}}
        for more in (
            {"dnsNames": ["n1.example.org"]},
            {"addresses": ["fd00::1"]},
            {"certificateAddresses": ["10.1.0.1"]},
        )
    ]
    changes = (added, moved, another, elsewhere, networks, hosts, *of_node)
    for count, settings in enumerate(changes, 1):
        cluster.names(settings, JOINED)
        assert len(cluster.looks) == count


def test_a_stack_without_pools_looks_once(cluster: Cluster) -> None:
    assert cluster.names({"pools": {}}) == {}
    assert cluster.looks == [True]
    assert cluster.names({"pools": {}}, Record(in_cluster=USUAL)) == {}
    assert cluster.looks == [True]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            inventory("workers"),
            "pools.workers has the name of the pool workers of the stack o/p/other; give it",
        ),
        (
            inventory("workers", stack="", namespace="other"),
            "the pool workers of another stack (the ConfigMap"
            " other/kubelet-tls-bootstrap-workers names none)",
        ),
        (
            inventory("spot", "n1=10.1.0.1"),
            "pools.workers.nodes[0] (n1) has n1, and so has the node n1 of the pool spot of the"
            " stack o/p/other; a node belongs to one stack: remove it there and run pulumi up there"
            " first, or remove it here. If that stack is gone, or the pool has left it, kubectl -n"
            " kube-system delete configmap kubelet-tls-bootstrap-spot first",
        ),
        (
            inventory("spot", "n7=10.0.0.1"),
            "(n1) has 10.0.0.1, and so has the node n7 of the pool spot",
        ),
    ],
)
def test_what_another_stack_has_is_refused(
    cluster: Cluster, found: FoundInventory, said: str
) -> None:
    cluster.has(found)
    for is_preview in (False, True):
        cluster.is_preview = is_preview
        with pytest.raises(SettingsError, match="nothing was changed") as error:
            cluster.names()
        assert said in str(error.value)
    assert cluster.looks == [True, False]


def test_what_is_this_stacks_own_is_not(cluster: Cluster) -> None:
    # As a run that was interrupted has left it, and as a pool that is about to go.
    cluster.has(inventory("workers", "n1=10.0.0.1", stack="o/p/s"))
    assert cluster.names() == {}
    cluster.has(inventory("former", "n1=10.0.0.1", stack="o/p/s"))
    assert cluster.names() == {}
    # Before it was renamed, and by an earlier release: the state says that it is its own.
    added = {"pools": {"workers": {"nodes": [NODE, {"name": "n2", "address": "10.0.0.2"}]}}}
    for stack in ("o/p/former-name", ""):
        cluster.has(inventory("workers", "n1=10.0.0.1", stack=stack))
        assert cluster.names(added, JOINED) == {}
    # Another one's.
    cluster.has(inventory("former", "n2=10.0.0.1"))
    with pytest.raises(SettingsError):
        cluster.names(added, JOINED)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"dnsNames": ["n7"]}, "n7"),
        ({"addresses": ["fd00::7"]}, "fd00::7"),
        ({"certificateAddresses": ["10.0.0.7"]}, "10.0.0.7"),
    ],
)
def test_a_node_that_has_joined_gets_nothing_that_anothers_has(
    cluster: Cluster, more: dict[str, Any], what: str
) -> None:
    """The approver would leave both out, and neither could renew."""
    cluster.has(inventory("spot", "n7=10.0.0.7"), inventory("spots", "n8=fd00::7"))
    with pytest.raises(SettingsError, match=rf"\(n1\) has {what}, and so has the node n"):
        cluster.names({"pools": {"workers": {"nodes": [NODE | more]}}}, JOINED)


@pytest.mark.parametrize(
    "denied",
    [{"addresses": ["10.0.0.1"]}, {"cidrs": ["10.0.0.0/24"]}, {"names": ["n1"]}],
    ids=["an address", "a network", "a name"],
)
def test_a_node_that_another_stack_denies_is_refused(
    cluster: Cluster, denied: dict[str, list[str]]
) -> None:
    cluster.has(inventory("spot", "n7=10.0.0.7", **denied))
    told = (
        r"pools\.workers\.nodes\[0\] \(n1\) has (10\.0\.0\.1|n1), which the pool spot of the stack"
    )
    with pytest.raises(SettingsError, match=told):
        cluster.names()
    by_hand = {"approval": {"serving": "manual"}, "pools": {"workers": {"nodes": [NODE]}}}
    if "cidrs" in denied:
        with pytest.raises(SettingsError, match=told):
            cluster.names(by_hand)
    else:
        assert cluster.names(by_hand) == {}


@pytest.mark.parametrize(
    ("settings", "node", "told"),
    [
        (
            {},
            "n7=10.100.0.7",
            "cluster.serviceCidr would deny 10.100.0.7 to all nodes, and n7 of the pool spot of the"
            " stack o/p/other has it, whose serving certificate nobody would renew then; give the",
        ),
        (
            {"controlPlane": {"hosts": [{"name": "cp", "address": "10.0.0.9"}]}},
            "cp=10.0.0.9",
            "controlPlane.hosts would deny 10.0.0.9 to all nodes, and cp of the pool spot",
        ),
        (
            {"cluster": {"server": "https://10.0.0.9:6443"}},
            "cp=10.0.0.9",
            "cluster.server would deny 10.0.0.9 to all nodes, and cp of the pool spot",
        ),
        ({}, "api=10.0.0.9", "cluster.server would deny api to all nodes, and api of the pool"),
    ],
)
def test_what_a_node_of_another_stack_has_is_not_denied_to_it(
    cluster: Cluster, settings: dict[str, Any], node: str, told: str
) -> None:
    cluster.has(inventory("spot", node))
    whole = {**settings, "pools": {"workers": {"nodes": [NODE]}}}
    with pytest.raises(SettingsError, match="1 problem in the settings") as error:
        cluster.names(whole)
    assert told in str(error.value)
    # Without pools it writes nowhere what it denies.
    assert cluster.names({**settings, "pools": {}}) == {}


def test_what_its_own_stack_denies_to_a_node_this_one_may_deny_too(cluster: Cluster) -> None:
    """Somebody approves its certificate by hand, as `approval.serving: manual` there means."""
    cluster.has(inventory("spot", "cp=10.0.0.9", addresses=["10.0.0.9"]))
    whole = {
        "cluster": {"server": "https://10.0.0.9:6443"},
        "pools": {"workers": {"nodes": [NODE]}},
    }
    assert cluster.names(whole) == {}


def test_a_machine_of_the_control_plane_that_is_this_stacks_node_is_denied_to_nobody(
    cluster: Cluster,
) -> None:
    cluster.has(inventory("spot", "n7=10.0.0.7", cidrs=["10.96.0.0/12"]))
    host = {"name": "n1", "address": "10.0.0.1"}
    settings = {"controlPlane": {"hosts": [host]}, "pools": {"workers": {"nodes": [NODE]}}}
    assert cluster.names(settings) == {}


@pytest.mark.parametrize(
    ("stack", "namespace", "told"),
    [
        (
            "o/p/cluster",
            "ktb",
            "approver.enabled is true, but the stack o/p/cluster runs an approver in this cluster,"
            " which has one: leave it out here, or end that one first. If nobody has it any more:"
            " kubectl -n ktb delete deployment kubelet-serving-approver; kubectl delete"
            " clusterrolebinding kubelet-serving-approver",
        ),
        (None, None, "but another stack, or somebody by hand, runs an approver in this cluster"),
        ("o/p/s", "ktb", ""),
    ],
    ids=["another stack's", "by hand, as a unit", "its own, of an interrupted run"],
)
def test_a_cluster_has_one_approver(
    cluster: Cluster, stack: str | None, namespace: str | None, told: str
) -> None:
    """The first of two stacks that ends would take the rights of the other's."""
    subject = {"kind": "ServiceAccount", "namespace": namespace} if namespace else {"kind": "User"}
    metadata = {"annotations": {"kubelet-tls-bootstrap/stack": stack}} if stack else {}
    path = f"{RBAC}/clusterrolebindings/kubelet-serving-approver"
    cluster.has(**{path: {"metadata": metadata, "subjects": [subject]}})
    settings = {"approver": {"enabled": True, "image": "i"}, "pools": {}}
    if told:
        with pytest.raises(SettingsError, match="1 problem in the settings") as error:
            cluster.names(settings)
        assert told in str(error.value)
    else:
        assert cluster.names(settings) == {}
    running = Record(in_cluster={**USUAL, "serving-approver-binding": "kubelet-serving-approver"})
    looks = len(cluster.looks)
    assert cluster.names(settings, running) == {}
    assert len(cluster.looks) == looks
    assert cluster.names({"pools": {}}) == {}


def test_a_node_whose_machine_is_gone_claims_nothing(cluster: Cluster) -> None:
    cluster.has(inventory("spot", "n1=10.0.0.1"))
    settings = {"pools": {"workers": {"nodes": [{**NODE, "force": True}]}}}
    assert cluster.names(settings) == {}


def test_all_that_is_anothers_is_told_at_once(cluster: Cluster) -> None:
    cluster.has(inventory("workers"), inventory("spot", "n1=10.0.0.1"))
    with pytest.raises(SettingsError, match="2 problems"):
        cluster.names()


def test_an_inventory_that_cannot_be_read_still_has_its_name(cluster: Cluster) -> None:
    cluster.has(replace(inventory("workers"), content=None))
    with pytest.raises(SettingsError, match=r"pools\.workers has the name"):
        cluster.names()
    cluster.has(replace(inventory("spot"), content=None))
    assert cluster.names() == {}


def test_what_the_manual_procedure_has_made_is_shared_where_it_says_the_same(
    cluster: Cluster,
) -> None:
    cluster.has(**by_hand())
    assert cluster.names() == {
        name: f"kubelet-tls-bootstrap:{name}" for name in (SERVING_ROLE, SERVING, OPEN)
    }
    lines = [line for line in cluster.said if "is there already and is another one" in line]
    assert len(lines) == 3
    (line,) = [line for line in lines if f"ClusterRoleBinding {OPEN}" in line]
    assert f"({CSR_ROLE}:nodeclient for Group system:bootstrappers)" in line
    assert any("a token can become any node" in line for line in cluster.said)


def test_a_pool_in_the_open_mode_needs_no_warning_of_the_open_binding(cluster: Cluster) -> None:
    cluster.has(**by_hand())
    pool = {"approval": {"client": "controller-manager"}, "nodes": [NODE]}
    cluster.names({"pools": {"workers": pool}})
    assert not any("a token can become any node" in line for line in cluster.said)


def test_the_stacks_names_stay_whatever_is_there_later(cluster: Cluster) -> None:
    record = Record(in_cluster={**USUAL, SERVING: "kubelet-tls-bootstrap:of-old"})
    assert cluster.names(record=record) == {SERVING: "kubelet-tls-bootstrap:of-old"}


def test_what_another_stack_has_made_is_shared(cluster: Cluster) -> None:
    objects = {f"{RBAC}/clusterrolebindings/{n}": binding(*each) for n, each in BINDINGS.items()}
    role = {
        "rules": [
            {
                "verbs": ["create"],
                "apiGroups": ["certificates.k8s.io"],
                "resources": ["certificatesigningrequests/selfnodeserver"],
            }
        ]
    }
    cluster.has(**objects, **{f"{RBAC}/clusterroles/{SERVING_ROLE}": role})
    assert cluster.names() == {}
    assert cluster.said == []


def test_two_that_are_both_others_are_an_error(cluster: Cluster) -> None:
    other = binding("view", "system:nodes")
    paths = [
        f"{RBAC}/clusterrolebindings/{prefix}{SERVING}" for prefix in ("", "kubelet-tls-bootstrap:")
    ]
    cluster.has(**dict.fromkeys(paths, other))
    with pytest.raises(
        pulumi.RunError, match=r"view for Group system:nodes\), so nothing was changed"
    ):
        cluster.names()


def test_an_api_server_that_does_not_answer_ends_a_run_and_not_a_preview(
    cluster: Cluster,
) -> None:
    cluster.failure = "the API server does not answer"
    with pytest.raises(pulumi.RunError, match="nothing was changed: the API server does not"):
        cluster.names()
    cluster.is_preview = True
    assert cluster.names() == {}
    assert cluster.said == [
        "what other stacks have in the cluster is not checked: the API server does not answer"
    ]
