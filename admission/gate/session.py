"""A gate's orders, and the connection to the cluster that they name."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from admission.api_server.connection import Connection
from admission.gate.orders import Orders, read_orders
from admission.inventory import InventoryNode
from admission.serving_certificate import ServingCertificate, look_at
from admission.stack_settings import StackSettings, is_same_server

Look = Callable[[InventoryNode], Awaitable[ServingCertificate]]


@asynccontextmanager
async def session(text: str) -> AsyncIterator[tuple[Orders, Connection, Look]]:
    """Yield the orders that a JSON document holds, a connection, and how to look at a kubelet.

    Raises:
        ValueError: it holds no orders, or the stack has no usable kubeconfig; the message quotes
            none of it.
    """
    orders, renew = read_orders(text), None
    if orders.stack:
        found = await StackSettings(orders.stack).kubeconfig()
        orders = replace(orders, kubeconfig_path=found.path, kubeconfig=found.content)
        renew = found.renew
    api = await Connection.open(orders.kubeconfig_path, orders.kubeconfig, renew)
    try:
        if orders.server and not is_same_server(orders.server, api.server):
            raise ValueError(
                f"the kubeconfig of the stack {orders.stack} leads to {api.server}, but this run's"
                f" to {orders.server}: a gate reads the stack's own settings, so don't give pulumi"
                " other ones with --config-file"
            )
        orders = replace(orders, denied=orders.denied.and_host(api.host))
        yield orders, api, partial(look_at, trust=api.kubelets_trust(orders.ca))
    finally:
        await api.close()
