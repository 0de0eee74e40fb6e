"""What a preview changes outside the nodes: tokens, RBAC, the control plane, and the rest."""

from collections.abc import Iterator

from node_files.scripts import MARKER
from preview.digest import POOL_TYPE, REPLACING, Digest, Step
from preview.hunks import hunks, joined
from preview.markdown import Block, cell, names, natural

QUIET = frozenset({"same", "read", "refresh", "discard"})
TOKEN, SEED = "-token", "-token-seed"
SECRET_TYPE = "kubernetes:core/v1:Secret"  # noqa: S105 - a type's name
COMPONENTS = "kubelet-tls-bootstrap:index:"
OPS = {
    "create": "new",
    "update": "changed",
    "delete": "deleted",
    **dict.fromkeys(REPLACING, "replaced"),
}


def blocks(digest: Digest) -> Iterator[Block]:
    """Yield paragraphs about each change that is not a node's."""
    rows: dict[str, None] = dict.fromkeys(_rows_of_tokens(digest))
    flags: dict[tuple[str, ...], list[str]] = {}
    for step in digest.steps:
        if step.op in QUIET or step.part_of_node or _is_token(step):
            continue
        if step.type.startswith((COMPONENTS, "pulumi:pulumi:Stack")):
            continue
        if _is_flags(step) and step.op == "update":
            flags.setdefault(_flags(step), []).append(_host(step))
            continue
        what, note = _described(step, digest)
        rows[f"| {OPS.get(step.op, step.op)} | {cell(what)} | {cell(note)} |"] = None
    if rows:
        yield Block(text="\n".join(["| | what | |", "|---|---|---|", *rows]))
    for lines, hosts in flags.items():
        yield Block(text=f"**Flags of the control plane** on {names(hosts)}", lines=lines)


def warnings(digest: Digest) -> Iterator[str]:
    """Yield a warning for each change that needs care."""
    hosts = [f"`{host}`" for host in changed_hosts(digest)]
    managed = any("\nmanage true\n" in str(s.new.get("stdin", "")) for s in digest.steps)
    if hosts and managed:
        yield (
            f"On the control plane ({', '.join(hosts)}) kube-apiserver and kube-controller-manager"
            " restart where flags are missing, one machine at a time."
        )
    yield from (
        f"The pool `{s.name}` is deleted with all of its nodes."
        for s in digest.steps
        if s.type == POOL_TYPE and s.op == "delete"
    )


def changed_hosts(digest: Digest) -> Iterator[str]:
    """Yield the hosts of the control plane whose flags are checked, and added if missing."""
    yield from (_host(s) for s in digest.steps if _is_flags(s) and s.op in ("create", "update"))


def _is_flags(step: Step) -> bool:
    return step.is_command_on_host and step.name.endswith("-flags")


def _host(step: Step) -> str:
    return step.name.removesuffix("-flags")


def _is_token(step: Step) -> bool:
    """Return whether a resource is a token, or the seed that it is made from."""
    is_secret = step.type == SECRET_TYPE and step.name.endswith(TOKEN)
    return is_secret or step.name.endswith(SEED)


def _rows_of_tokens(digest: Digest) -> Iterator[str]:
    """Yield a row for what becomes of the tokens of all nodes, and of pools."""
    holders: dict[tuple[str, str], list[str]] = {}
    for step in digest.steps:
        if step.op in QUIET or not _is_token(step) or step.name.endswith(SEED):
            continue
        holder = step.name.removesuffix(TOKEN)
        of_node = holder in digest.pools and holder not in digest.pools.values()
        op = OPS.get(step.op, step.op)
        holders.setdefault((op, "node" if of_node else "pool"), []).append(holder)
    for (op, kind), found in holders.items():
        note = "of an earlier run" if op == "deleted" else "for the nodes that join"
        whose = f"{kind}{'s' if len(found) > 1 else ''} {names(sorted(found, key=natural))}"
        yield f"| {op} | {cell(f'the bootstrap token of the {whose}')} | {note} |"


def _described(step: Step, digest: Digest) -> tuple[str, str]:
    """Return a resource in words, and a note about it."""
    if "index:BootstrapToken::" in step.parent and step.type.startswith("random:"):
        return "the random halves of earlier tokens", "the state needs them no more"
    if step.name.endswith("-gate"):
        note = "" if step.op == "delete" else "runs: approves CSRs, proves each join"
        return f"the gate of the pool `{step.name.removesuffix('-gate')}`", note
    if _is_flags(step):
        note = "what was added is removed" if step.op == "delete" else "checked, added if missing"
        return f"the flags of the control plane on `{_host(step)}`", note
    kind = step.type.rpartition(":")[2]
    if step.type.startswith("pulumi:providers:"):
        kind = f"the provider {kind}"
    note = ", ".join(f"`{path}`" for path in step.changed) if step.op != "create" else ""
    return f"{kind} `{step.name}`", note


def _flags(step: Step) -> tuple[str, ...]:
    """Return the changed lines in the input of the control plane's script."""
    old, new = (str(inputs.get("stdin", "")).partition(f"\n{MARKER}\n")[2].split("\n")
                for inputs in (step.old, step.new))  # fmt: skip
    return joined(hunks(old, new))
