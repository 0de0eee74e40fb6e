"""Requests whose content is right, from somebody else or for something else."""

from tests.hostile.vector import (
    ADDRESSES,
    AUTHENTICATED,
    CLIENT_USAGES,
    HONEST_LOOKING,
    NODES,
    SERVING_USAGES,
    THIEF_OF_TOKEN,
    Requester,
    Vector,
    client,
    client_vector,
    dns,
    holder_of,
    ip,
    node,
    serving,
)

BOOTSTRAPPERS = "system:bootstrappers"
YEAR_S = 365 * 24 * 3600
VICTIMS = serving(dns("node-2"), ip(ADDRESSES["node-2"]), name="node-2")
NO_NODE = "is not a node of the inventory"
NO_TOKEN = "holds no token of these nodes"


def asks(title: str, by: Requester, reason: str = NO_NODE, unstored: str = "") -> Vector:
    """Somebody asks for node-2's serving certificate."""
    return Vector(title=title, by=by, pem=VICTIMS, reason=reason, unstored=unstored)


REQUESTERS = (
    asks("the holder of a token asks to serve", THIEF_OF_TOKEN),
    asks("an administrator asks to serve", Requester("kubernetes-admin", (AUTHENTICATED,))),
    asks("a bare name", Requester("node-2", (NODES, AUTHENTICATED))),
    asks(
        "no name behind the prefix",
        Requester("system:node:", (NODES, AUTHENTICATED)),
        unstored="could not determine node",
    ),
    asks("a node in capitals", Requester("system:node:NODE-2", (AUTHENTICATED,))),
    asks("a longer prefix", Requester("system:node:system:node:node-2", (AUTHENTICATED,))),
    asks("a node with a space", Requester("system:node:node-2 ", (AUTHENTICATED,))),
    asks("a node that nobody knows", Requester("system:node:node-9", (AUTHENTICATED,))),
    asks("a part of a node's name", Requester("system:node:node", (AUTHENTICATED,))),
    asks(
        "a pod's service account",
        Requester(
            "system:serviceaccount:kube-system:default",
            ("system:serviceaccounts", "system:serviceaccounts:kube-system", AUTHENTICATED),
        ),
    ),
    asks(
        "a node's name outside the nodes' group",
        Requester("system:node:node-2", (AUTHENTICATED,)),
        "not in the group system:nodes",
    ),
    asks(
        "a node's name in the token's group",
        Requester("system:node:node-2", (BOOTSTRAPPERS, AUTHENTICATED)),
        "not in the group system:nodes",
    ),
    asks("a joined node asks in another's name", node("node-1"), "its common name", "can only"),
    Vector(
        title="another signer",
        pem=HONEST_LOOKING,
        signer="example.org/kubelet-serving",
        reason="its signer is",
    ),
    Vector(
        title="the signer of old",
        pem=HONEST_LOOKING,
        signer="kubernetes.io/legacy-unknown",
        reason="its signer is",
        unstored="legacy signerName",
    ),
    Vector(
        title="the signer of any client",
        pem=client("node-3"),
        by=THIEF_OF_TOKEN,
        usages=CLIENT_USAGES,
        signer="kubernetes.io/kube-apiserver-client",
        reason=NO_NODE,
    ),
    Vector(
        title="ten years",
        pem=HONEST_LOOKING,
        expiration_s=10 * YEAR_S,
        reason="more than 366 days",
    ),
    Vector(
        title="a year and two days",
        pem=HONEST_LOOKING,
        expiration_s=367 * 24 * 3600,
        reason="more than 366 days",
    ),
    *(
        Vector(
            title=title,
            pem=HONEST_LOOKING,
            usages=usages,
            reason="its usages are",
            unstored=unstored,
        )
        for title, usages, unstored in (
            ("no use at all", (), "usages"),
            ("a server without a signature's use", ("server auth",), ""),
            ("a client instead of a server", CLIENT_USAGES, ""),
            ("a signer of certificates", (*SERVING_USAGES, "cert sign"), ""),
            ("a signer of code", (*SERVING_USAGES, "code signing"), ""),
            ("any use", (*SERVING_USAGES, "any"), ""),
            ("a use twice", (*SERVING_USAGES, "server auth"), "Duplicate"),
            ("a use that nobody knows", (*SERVING_USAGES, "everything"), "Unsupported"),
        )
    ),
    client_vector(
        "a token's holder outside the token's group",
        client("node-3"),
        "not in the group",
        by=Requester("system:bootstrap:{id-of-node-3}", (BOOTSTRAPPERS, AUTHENTICATED)),
    ),
    client_vector(
        "a token's holder in another token's group",
        client("node-3"),
        "not in the group",
        by=Requester(
            "system:bootstrap:{id-of-node-3}",
            (BOOTSTRAPPERS, "{group-of-node-1}", AUTHENTICATED),
        ),
    ),
    client_vector(
        "a token's holder outside the bootstrappers",
        client("node-3"),
        "not in the group system:bootstrappers",
        by=Requester("system:bootstrap:{id-of-node-3}", ("{group-of-node-3}", AUTHENTICATED)),
    ),
    client_vector(
        "a token that is not ours",
        client("node-3"),
        NO_TOKEN,
        by=Requester("system:bootstrap:zzzzzz", (BOOTSTRAPPERS, AUTHENTICATED)),
    ),
    client_vector(
        "a longer token",
        client("node-3"),
        NO_TOKEN,
        by=Requester("system:bootstrap:{id-of-node-3}0", (BOOTSTRAPPERS, AUTHENTICATED)),
    ),
    client_vector(
        "a bare token",
        client("node-3"),
        NO_TOKEN,
        by=Requester("{id-of-node-3}", (BOOTSTRAPPERS, AUTHENTICATED)),
    ),
    client_vector(
        "the token of a node that has joined",
        client("node-1"),
        "has already admitted a machine",
        by=holder_of("node-1"),
    ),
    client_vector(
        "a token's holder and an RSA key's use twice",
        client("node-3"),
        "its usages are",
        usages=(*CLIENT_USAGES, "key encipherment", "key agreement"),
    ),
)
