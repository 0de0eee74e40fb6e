"""The arguments of the components, made from a stack's settings and credentials."""

from dataclasses import replace
from functools import partial

from components.access import Access, SshServer
from components.approver_arguments import ServingApproverArgs
from components.bootstrap_rbac import BootstrapRbac, BootstrapRbacArgs
from components.control_plane import ControlPlaneArgs
from components.dependencies import Dependencies
from components.pool_arguments import Approval, NodePoolArgs, PoolNode, TokenPolicy
from components.pool_inventory import Denied
from components.rollout import RolloutPolicy
from components.user_data import UserDataArgs
from credentials import Credentials
from settings import claims
from settings.layer import Ssh, merge_models
from settings.model import Host, Machine, NodeSettings, Pool, Settings
from stack import membership
from stack.given import Maker
from stack.nodes import to_cluster, to_node
from stack.reading import Stack
from stack.sender import Sender
from stack.state import full_name, is_of_earlier_release


def control_plane(stack: Stack) -> ControlPlaneArgs:
    """Return what the control plane's machines need."""
    settings = stack.settings.control_plane
    ssh = merge_models(stack.settings.ssh, settings.ssh)
    return ControlPlaneArgs(
        hosts={
            host.name: access(merge_models(ssh, host.ssh), stack.credentials, host)
            for host in settings.hosts
        },
        manage=settings.manage,
        signing_certificate=settings.signing_certificate,
        signing_key=settings.signing_key,
        kube_api_qps=settings.kube_api_qps,
    )


def bootstrap_rbac(stack: Stack) -> BootstrapRbacArgs:
    """Return whose roles and bindings they are, and how the cluster is reached in the end."""
    return BootstrapRbacArgs(
        stack=full_name(),
        api_server=stack.credentials.api_server,
        names=stack.rbac_names,
        approver=stack.settings.approver.enabled,
    )


def node_pool(stack: Stack, pool: Pool, rbac: BootstrapRbac, sender: Sender) -> NodePoolArgs:
    """Return what a pool needs."""
    settings, credentials = stack.settings, stack.credentials
    ssh = merge_models(settings.ssh, pool.ssh)
    nodes = tuple(_pool_node(stack, pool, node, ssh, sender) for node in pool.nodes)
    rollout, token = settings.rollout_of(pool), settings.token_of(pool)
    return NodePoolArgs(
        cluster=to_cluster(settings.cluster, credentials.server, credentials.ca_certificate),
        nodes=nodes,
        stack=full_name(),
        api_server=credentials.api_server,
        rbac=rbac,
        token=TokenPolicy(
            scope=token.scope, ttl_minutes=token.ttl_minutes, after_join=token.after_join
        ),
        former_tokens=stack.record.tokens,
        approval=Approval(
            client=settings.client_approval_of(pool), serving=settings.approval.serving
        ),
        denied=denied(settings, credentials),
        inventory_namespace=settings.approver.namespace,
        skip_cluster_checks=settings.skip_cluster_checks,
        rollout=RolloutPolicy(
            canary=rollout.canary,
            max_unavailable=rollout.max_unavailable,
            pause_seconds=rollout.pause_seconds,
        ),
        stall_seconds=settings.stall_seconds,
        user_data=_user_data(settings, pool),
    )


def serving_approver(stack: Stack, after: Dependencies) -> ServingApproverArgs | None:
    """Return what the resident approver needs, or None if it is off."""
    settings = stack.settings.approver
    if not settings.enabled or settings.image is None:
        return None
    return ServingApproverArgs(
        image=settings.image,
        replicas=settings.replicas,
        namespace=settings.namespace,
        pools=_pools_read(stack.settings),
        allow_workers=settings.allow_workers,
        admission_policy=settings.admission_policy,
        host_network=settings.host_network,
        server=settings.server,
        stack=full_name(),
        api_server=stack.credentials.api_server,
        after=after,
    )


def access(ssh: Ssh, credentials: Credentials, host: Host) -> Access:
    """Return how to reach a host by its merged SSH settings, with its key pinned."""
    bastion = None
    if ssh.bastion is not None:
        bastion = SshServer(
            address=ssh.bastion.address,
            host_key=credentials.bastion_keys[ssh.bastion.destination],
            port=ssh.bastion.port,
            user=ssh.bastion.user,
            private_key=credentials.key(ssh.bastion.private_key_path or ssh.private_key_path),
        )
    server = SshServer(
        address=host.reached_at,
        host_key=credentials.host_keys[host.name],
        port=ssh.port,
        user=ssh.user,
        private_key=credentials.key(ssh.private_key_path),
    )
    return Access(server=server, bastion=bastion, sudo=ssh.sudo)


def _pools_read(settings: Settings) -> tuple[str, ...]:
    """Return the pools whose inventories the approver reads; none: all."""
    others = settings.approver.other_pools
    if others is None:
        return ()
    return tuple(sorted({*settings.pools, *others}))


def _pool_node(
    stack: Stack, pool: Pool, node: NodeSettings, pool_ssh: Ssh, sender: Sender
) -> PoolNode:
    ssh = merge_models(pool_ssh, node.ssh)
    join = membership.join(node.name, node.generation, node.address, stack.record)
    known = stack.record.nodes.get(node.name)
    joined = membership.has_joined(node.name, join, stack.record)
    files = membership.files(node, stack.settings, stack.record)
    member = stack.record.members.get(node.name)
    installed = stack.record.files.get(node.name)
    joins = not membership.is_member(node.name, join, stack.record)
    maker = stack.makers.get(node.name, Maker())
    owner = (installed and installed.stack) or full_name()
    merged = replace(to_node(stack.settings, pool, node), stack=owner)
    registered = merged.taints if joins else (known and known.taints)
    return PoolNode(
        node=merged,
        access=access(ssh, stack.credentials, node),
        dns_names=node.all_names,
        certificate_addresses=tuple(
            address
            for address in dict.fromkeys(node.certificate_addresses)
            if address not in node.all_addresses
        ),
        join=join,
        recorded=known.joined if known is not None and joined else None,
        joins=joins,
        installed=None if installed is None else installed.known,
        printed=None if installed is None else installed.printed,
        registered_taints=registered or (),
        former_files=tuple(urn for urn in files if _is_elsewhere(urn, f"{node.name}-files")),
        former_member=member if member and _is_elsewhere(member, f"{node.name}-member") else None,
        gone=node.force,
        existing=frozenset(part for part, has in {"files": files, "member": member}.items() if has),
        bring=partial(sender.send, Machine(node.name, node, ssh)),
        made_by=maker.resources,
        is_made=maker.is_done,
    )


def denied(settings: Settings, credentials: Credentials) -> Denied:
    """Return what no serving certificate of the stack's nodes may hold."""
    names, addresses = claims.server_hosts(settings, credentials.api_server, credentials.server)
    return Denied(
        addresses=tuple(addresses.union(claims.control_plane_addresses(settings))),
        cidrs=settings.cluster.service_cidr,
        names=tuple(names),
    )


def _is_elsewhere(urn: str, name: str) -> bool:
    """Return whether this run has another URN for what is to have a name."""
    return urn.rpartition("::")[2] != name or is_of_earlier_release(urn)


def _user_data(settings: Settings, pool: Pool) -> UserDataArgs | None:
    if pool.cloud_init is None:
        return None
    # The machine's own name and address replace these at its first boot.
    some = NodeSettings(name="some", address="127.0.0.1")
    return UserDataArgs(node=to_node(settings, pool, some), with_token=pool.cloud_init.with_token)
