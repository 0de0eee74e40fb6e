"""Kinds of refusals, for counting: what a reason is about, not whom."""

import re

# The first that is found in a reason; the last resort are the parser's own words.
KINDS = {
    "dispute": r" is claimed by ",
    "requester": r"^its requester ",
    "signer": r"^its signer ",
    "decided": r"^it has been decided",
    "usages": r"^its usages ",
    "expiration": r"^it asks for .*, more than \d+ days$",
    "age": r"^it is older |^it comes from the future",
    "flood": r"^more than \d+ requests of ",
    "right": r" may not create ",
    "node": r"^the Node ",
    "address": r"^the address ",
    "subject": r"^its common name |^its organization ",
    "name": r"^the name | DNS name$| name of the cluster's own$| is the API server's name$",
}
CONTENT = "content"


def kind_of(reason: str) -> str:
    """Return what a reason for not approving a request is about."""
    return next((kind for kind, found in KINDS.items() if re.search(found, reason)), CONTENT)
