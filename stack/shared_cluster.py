"""What a cluster has already that is not this stack's, looked at before anything is touched.

Other stacks have their pools in it, one may run the resident approver, and somebody may have made
bindings by hand. A run looks only if it would add something: a pool, a node, what a node has, the
approver, the roles and bindings.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pulumi

from admission.cluster_look import Look, look
from admission.terminal import visible
from components.approver_arguments import NAME
from components.bootstrap_rbac import BINDINGS, OWN_PREFIX, SERVING_ROLE, SERVING_RULE
from components.bootstrap_token import GROUP
from components.pool_inventory import OWNER
from settings.model import Settings
from settings.problem import Problem, SettingsError
from stack import other_pools
from stack.reading import Stack
from stack.state import full_name

RBAC = "/apis/rbac.authorization.k8s.io/v1"
RULE_FIELDS = {"apiGroups": "api_groups", "resources": "resources", "verbs": "verbs"}
OPEN = "auto-approve-csrs-for-group"
# In the stack, and in the cluster.
APPROVER = "serving-approver-binding"
APPROVER_PATH = f"{RBAC}/clusterrolebindings/{NAME}"


async def with_cluster(stack: Stack) -> Stack:
    """Return the stack with the names that its roles and bindings have in the cluster.

    A preview where the API server does not answer looks at nothing, and takes the usual names.

    Raises:
        SettingsError: a pool, a node or an address is another stack's, or one of them denies what
            a node of the other has, or another one runs the approver; the message lists each.
        RunError: the API server does not answer, or refuses.
    """
    record = stack.record
    names = {t: name for t in (SERVING_ROLE, *BINDINGS) if (name := record.in_cluster.get(t))}
    missing = [title for title in (SERVING_ROLE, *BINDINGS) if title not in names]
    starts_approver = stack.settings.approver.enabled and APPROVER not in record.in_cluster
    if missing or starts_approver or other_pools.adds(stack):
        found = await _look(stack, missing, [APPROVER_PATH] if starts_approver else [])
        problems = list(other_pools.problems(stack, found.inventories))
        if starts_approver:
            problems += _other_approver(found.objects.get(APPROVER_PATH))
        if problems:
            raise SettingsError([stack.origins.told(problem) for problem in problems])
        for title in missing:
            names[title] = _name(title, names, found.objects)
        if OPEN in missing:
            _warn_of_open_binding(stack.settings, found.objects)
    return replace(stack, rbac_names={t: name for t, name in names.items() if name != t})


async def _look(stack: Stack, missing: list[str], others: list[str]) -> Look:
    path, secret = stack.credentials.kubeconfig_path, stack.credentials.kubeconfig
    content = None if path or secret is None else await secret.future()
    paths = [_path(title, name) for title in missing for name in _candidates(title)] + others
    is_preview = pulumi.runtime.is_dry_run()
    try:
        found = os.path.expanduser(path) if path else None  # noqa: ASYNC240, PTH111
        return await look(
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


# The approver


def _other_approver(binding: Mapping[str, Any] | None) -> Iterator[Problem]:
    """Yield that somebody else runs the approver, as its ClusterRoleBinding tells.

    Its objects have one name in all stacks. A provider that applies them shares those that are
    there, and the first stack that ends takes them from the other.
    """
    if binding is None:
        return
    owner = (binding["metadata"].get("annotations") or {}).get(OWNER)
    if owner == full_name():  # as an interrupted run has left it
        return
    places = {each.get("namespace") for each in binding.get("subjects") or ()} - {None}
    where = f"kubectl -n {' '.join(sorted(places))} delete deployment {NAME}; " if places else ""
    yield Problem(
        "approver.enabled",
        f"is true, but {f'the stack {owner}' if owner else 'another stack, or somebody by hand,'}"
        f" runs an approver in this cluster, which has one: leave it out here, or end that one"
        f" first. If nobody has it any more: {where}kubectl delete clusterrolebinding {NAME}",
    )


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
