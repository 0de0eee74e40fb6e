"""CertificateSigningRequests: who made one, what the rules look at, what has become of it."""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal

from admission import rules
from admission.rules.certificate_request import LARGEST_REQUEST_BYTES

# What a kubelet gives: csr-x2b4k, made by the API server, or node-csr- and a hash in base64url. An
# API server takes any name without slash and percent sign, so one may hold a query or a command.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
LONGEST_METADATA = 16 * 1024
# In place of each request that the rules refuse for its length, and refused for the same reason.
TOO_LONG = base64.b64encode(bytes(LARGEST_REQUEST_BYTES + 1)).decode()

# Of a request without its bytes, which nobody approves.
SLIM_METADATA = ("name", "uid", "creationTimestamp")
SLIM_SPEC = ("signerName", "username", "groups", "usages", "expirationSeconds")

State = Literal["pending", "approved", "issued", "denied", "failed"]


@dataclass(frozen=True, kw_only=True)
class RequestStatus:
    """What has become of a request, as far as reports mention it."""

    name: str
    created: datetime
    state: State
    approved: bool  # once, whatever has happened since
    message: str = ""


def kept_request(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a request: enough to judge it, and to approve it as it is.

    Raises:
        LookupError, TypeError, AttributeError, ValueError: it lacks what we read, is too long, or
            has a name that no kubelet gives.
    """
    metadata, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    _check_name(metadata)
    if len(str(metadata)) > LONGEST_METADATA:
        raise ValueError(f"its metadata have more than {LONGEST_METADATA} characters")
    if len(spec["request"]) > len(TOO_LONG):
        spec = {**spec, "request": TOO_LONG}
    kept = {
        "metadata": metadata,
        "spec": spec,
        "status": {key: status[key] for key in ("conditions", "certificate") if status.get(key)},
    }
    request_status(kept)
    judged_request(kept)
    return kept


def without_request(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is left of a request if nothing is to be known of what it holds."""
    metadata, spec, status = kept["metadata"], kept["spec"], kept["status"]
    return {
        "metadata": {key: metadata[key] for key in SLIM_METADATA},
        "spec": {key: spec[key] for key in SLIM_SPEC if key in spec},
        "status": {**status, **({"certificate": True} if "certificate" in status else {})},
    }


def kept_until_decided(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a request of which nothing matters any more once it is decided."""
    kept = kept_request(item)
    return kept if is_undecided(kept) else without_request(kept)


def kept_status(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a request of which only the fate matters.

    Raises:
        LookupError, TypeError, AttributeError, ValueError: it lacks what we read, or has a name
            that no kubelet gives.
    """
    metadata, status = item["metadata"], item.get("status") or {}
    _check_name(metadata)
    kept = {
        "metadata": {key: metadata[key] for key in ("name", "creationTimestamp")},
        "status": {
            "conditions": status.get("conditions"),
            "certificate": bool(status.get("certificate")),
        },
    }
    request_status(kept)
    return kept


def _check_name(metadata: Mapping[str, Any]) -> None:
    if not NAME.fullmatch(metadata["name"]):
        raise ValueError("its name is not one that a kubelet gives")


def request_status(item: Mapping[str, Any]) -> RequestStatus:
    """Return what has become of a request."""
    status = item.get("status") or {}
    conditions = {c["type"]: str(c.get("message", "")) for c in status.get("conditions") or ()}
    state: State = "approved" if "Approved" in conditions else "pending"
    if "Denied" in conditions:
        state = "denied"
    elif "Failed" in conditions:
        state = "failed"
    elif status.get("certificate"):
        state = "issued"
    return RequestStatus(
        name=item["metadata"]["name"],
        created=created(item),
        state=state,
        approved="Approved" in conditions,
        message=conditions.get("Denied") or conditions.get("Failed") or "",
    )


def is_undecided(item: Mapping[str, Any]) -> bool:
    """Return whether nobody has approved or denied a request yet."""
    return request_status(item).state == "pending"


def requesting_node(item: Mapping[str, Any]) -> str:
    """Return the name of the node whose user has made a request.

    For any other user it is a colon and the user's name: no node's name has a colon.
    """
    user = str(item["spec"].get("username", ""))
    is_node = user.startswith(rules.USER_PREFIX)
    return user.removeprefix(rules.USER_PREFIX) if is_node else f":{user}"


def request_pem(item: Mapping[str, Any]) -> bytes | None:
    """Return the PKCS #10 request that a CertificateSigningRequest holds; None: it was not kept."""
    encoded = item["spec"].get("request")
    return None if encoded is None else base64.b64decode(encoded)


def judged_request(item: Mapping[str, Any]) -> rules.Request:
    """Return what the rules look at of a CertificateSigningRequest."""
    spec, status = item["spec"], item.get("status") or {}
    seconds = spec.get("expirationSeconds")
    return rules.Request(
        name=item["metadata"]["name"],
        uid=item["metadata"]["uid"],
        signer=spec["signerName"],
        user=spec.get("username", ""),
        groups=frozenset(spec.get("groups") or ()),
        usages=tuple(spec.get("usages") or ()),
        pem=request_pem(item),
        created=created(item),
        expiration=None if seconds is None else timedelta(seconds=seconds),
        decided=bool(status.get("conditions") or status.get("certificate")),
    )


def count_pending(
    item: Mapping[str, Any], others: Iterable[Mapping[str, Any]], now: datetime
) -> int:
    """Count a requester's recent undecided requests, up to one more than the limit.

    Thousands are judged as fast as one, since each count stops early. An old request is refused
    for its age, however many there are.
    """
    if now - created(item) > rules.OLDEST:
        return 1
    recent = (other for other in others if now - created(other) <= rules.OLDEST)
    return sum(1 for _ in islice(recent, rules.MOST_PENDING + 1))


def created(item: Mapping[str, Any]) -> datetime:
    """Return when the API server first stored an object."""
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"])
