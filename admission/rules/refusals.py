"""Kinds of refusals, for counting: what a reason is about, not which node."""

import re

# The first that matches a reason; the parser's own words match none of them.
KINDS = {
    "dispute": r" is claimed by ",
    "requester": r"^its requester ",
    "signer": r"^its signer ",
    "decided": r"^it has been decided",
    "usages": r"^its usages ",
    "expiration": r"^it asks for .*, more than \d+ days$",
    "age": r"^it is older |^it was made in the future",
    "flood": r"^more than \d+ requests of ",
    "right": r" may not create ",
    "node": r"^the Node ",
    "address": r"^the address ",
    "subject": r"^its common name |^its organization ",
    "name": r"^the name | DNS name$| of the cluster's own names$| is the API server's name$",
}
CONTENT = "content"


def kind_of(reason: str) -> str:
    """Return what a reason for not approving a request is about."""
    return next((kind for kind, found in KINDS.items() if re.search(found, reason)), CONTENT)
