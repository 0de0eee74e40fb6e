"""Changes of nodes and of pools."""

from tests.unit.changes.row import (
    Row,
    add,
    add_pool,
    both,
    machine,
    move,
    node,
    pool,
    remove,
    remove_all_pools,
    remove_pool,
    rename_pool,
    stack,
    swap_addresses,
)

MEMBERSHIP = "tests/unit/test_node_membership.py"
SCRIPTS = "tests/unit/test_node_scripts.py"
REFUSED = f"{MEMBERSHIP}::test_another_nodes_machine_is_refused_before_it_is_changed"
LEFT_ALONE = f"{MEMBERSHIP}::test_a_machine_that_is_another_node_now_is_not_removed"

NODES = (
    Row(
        title="Add a node",
        change=add("workers", "node-9", "10.0.0.19"),
        note="Joins. The gate proves all nodes of the pool again, over the API server.",
    ),
    Row(
        title="Remove a node",
        change=remove("workers", "node-2"),
        note="The program drains it (`drain`), deletes its Node, stops the kubelet and removes what"
        " it wrote. Volumes that are still mounted stay. If the drain fails, nothing is removed.",
        tests=(
            "tests/contract/test_drain.py::"
            "test_what_would_be_lost_stops_a_drain_until_the_settings_allow_it",
            f"{SCRIPTS}::test_remove_takes_what_was_written_and_nothing_else",
            f"{MEMBERSHIP}::test_volumes_of_containers_that_still_run_are_kept",
        ),
    ),
    Row(
        title="`force: true` for a node whose machine is gone",
        change=node("node-2", force=True),
        note="Its Node is deleted without a drain, and nothing connects to it. A removal that is"
        " stuck because the machine does not answer ends the same way: put the node back with it.",
    ),
    Row(
        title="Then remove that node",
        first=node("node-2", force=True),
        change=remove("workers", "node-2"),
        note="If the machine comes back, its kubelet and files are still there.",
    ),
    Row(
        title="Another `name` at the same address",
        change=both(remove("workers", "node-2"), add("workers", "node-9", "10.0.0.12")),
        note="A machine that was reinstalled joins under the new name, also with a new host key: it"
        " takes over the old one's `files`. A machine that still is the old node refuses"
        " the new name and is left as it is: remove the old node in one run, and add the new one in"
        " the next.",
        tests=(REFUSED, LEFT_ALONE),
    ),
    Row(
        title="Swap the addresses of two nodes",
        change=swap_addresses("node-1", "node-2"),
        note="Only for machines that were both reinstalled. Others refuse, and nothing changes on"
        " them: swap the addresses back.",
        tests=(REFUSED,),
    ),
    Row(
        title="Another `address`",
        change=node("node-1", address="10.0.0.21"),
        note="A machine that was moved keeps its certificates, and its kubelet asks for a serving"
        " certificate with the new address. A new machine joins with the new token, with"
        " `approval.client: gate` only once the old Node is deleted. The machine at the old address"
        " is left as it is: stop it. The preview warns of it.",
        tests=(
            f"{SCRIPTS}::test_a_node_that_has_joined_keeps_its_certificates_and_registers_again",
        ),
    ),
    Row(
        title="A second address (`addresses`)",
        change=node("node-1", addresses=["fd00::11"]),
        note="The kubelet asks for a serving certificate with both, which the gate approves.",
    ),
    Row(
        title="A DNS name (`dnsNames`)",
        change=node("node-1", dnsNames=["db.example.org"]),
        note="The certificate may hold it. A kubelet asks only for names that its Node has.",
    ),
    Row(
        title="An address of its certificate (`certificateAddresses`)",
        change=node("node-1", certificateAddresses=["203.0.113.7"]),
        note="As with a DNS name: the kubelet is not told.",
    ),
    Row(
        title="Raise a node's `generation`",
        change=node("node-1", generation=2),
        note="A machine that was reinstalled joins again, with `approval.client: gate` only once"
        " its old Node is deleted; one that has joined keeps its certificates, and its kubelet"
        " restarts only if its Node is gone.",
        tests=(
            f"{SCRIPTS}::test_a_node_that_has_joined_keeps_its_certificates_and_registers_again",
        ),
    ),
    Row(
        title="Raise `repair`",
        change=pool("workers", repair=1),
        note="Files that somebody changed are written again. The kubelet restarts where one was.",
        tests=(f"{SCRIPTS}::test_a_file_that_somebody_changed_is_repaired_and_reported",),
    ),
    Row(
        title="Move a node to another pool",
        change=move("node-2", "workers", "storage"),
        note="The node stays as it is. What the pools set differently changes as below.",
    ),
    Row(
        title="Rename a pool",
        change=rename_pool("workers", "compute"),
        note="Its nodes stay as they are.",
    ),
    Row(
        title="Add a pool",
        change=add_pool("gpu", machine("node-9", "10.0.0.19")),
        note="Its nodes join.",
    ),
    Row(
        title="Remove a pool",
        first=stack(maxRemovals="100%"),
        change=remove_pool("storage"),
        note="Needs `maxRemovals`, as more than a fifth of a pool does. All of its nodes leave,"
        " drained one after the other by the stack's `drain`.",
    ),
    Row(
        title="Remove all pools",
        first=stack(maxRemovals="100%"),
        change=remove_all_pools,
        note="Needs `maxRemovals`. All nodes leave, drained one after the other of each pool."
        " `pulumi destroy` also removes the role and the bindings, if the cluster has no other Node"
        " ([leaving](how-it-works.md#leaving)), and, with `manage`, the flags of"
        " the control plane.",
    ),
    Row(
        title="`maxRemovals`",
        change=stack(maxRemovals="50%"),
        note="Counts in the runs from then on, their previews included. `pulumi destroy` does not"
        " run the program, and knows no limit.",
        tests=("tests/unit/test_removals.py::test_how_many_nodes_of_a_pool_may_leave",),
    ),
    Row(
        title="`drain`",
        change=both(stack(drain={"force": True}), pool("workers", drain={"parallel": 4})),
        note="Nodes that leave from then on are drained by it.",
        tests=(
            "tests/unit/admission/test_drain.py::"
            "test_a_node_is_drained_as_the_pool_says_that_it_was_in",
        ),
    ),
    Row(
        title="`cloudInit`",
        change=pool("workers", cloudInit=True),
        note="The output `userData` is new.",
    ),
)
