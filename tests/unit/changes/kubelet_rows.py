"""Changes of how machines are reached, and of how their kubelets run."""

from tests.unit.changes.node_rows import MEMBERSHIP, SCRIPTS
from tests.unit.changes.row import HOST_KEY, Row, node, pool, stack

ATTRIBUTES = "tests/contract/test_node_attributes.py"
KEPT = "A kubelet that has joined keeps its certificates."
CARRIED = f"{MEMBERSHIP}::test_a_joined_kubelet_keeps_its_certificates_when_their_paths_change"
COMPARED = "The files are compared over the new connection; nothing changes on the machines."

REACHING = (
    Row(
        title="`ssh.user`, `ssh.sudo`",
        change=stack(ssh={"user": "admin", "sudo": True}),
        note=COMPARED,
    ),
    Row(title="`ssh.port`", change=pool("workers", ssh={"port": 2222}), note=COMPARED),
    Row(
        title="`sshAddress`",
        change=node("node-1", sshAddress="203.0.113.7"),
        note=f"{COMPARED} For a control-plane host, its flags are checked over it.",
    ),
    Row(
        title="`ssh.bastion`",
        change=stack(ssh={"bastion": {"address": "10.0.0.8", "hostKey": HOST_KEY}}),
        note=COMPARED,
    ),
    Row(
        title="`ssh.privateKeyPath`, or another key in that file",
        change=stack(ssh={"privateKeyPath": "other-key"}),
        note=f"{COMPARED} A node that leaves in the same run is still reached with the old key, so"
        " install the new key on the machines, run `pulumi up`, and only then remove the old one.",
    ),
    Row(
        title="`hostKey`",
        change=node("node-1", hostKey=HOST_KEY.replace("ERER", "IiIi")),
        note=COMPARED,
    ),
)

KUBELETS = (
    Row(
        title="`kubernetesVersion`",
        first=stack(kubernetesVersion="1.35"),
        change=stack(kubernetesVersion="1.36"),
        note="Install the kubelet first: a machine with another version refuses. It restarts only"
        " if a file that it reads differs between the two versions"
        " ([versions.md](versions.md#a-newer-kubelet-on-a-machine)).",
        tests=(f"{SCRIPTS}::test_another_kubelet_than_the_settings_say_is_refused_first",),
    ),
    Row(
        title="A field (`kubelet`)",
        change=pool("workers", kubelet={"maxPods": 60}),
        note="In waves ([`rollout`](settings.md#rollout)), as all changes of files are: each is"
        " proven before the next begins. Pods keep running.",
        tests=(f"{SCRIPTS}::test_a_changed_file_restarts_a_running_kubelet_once",),
    ),
    Row(
        title="A flag (`flags`)",
        change=node("node-1", flags={"v": "4"}),
        note="",
    ),
    Row(
        title="`labels`, `taints`",
        change=pool("workers", labels={"tier": "a"}, taints=["gpu=yes:NoSchedule"]),
        note="The gate changes the Nodes, and leaves alone what others have set there. The files"
        " are for a kubelet that registers again.",
        tests=(
            f"{SCRIPTS}::test_labels_and_taints_are_written_and_restart_no_kubelet",
            f"{ATTRIBUTES}::test_each_is_added_changed_and_removed_beside_those_of_others",
        ),
    ),
    Row(
        title="`annotations`, and `labels` that a kubelet may not set",
        change=pool(
            "workers",
            labels={"node-role.kubernetes.io/worker": ""},
            annotations={"example.org/owner": "web"},
        ),
        note="The gate changes the Nodes; they are in no file.",
        tests=(f"{ATTRIBUTES}::test_each_is_added_changed_and_removed_beside_those_of_others",),
    ),
    Row(
        title="`preset`",
        change=stack(preset="classic"),
        note=f"{KEPT} Its files move, with its kubeconfig. Data below the old `paths.root` stays"
        " there.",
        tests=(CARRIED,),
    ),
    Row(
        title="`paths.certificates`, `paths.kubeconfig`",
        change=stack(paths={"certificates": "/var/lib/kubelet/certs"}),
        note=f"{KEPT} What was at the old paths is removed.",
        tests=(CARRIED,),
    ),
    Row(
        title="`paths.root`",
        change=stack(paths={"root": "/data/kubelet"}),
        note="Drain the nodes first: the data of their pods stays below the old path.",
    ),
    Row(
        title="`embedCa`",
        change=stack(embedCa=True),
        note="The CA is written into the kubeconfig of nodes that have joined, too.",
        tests=(
            f"{MEMBERSHIP}::test_a_ca_that_is_to_be_embedded_reaches_a_machine_that_has_joined",
        ),
    ),
    Row(
        title="`runtime`",
        change=pool("workers", runtime="crio"),
        note="Drain the nodes first: the old runtime's containers are not taken over.",
    ),
    Row(title="`unit: drop-in`", change=stack(unit="drop-in"), note=""),
    Row(title="`watchdogSeconds`", change=stack(watchdogSeconds=60), note=""),
    Row(
        title="`skipChecks`",
        change=stack(skipChecks=["clock"]),
        note="The other checks run, and the files are compared.",
    ),
)
