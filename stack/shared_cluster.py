"""What a cluster has already that is not this stack's, looked at before anything is touched.

Other stacks have their pools in it, and somebody may have made bindings by hand. A run looks only
if it would create something: a pool, a node, the roles and bindings.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pulumi

from admission.cluster_look import FoundInventory, Look, look
from admission.inventory import InventoryNode, read_node
from admission.terminal import visible
from components.bootstrap_rbac import BINDINGS, OWN_PREFIX, SERVING_ROLE, SERVING_RULE
from components.bootstrap_token import GROUP
from components.pool_inventory import NAME_PREFIX
from settings.model import NodeSettings, Settings
from settings.problem import Problem, SettingsError
from stack.reading import Stack
from stack.record import Record
from stack.state import full_name

RBAC = "/apis/rbac.authorization.k8s.io/v1"
RULE_FIELDS = {"apiGroups": "api_groups", "resources": "resources", "verbs": "verbs"}
OPEN = "auto-approve-csrs-for-group"


async def with_cluster(stack: Stack) -> Stack:
    """Return the stack with the names that its roles and bindings have in the cluster.

    A preview where the API server does not answer looks at nothing, and takes the usual names.

    Raises:
        SettingsError: a pool, a node or an address is another stack's; the message lists each.
        RunError: the API server does not answer, or refuses.
    """
    record = stack.record
    names = {t: name for t in (SERVING_ROLE, *BINDINGS) if (name := record.in_cluster.get(t))}
    missing = [title for title in (SERVING_ROLE, *BINDINGS) if title not in names]
    if missing or any(_creates(stack.settings, record)):
        found = await _look(stack, missing)
        if problems := list(_taken(stack.settings, record, found.inventories)):
            raise SettingsError([stack.origins.told(problem) for problem in problems])
        for title in missing:
            names[title] = _name(title, names, found.objects)
        if OPEN in missing:
            _warn_of_open_binding(stack.settings, found.objects)
    return replace(stack, rbac_names={t: name for t, name in names.items() if name != t})


def _creates(settings: Settings, record: Record) -> Iterator[str]:
    """Yield each pool, and each node, that the stack does not have."""
    for name, pool in settings.pools.items():
        if f"{name}-inventory" not in record.in_cluster:
            yield name
        for node in pool.nodes:
            known = record.nodes.get(node.name)
            is_member = node.name in record.members and known and known.address == node.address
            if not is_member and not node.force:
                yield node.name


async def _look(stack: Stack, missing: list[str]) -> Look:
    path, secret = stack.credentials.kubeconfig_path, stack.credentials.kubeconfig
    content = None if path or secret is None else await secret.future()
    paths = [_path(title, name) for title in missing for name in _candidates(title)]
    is_preview = pulumi.runtime.is_dry_run()
    try:
        found = os.path.expanduser(path) if path else None  # noqa: ASYNC240, PTH111
        seen = await look(
            found,
            content,
            paths,
            namespace=stack.settings.approver.namespace,
            patient=not is_preview,
        )
    except ValueError as error:
        if is_preview:
            pulumi.log.info(f"what other stacks have in the cluster is not checked: {error}")
            return Look(objects={}, inventories=())
        raise pulumi.RunError(
            f"what other stacks have in the cluster can't be read, so nothing was changed: {error}"
        ) from None
    if seen.is_partial:
        pulumi.log.warn(
            "the kubeconfig's user may not list the ConfigMaps of all namespaces, so pools and"
            f" nodes of other stacks are known only as far as their inventories are in"
            f" {stack.settings.approver.namespace}"
        )
    return seen


# Pools and nodes


def _taken(
    settings: Settings, record: Record, inventories: tuple[FoundInventory, ...]
) -> Iterator[Problem]:
    """Yield each pool and each node that another stack has."""
    own = {name for title, name in record.in_cluster.items() if title.endswith("-inventory")}
    others = [
        each
        for each in inventories
        if f"{each.namespace}/{each.name}" not in own and each.stack != full_name()
    ]
    pools = {each.name.removeprefix(NAME_PREFIX): each for each in others}
    for name in settings.pools.keys() & pools.keys():
        yield Problem(f"pools.{name}", _pool_of(pools[name]))
    claims = {
        claim: (node, each)
        for each in others
        if each.content is not None and each.name.removeprefix(NAME_PREFIX) not in settings.pools
        for node in each.content.nodes
        for claim in node.claims
    }
    for name, pool in settings.pools.items():
        for index, node in enumerate(pool.nodes):
            taken = sorted(_entry(node).claims & claims.keys(), key=str)
            if taken and not node.force:
                other, owner = claims[taken[0]]
                yield Problem(
                    f"pools.{name}.nodes[{index}]",
                    f"({node.name}) has {taken[0]}, and so has the node {other.name} of"
                    f" {_whose(owner)}; a node belongs to one stack: remove it there and run"
                    " pulumi up there first, or remove it here",
                )


def _pool_of(found: FoundInventory) -> str:
    """Return what is wrong with a pool whose inventory is another stack's."""
    where = f"kubectl -n {found.namespace} delete configmap {found.name}"
    return (
        f"has the name of {_whose(found)}; give it another name. If that stack is gone, or the"
        f" pool has left it, {where} first"
    )


def _whose(found: FoundInventory) -> str:
    pool = f"the pool {found.name.removeprefix(NAME_PREFIX)}"
    if found.stack:
        return f"{pool} of the stack {found.stack}"
    return f"{pool} of another stack (the ConfigMap {found.namespace}/{found.name} names none)"


def _entry(node: NodeSettings) -> InventoryNode:
    addresses = [*node.all_addresses, *node.certificate_addresses]
    return read_node({"name": node.name, "addresses": addresses, "dnsNames": list(node.all_names)})


# Roles and bindings


def _candidates(title: str) -> tuple[str, str]:
    return title, f"{OWN_PREFIX}{title}"


def _path(title: str, name: str) -> str:
    kind = "clusterroles" if title == SERVING_ROLE else "clusterrolebindings"
    return f"{RBAC}/{kind}/{name}"


def _name(title: str, names: Mapping[str, str], objects: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what an object is to be called: as usual, unless that is something else's name.

    The role of a binding can't be changed, and what somebody has made by hand is not ours to
    change. Rights add up, so ours does what it should beside it.
    """
    usual, other = _candidates(title)
    found = objects.get(_path(title, usual))
    if found is None or _says(title, found) == _wanted(title, names):
        return usual
    kind = "ClusterRole" if title == SERVING_ROLE else "ClusterRoleBinding"
    pulumi.log.warn(
        f"the {kind} {usual} is there already and is another one"
        f" ({visible(_says(title, found))}); it stays as it is, and this program's is {other}"
    )
    found = objects.get(_path(title, other))
    if found is not None and _says(title, found) != _wanted(title, names):
        raise pulumi.RunError(
            f"the {kind} {other} is there already and is another one"
            f" ({visible(_says(title, found))}), so nothing was changed; this program needs"
            f" {_wanted(title, names)}: delete it"
        )
    return other


def _wanted(title: str, names: Mapping[str, str]) -> str:
    if title == SERVING_ROLE:
        return _rules([{field: SERVING_RULE[key] for field, key in RULE_FIELDS.items()}])
    role, group = BINDINGS[title]
    return _bound(names.get(role, role), [f"Group {group}"])


def _says(title: str, found: Mapping[str, Any]) -> str:
    """Return what an object says, as `_wanted` does."""
    if title == SERVING_ROLE:
        return _rules(found.get("rules") or [])
    subjects = [f"{each.get('kind')} {each.get('name')}" for each in found.get("subjects") or []]
    return _bound(found["roleRef"].get("name"), subjects)


def _rules(rules: list[Mapping[str, Any]]) -> str:
    said = [
        " ".join(f"{field}={','.join(sorted(rule[field]))}" for field in sorted(rule))
        for rule in ({key: value for key, value in rule.items() if value} for rule in rules)
    ]
    return "; ".join(sorted(said)) or "no rules"


def _bound(role: str, subjects: list[str]) -> str:
    return f"{role} for {', '.join(sorted(subjects)) or 'nobody'}"


def _warn_of_open_binding(settings: Settings, objects: Mapping[str, Mapping[str, Any]]) -> None:
    """Warn of the manual procedure's binding, which takes the tokens of this program in as well."""
    found = objects.get(_path(OPEN, OPEN))
    if found is None or not any(each.get("name") == GROUP for each in found.get("subjects") or ()):
        return
    safe = [n for n, p in settings.pools.items() if settings.client_approval_of(p) == "gate"]
    if safe:
        pulumi.log.warn(
            f"the ClusterRoleBinding {OPEN} is for {GROUP}, so kube-controller-manager approves"
            " what the holder of any bootstrap token asks for: a token can become any node,"
            f' although approval.client of {", ".join(safe)} is "gate"; delete that binding once'
            " nobody joins machines by hand any more"
        )
