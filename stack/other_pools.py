"""What the pools of other stacks have in the same cluster, by the inventories that they keep there.

A serving certificate may hold what the node's inventory has, and nothing that any pool's inventory
denies. So each name and address is one node's of one stack, and no stack may deny what another
one's node has: its kubelet could renew its certificate no more.
"""

import ipaddress
from collections.abc import Iterator

from admission import claims, pool_inventory
from admission.cluster_look import FoundInventory
from admission.inventory import Denied, InventoryNode, read_denied, read_node
from admission.pool_inventory import Inventory
from components.pool_inventory import NAME_PREFIX
from settings.claims import control_plane_addresses
from settings.model import NodeSettings, Settings
from settings.problem import Problem
from stack import arguments
from stack.reading import Stack
from stack.state import full_name


def adds(stack: Stack) -> bool:
    """Return whether this run would have or deny anything that the stack does not by its state.

    That is a pool, a node, or a name or an address of one.
    """
    settings, record = stack.settings, stack.record
    has = _of_state(stack)
    claimed = {claim for node in has.nodes.values() for claim in node.claims}
    for name, pool in settings.pools.items():
        inventory = f"{settings.approver.namespace}/{NAME_PREFIX}{name}"
        if record.in_cluster.get(f"{name}-inventory") != inventory:
            return True
        for node in pool.nodes:
            known = record.nodes.get(node.name)
            is_member = node.name in record.members and known and known.address == node.address
            if not node.force and not (is_member and _entry(node).claims <= claimed):
                return True
    denied = _denied(stack)
    return bool(settings.pools) and not (
        denied.addresses <= has.denied.addresses
        and {*denied.networks} <= {*has.denied.networks}
        and denied.names <= has.denied.names
    )


def problems(stack: Stack, inventories: tuple[FoundInventory, ...]) -> Iterator[Problem]:
    """Yield each pool, and each node, that another stack has, or of which one denies what it has.

    `inventories` are all that the cluster has.
    """
    names = {n for title, n in stack.record.in_cluster.items() if title.endswith("-inventory")}
    others = [
        each
        for each in inventories
        if f"{each.namespace}/{each.name}" not in names and each.stack != full_name()
    ]
    taken = {_pool(each): each for each in others if _pool(each) in stack.settings.pools}
    for name, each in taken.items():
        yield Problem(f"pools.{name}", _pool_of(each))
    others = [each for each in others if _pool(each) not in taken]
    yield from _taken(stack.settings, others)
    yield from _denied_by(stack.settings, others)
    if stack.settings.pools:
        yield from _denied_to(stack, others)


def _taken(settings: Settings, others: list[FoundInventory]) -> Iterator[Problem]:
    """Yield each node that has what another stack's has."""
    owners = {
        claim: (node, each)
        for each in others
        if each.content is not None
        for node in each.content.nodes
        for claim in node.claims
    }
    for path, node in _nodes(settings):
        taken = sorted(_entry(node).claims & owners.keys(), key=str)
        if taken:
            other, owner = owners[taken[0]]
            yield Problem(
                path,
                f"({node.name}) has {taken[0]}, and so has the node {other.name} of"
                f" {_whose(owner)}; a node belongs to one stack: remove it there and run"
                f" pulumi up there first, or remove it here. {_if_gone(owner)}",
            )


def _denied_by(settings: Settings, others: list[FoundInventory]) -> Iterator[Problem]:
    """Yield each node that has what another stack denies to all."""
    for path, node in _nodes(settings):
        for each in others:
            if each.content is None:
                continue
            denied = each.content.denied
            if settings.approval.serving == "manual":  # the API server's may be approved so
                denied = Denied(networks=denied.networks)
            if found := _first_denied(_entry(node), denied):
                yield Problem(
                    path,
                    f"({node.name}) has {found}, which {_whose(each)} denies to all nodes as its"
                    " cluster.serviceCidr, a control-plane host or the API server, so that no"
                    " approver of all pools would renew this node's serving certificate; correct"
                    " that there and run"
                    f" pulumi up there first, or give the node another one here. {_if_gone(each)}",
                )
                break


def _denied_to(stack: Stack, others: list[FoundInventory]) -> Iterator[Problem]:
    """Yield each node of another stack of which this one would deny what it has."""
    denied, settings = _denied(stack), stack.settings
    hosts = {*map(ipaddress.ip_address, control_plane_addresses(settings))}
    for each in others:
        if each.content is None:
            continue
        for node in each.content.nodes:
            found = _first_denied(node, denied)
            # What its own stack denies has been approved by hand, and is again.
            if found is None or _first_denied(node, each.content.denied) is not None:
                continue
            if isinstance(found, str) or found in denied.addresses - hosts:
                path, remedy = "cluster.server", "give the API server a name and an address of its"
                remedy += " own, in the kubeconfig too"
            elif found in hosts:
                path, remedy = "controlPlane.hosts", "leave that host out here, or the pools: as a"
                remedy += " node it keeps its address from all others"
            else:
                path, remedy = "cluster.serviceCidr", "give the networks of the Services (the API"
                remedy += " server's --service-cluster-ip-range)"
            yield Problem(
                path,
                f"would deny {found} to all nodes, and {node.name} of {_whose(each)} has it, whose"
                f" serving certificate nobody would renew then; {remedy}. {_if_gone(each)}",
            )


def _first_denied(node: InventoryNode, denied: Denied) -> claims.Claim | None:
    for claim in sorted(node.claims, key=str):
        if isinstance(claim, str):
            is_denied = claim in denied.names
        else:
            is_denied = claims.nobodys(claim) == "" and denied.covers(claim)
        if is_denied:
            return claim
    return None


def _of_state(stack: Stack) -> Inventory:
    """Return what the stack's own inventories say by its state."""
    found = []
    for text in stack.record.inventories:
        try:
            found.append(pool_inventory.read(text))
        except ValueError:
            continue  # somebody has changed the state
    return pool_inventory.merge(found)


def _denied(stack: Stack) -> Denied:
    return read_denied(arguments.denied(stack.settings, stack.credentials).document())


def _nodes(settings: Settings) -> Iterator[tuple[str, NodeSettings]]:
    """Yield each node whose machine is there, with the path of its settings."""
    for name, pool in settings.pools.items():
        for index, node in enumerate(pool.nodes):
            if not node.force:
                yield f"pools.{name}.nodes[{index}]", node


def _entry(node: NodeSettings) -> InventoryNode:
    addresses = [*node.all_addresses, *node.certificate_addresses]
    return read_node({"name": node.name, "addresses": addresses, "dnsNames": list(node.all_names)})


def _pool(found: FoundInventory) -> str:
    return found.name.removeprefix(NAME_PREFIX)


def _pool_of(found: FoundInventory) -> str:
    """Return what is wrong with a pool whose inventory is another stack's."""
    return f"has the name of {_whose(found)}; give it another name. {_if_gone(found)}"


def _if_gone(found: FoundInventory) -> str:
    """Return what to do about an inventory that nobody looks after."""
    return (
        "If that stack is gone, or the pool has left it,"
        f" kubectl -n {found.namespace} delete configmap {found.name} first"
    )


def _whose(found: FoundInventory) -> str:
    pool = f"the pool {_pool(found)}"
    if found.stack:
        return f"{pool} of the stack {found.stack}"
    return f"{pool} of another stack (the ConfigMap {found.namespace}/{found.name} names none)"
