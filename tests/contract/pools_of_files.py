"""A program with pools whose machines and cluster are files: its text, its joins, its gates."""

PROGRAM = """
import asyncio, json, os
from pathlib import Path
import pulumi
from pulumi_command import local
from components.dependencies import after, together
from components.join_approver import JoinApprover, orders_without_failed_tokens

SHAPE = json.loads(Path("shape.json").read_text())

async def approve(orders, activations, say, ready):
    pool = json.loads(orders)["pool"]
    nodes = [node["name"] for node in json.loads(orders)["nodes"]]
    if SHAPE["broken"]:
        raise ValueError("the cluster is not ready")
    running = Path("running", pool)
    running.write_text(str(os.getpid()))
    try:
        await asyncio.sleep(0.7)  # longer than the gate takes to begin
        ready({})
        while True:
            for node in nodes if SHAPE["granting"] else []:
                if Path("asked", node).exists() and not Path("granted", node).exists():
                    Path("granted", node).touch()
                    say(f"{node} approved beside the joins")
            await asyncio.sleep(0.02)
    finally:
        running.unlink()

def command(name, create, **opts):
    triggers = [SHAPE["generation"]]
    opts = pulumi.ResourceOptions(**opts)
    return local.Command(name, create=create, triggers=triggers, opts=opts)

def pool(name, nodes):
    owner = pulumi.ComponentResource("test:index:Pool", name)
    child = {"parent": owner}
    tokens = {node: command(f"{node}-token", f"echo {node}", **child) for node in nodes}
    orders = {
        "pool": name,
        "approval": {"client": "controller-manager"},
        "nodes": [{"name": node} for node in nodes],
        "tokens": [{"id": token.stdout, "node": node} for node, token in tokens.items()],
    }
    approver = None
    if SHAPE["approver"]:
        text = orders_without_failed_tokens(orders)
        none = pulumi.Output.from_input({})
        approver = JoinApprover(
            name, orders=text, activations=none, owner=owner, approve=approve
        )
    if approver:
        begins = pulumi.ResourceHook(
            f"{name}-join-begins", lambda args: approver.join_begins(args.name, args.name)
        )
    joins = []
    for node in nodes:
        # As the program has it: what a machine gets comes before its join.
        files = command(
            f"{node}-files", "true", parent=owner, depends_on=after(owner, tokens[node])
        )
        needs = after(owner, files)
        opts = pulumi.ResourceOptions(parent=owner, depends_on=needs)
        if approver:
            opts.depends_on = together(needs, approver.ready)
            opts.hooks = pulumi.ResourceHookBinding(before_create=[begins])
        create = f"sh ./join {node} {SHAPE['rounds']}"
        if node in SHAPE["dead"]:
            late = "until test -e late; do sleep 0.05; done; " if SHAPE["late"] else ""
            create = f"{late}touch dead; false"
        elif node in SHAPE["late"]:
            create = f"touch late; until test -e dead; do sleep 0.05; done; sleep 1; {create}"
        joins.append(
            local.Command(f"{node}-join", create=create, triggers=[SHAPE["generation"]], opts=opts)
        )
    needs = after(owner, *tokens.values())
    opts = pulumi.ResourceOptions(parent=owner, depends_on=needs)
    if approver:
        opts.depends_on = together(needs, approver.all_begun(joins))
        at_gate = [approver.before_gate]
        opts.hooks = pulumi.ResourceHookBinding(before_create=at_gate, before_update=at_gate)
    expected = [node for node in nodes if node not in SHAPE["dead"]]
    gate = local.Command(
        f"{name}-gate",
        create=f"sh ./gate {name} {' '.join(expected)}",
        stdin=pulumi.Output.json_dumps({**orders, "generation": SHAPE["generation"]}),
        opts=opts,
    )
    if approver:
        approver.end_after([*joins, gate])

for name, nodes in SHAPE["pools"].items():
    pool(name, nodes)
"""
JOIN = """
touch "asked/$1"
left=$2
until test -e "granted/$1"; do
    left=$((left - 1))
    test "$left" -gt 0 || { echo "$1: nobody has approved" >&2; exit 1; }
    sleep 0.05
done
"""
GATE = """
pool=$1
shift
test ! -e "running/$pool" || { echo "$pool: two approve at once" >&2; exit 1; }
left=200
for node in "$@"; do
    until test -e "granted/$node"; do
        test ! -e "asked/$node" || touch "granted/$node"
        left=$((left - 1))
        test "$left" -gt 0 || { echo "$node has not joined" >&2; exit 1; }
        sleep 0.05
    done
done
echo "$pool" >>gates
"""
