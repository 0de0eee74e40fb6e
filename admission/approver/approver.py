"""The resident approver: the gate's rules for the nodes of all pools, for as long as it runs.

Kubelets renew their serving certificates by themselves, long after `pulumi up` has ended. Watches
report requests, Nodes and the pools' inventories. Of several replicas the one that holds the Lease
approves; the others know as much, and can take over at once.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from admission import pool_inventory, rules
from admission.api_server.api import NODES, SERVING_CSRS, Api, Watched
from admission.approver.journal import Journal
from admission.approver.lease import Lease
from admission.approver.metrics import Metrics
from admission.approver.recorder import Place, Recorder
from admission.delegate import Facts
from admission.judge import Judge
from admission.objects.csr import is_undecided, kept_until_decided, requesting_node
from admission.objects.judged_node import judged_node, kept_metadata, kept_node
from admission.objects.node import internal_addresses
from admission.objects.whole_requests import new_bound
from admission.pool_inventory import Inventory

LEASE = "kubelet-serving-approver"
MOST_ADDRESSES, LONGEST_ADDRESS = 16, 64


class Approver:
    """One replica."""

    def __init__(
        self,
        api: Api,
        *,
        namespace: str,
        identity: str,
        host: str,
        journal: Journal,
        clock: Callable[[], float],
        pools: Collection[str] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Make it; `pools` are those whose inventories count, None: all."""
        self._api, self._host, self._journal = api, host, journal
        self._clock, self._pools = clock, pools
        self._watched = {
            Watched(SERVING_CSRS, kept_until_decided, new_bound): self._see_request,
            Watched(NODES, _kept_node): self._see_node,
            Watched(pool_inventory.path(namespace), pool_inventory.kept_map): self._see_inventory,
        }
        self._synced: set[Watched] = set()
        self._maps: dict[str, dict[str, Any]] = {}
        self._nodes: dict[str, dict[str, Any]] = {}
        self._inventory: Inventory | None = None  # made when asked for
        self._told_problems: set[str] = set()  # of the inventories, as last reported
        self._moved: dict[str, str] = {}  # node -> an address of it that is not the inventory's
        self._seen_at: dict[str, float] = {}  # UID -> when a request was first seen
        self._judge = Judge(api, self, now=now)
        self.metrics = Metrics()
        self._recorder = Recorder(api, journal, self.metrics, now=now)
        self.lease = Lease(
            api, namespace=namespace, name=LEASE, identity=identity,
            changed=self._lease_changed, unheld=self._lease_unheld, clock=clock,
        )  # fmt: skip

    async def run(self) -> None:
        """Watch, contend for the Lease, and approve while it is ours; forever.

        Raises:
            ApiError: the rights are insufficient.
            UNTRUSTED: the CA that is trusted did not sign the API server's certificate.
        """
        tasks = [asyncio.create_task(self._watch(watched)) for watched in self._watched]
        tasks.append(asyncio.create_task(self.lease.contend()))
        try:
            done, _ = await asyncio.wait(
                {*tasks, self._judge.broken}, return_when=asyncio.FIRST_COMPLETED
            )
            for ended in done:
                ended.result()  # each ends only with an error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(
                *tasks, self._judge.close(), self._recorder.close(), return_exceptions=True
            )
            await self.lease.release()

    async def _watch(self, watched: Watched) -> None:
        def see(kind: str, item: dict[str, Any]) -> None:
            if kind == "SYNC":
                if watched not in self._synced:
                    self._synced.add(watched)
                    # After the list, which follows right after this.
                    asyncio.get_running_loop().call_soon(self._judge.reconsider)
                resource = watched.path.partition("?")[0].rpartition("/")[2]
                self.metrics.count("watch_starts_total", resource=resource)
            self._watched[watched](kind, item)

        await self._api.watch(watched, see, lambda line: self._journal.tell("warning", line))

    @property
    def ready(self) -> bool:
        """Whether everything that a request is judged by has been listed."""
        return self._synced == self._watched.keys()

    @property
    def inventory(self) -> Inventory:
        """What the pools' inventories say together."""
        if self._inventory is None:
            maps = self._maps.values()
            self._inventory = pool_inventory.from_config_maps(maps, self._pools)
        return self._inventory

    def exposition(self) -> str:
        """Return the metrics as Prometheus reads them."""
        inventory = self.inventory
        return self.metrics.text(
            {
                "leader": self.lease.held,
                "pending_requests": sum(1 for _ in self._judge.pending()),
                "inventory_nodes": len(inventory.nodes),
                "inventory_disputes": len(inventory.disputes),
                "inventory_problems": len(inventory.problems),
                "node_address_mismatches": len(self._moved),
            }
        )

    # What the watches report

    def _see_request(self, kind: str, item: dict[str, Any]) -> None:
        if kind == "SYNC":
            self._judge.forget()
            listed = {request["metadata"]["uid"] for request in item.get("items") or []}
            for gone in self._seen_at.keys() - listed:
                self._forget(gone)
        elif kind == "DELETED" or not is_undecided(item):
            self._judge.remove(item)
            self._forget(item["metadata"]["uid"])
        else:
            uid = item["metadata"]["uid"]
            self._seen_at.setdefault(uid, self._clock())
            if (dropped := self._judge.add(item)) is not None:
                self._forget(dropped)

    def _forget(self, uid: str) -> None:
        self._seen_at.pop(uid, None)
        self._recorder.forget(uid)

    def _see_node(self, kind: str, item: dict[str, Any]) -> None:
        if kind == "SYNC":
            present = {node["metadata"]["name"] for node in item.get("items") or []}
            for gone in self._nodes.keys() - present:
                del self._nodes[gone]
                self._moved.pop(gone, None)
            return
        name = item["metadata"]["name"]
        before = self._nodes.pop(name, None)
        if kind != "DELETED":
            self._nodes[name] = item
        if kind == "DELETED" or before is None or judged_node(before) != judged_node(item):
            self._judge.reconsider(name)
        self._compare_addresses(name)

    def _see_inventory(self, kind: str, item: dict[str, Any]) -> None:
        if kind == "SYNC":
            self._maps = {found["metadata"]["name"]: found for found in item.get("items") or []}
        elif kind == "DELETED":
            self._maps.pop(item["metadata"]["name"], None)
        else:
            self._maps[item["metadata"]["name"]] = item
        self._inventory = None
        disputes = (f"{node}: {why}" for node, why in sorted(self.inventory.disputes.items()))
        problems = {*self.inventory.problems, *disputes}
        for problem in sorted(problems - self._told_problems):
            self._journal.tell("error", "inventory refused", reason=problem)
        self._told_problems = problems
        for name in self._nodes:
            self._compare_addresses(name)
        self._judge.reconsider()

    def _compare_addresses(self, name: str) -> None:
        """Report a Node with an address that the inventory does not have."""
        entry, node = self.inventory.nodes.get(name), self._nodes.get(name)
        shown = internal_addresses(node)
        ours = set(map(str, entry.claims)) if entry else set(shown)
        strange = ", ".join(sorted({*shown} - ours))
        if strange and self._moved.get(name) != strange:
            self._recorder.moved(name, strange, self._place(name))
        if strange:
            self._moved[name] = strange
        else:
            self._moved.pop(name, None)

    # The judge's delegate

    def facts(self, node: str) -> Facts:
        """Return what a request of the node is judged by."""
        inventory, found = self.inventory, self._nodes.get(node)
        return Facts(
            inventory=inventory.nodes,
            denied=inventory.denied.and_host(self._host),
            node=None if found is None else judged_node(found),
            problem=inventory.disputes.get(node, ""),
        )

    def may_judge(self) -> bool:
        """Return whether this replica may approve now."""
        return self.lease.held and self.ready

    def _lease_changed(self, held: bool) -> None:
        message = "this replica approves" if held else "this replica no longer approves"
        self._journal.tell("info", message, identity=self.lease.identity, reason=self.lease.problem)
        self._judge.reconsider()

    def _lease_unheld(self, problem: str) -> None:
        self._journal.tell("error", "this replica can't take the Lease", reason=problem)

    def _place(self, node: str) -> Place:
        return Place(
            node=node,
            pool=self.inventory.pools.get(node, ""),
            in_cluster=node in self._nodes and self.may_judge(),
        )

    def approved(self, item: dict[str, Any], decision: rules.Approve) -> None:
        """Report an approval."""
        uid = item["metadata"]["uid"]
        seconds = self._clock() - self._seen_at.get(uid, self._clock())
        self._recorder.approved(item, decision, seconds, self._place(requesting_node(item)))
        self._forget(uid)

    def undecided(self, item: dict[str, Any], decision: rules.Wait | rules.Refuse) -> None:
        """Report why a request is not approved."""
        self._recorder.undecided(item, decision, self._place(requesting_node(item)))

    def failed(self, item: dict[str, Any], error: str) -> None:
        """Report that the API server did not answer."""
        self._recorder.failed(item, error, self._place(requesting_node(item)))


def _kept_node(node: dict[str, Any]) -> dict[str, Any]:
    """Return what is judged and compared of a Node: little, since there may be thousands."""
    kept, shown = kept_node(node), internal_addresses(node)
    addresses = [{"type": "InternalIP", "address": each[:LONGEST_ADDRESS]} for each in shown]
    return {"metadata": kept_metadata(kept), "status": {"addresses": addresses[:MOST_ADDRESSES]}}
