"""Changes of the cluster, of tokens and approval, of the control plane and of the approver."""

from tests.unit.changes.node_rows import MEMBERSHIP
from tests.unit.changes.row import (
    CP_1,
    CP_2,
    NEW_CA,
    OLD_CA,
    Row,
    add_host_as_node,
    file,
    hosts,
    kubeconfig,
    machine,
    stack,
)

FLAGS = "tests/unit/test_control_plane_script.py"
LATER = "Takes effect the next time that"
ON = stack(approver={"enabled": True, "image": "registry.example.org/approver:1"})
SECRET_KEY = stack(kubeconfigPath=None, kubeconfig=kubeconfig().decode())

CLUSTER = (
    Row(
        title="`kubeconfigPath`",
        change=stack(kubeconfigPath="other-kubeconfig"),
        note="Nothing runs.",
    ),
    Row(
        title="Another content of that file",
        change=file("kubeconfig", kubeconfig(token="two")),
        note="It is read again in each run.",
    ),
    Row(
        title="The secret key `kubeconfig` in place of `kubeconfigPath`",
        change=SECRET_KEY,
        note="Nothing runs.",
    ),
    Row(
        title="Another content of the secret key `kubeconfig`",
        first=SECRET_KEY,
        change=stack(kubeconfig=kubeconfig(token="two").decode()),
        note="Nothing runs.",
    ),
    Row(
        title="`cluster.caPath`: the new CA beside the old one",
        change=file("ca.crt", OLD_CA + NEW_CA),
        note="A file without the old CA is refused by machines"
        " whose certificate the old one has signed.",
        tests=(f"{MEMBERSHIP}::test_a_machine_does_not_slip_into_another_cluster",),
    ),
    Row(
        title="`cluster.server`",
        change=stack(cluster={"server": "https://new.example.org:6443"}),
        note="It is written into the kubeconfig of nodes that have joined, too.",
        tests=(f"{MEMBERSHIP}::test_a_new_server_reaches_a_machine_that_has_joined",),
    ),
    Row(
        title="`cluster.serviceCidr`",
        change=stack(cluster={"serviceCidr": "10.97.0.0/16"}),
        note="The resident approver denies the new range. Nothing runs.",
    ),
    Row(
        title="`cluster.dnsAddresses`, `cluster.dnsDomain`",
        change=stack(cluster={"dnsAddresses": ["10.96.0.10"]}),
        note="Pods that run keep the old ones.",
    ),
    Row(
        title="`cluster.name`",
        change=stack(cluster={"name": "blue"}),
        note="It names the cluster in the bootstrap kubeconfig of machines that join later.",
    ),
    Row(title="`stallSeconds`", change=stack(stallSeconds=600), note=f"{LATER} a gate runs."),
    Row(
        title="`skipClusterChecks`",
        change=stack(skipClusterChecks=["clock"]),
        note=f"{LATER} a gate runs.",
    ),
)

APPROVAL = (
    Row(
        title="`approval.client: controller-manager` (a pool's own too)",
        change=stack(approval={"client": "controller-manager"}),
        note=f"{LATER} a token is created: whoever holds it can become any node, and the preview"
        " warns of that.",
    ),
    Row(
        title="`token.scope: pool`, with `approval.client: controller-manager`",
        change=stack(token={"scope": "pool"}, approval={"client": "controller-manager"}),
        note=f"{LATER} a token is created. Nodes that have joined need none.",
    ),
    Row(
        title="Back to `token.scope: node` and `approval.client: gate`",
        first=stack(token={"scope": "pool"}, approval={"client": "controller-manager"}),
        change=stack(token={"scope": "node"}, approval={"client": "gate"}),
        note="Nodes that have joined stay as they are.",
    ),
    Row(
        title="`token.ttlMinutes`",
        change=stack(token={"ttlMinutes": 30}),
        note=f"{LATER} a token is created.",
    ),
    Row(
        title="`token.afterJoin`",
        change=stack(token={"afterJoin": "expire"}),
        note=f"{LATER} a gate runs.",
    ),
    Row(
        title="`approval.serving`",
        change=stack(approval={"serving": "manual"}),
        note=f"{LATER} a gate runs.",
    ),
)

APPROVER = (
    Row(title="Turn it on", change=ON, note="After the nodes, since it runs on them."),
    Row(
        title="`image`, `replicas`, `server`",
        first=ON,
        change=stack(approver={"image": "registry.example.org/approver:2"}),
        note="The Deployment rolls; one replica is always there.",
    ),
    Row(
        title="`allowWorkers`, `otherPools`",
        first=ON,
        change=stack(approver={"allowWorkers": True}),
        note="The Deployment rolls onto other nodes, or reads other inventories.",
    ),
    Row(
        title="`hostNetwork`",
        first=ON,
        change=stack(approver={"hostNetwork": True}),
        note="The Deployment rolls. Its NetworkPolicy goes, or comes back.",
    ),
    Row(
        title="`admissionPolicy`",
        first=ON,
        change=stack(approver={"admissionPolicy": True}),
        note="The API server has the policies a moment later. Nothing restarts.",
    ),
    Row(
        title="`namespace`",
        first=ON,
        change=stack(approver={"namespace": "kubelet-approver"}),
        note="Its objects and the inventories move; the namespace must exist.",
    ),
    Row(
        title="Turn it off",
        first=ON,
        change=stack(approver={"enabled": False}),
        note="Nobody approves renewals from then on. The inventories stay, for `./ktb status`,"
        " and so does the Lease.",
    ),
)

CONTROL_PLANE = (
    Row(
        title="Add a host",
        change=hosts(CP_1, CP_2, machine("cp-3", "10.0.0.3")),
        note="Its flags are checked and, with `manage`, added.",
        tests=(f"{FLAGS}::test_missing_flags_come_by_a_drop_in_and_a_restart",),
    ),
    Row(
        title="Rename a host",
        change=hosts(CP_1, {**CP_2, "name": "cp-9"}),
        note="The machine keeps its flags, and nothing restarts.",
        tests=(f"{FLAGS}::test_a_host_under_a_new_name_keeps_its_flags_when_the_old_name_goes",),
    ),
    Row(
        title="Another order of the hosts",
        change=hosts(CP_2, CP_1),
        note="The order in which they may restart from then on.",
    ),
    Row(
        title="Remove a host",
        change=hosts(CP_1),
        note="With `manage` its drop-in is removed, and the services that had one restart.",
    ),
    Row(
        title="`manage: true`",
        first=stack(controlPlane={"manage": False}),
        change=stack(controlPlane={"manage": True}),
        note="Missing flags are added, one host after the other, and their services restart.",
        tests=(f"{FLAGS}::test_programs_that_have_all_flags_are_left_alone",),
    ),
    Row(
        title="`manage: false`",
        change=stack(controlPlane={"manage": False}),
        note="The flags are checked. Drop-ins stay, also when a host or the stack is removed.",
        tests=(f"{FLAGS}::test_without_manage_missing_flags_are_named_and_nothing_is_changed",),
    ),
    Row(
        title="`signingCertificate`, `signingKey`",
        change=stack(controlPlane={"signingKey": "/etc/kubernetes/pki/new.key"}),
        note="kube-controller-manager restarts where the program had set the old path.",
        tests=(f"{FLAGS}::test_another_file_takes_the_place_of_one_that_the_program_added",),
    ),
    Row(
        title="`kubeApiQps`",
        change=stack(controlPlane={"kubeApiQps": 100}),
        note="With `manage` kube-controller-manager restarts with the new rate, unless its own"
        " command has one.",
        tests=(f"{FLAGS}::test_another_rate_takes_the_place_of_one_that_the_program_added",),
    ),
    Row(
        title="Make a host a node too",
        change=add_host_as_node(CP_1, "storage"),
        note="The machine joins. Its serving certificate may hold its own address.",
        tests=(
            "tests/unit/admission/test_control_plane_nodes.py::test_the_machine_gets_its_own_address",
        ),
    ),
)
