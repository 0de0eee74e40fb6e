"""What the status keeps of each request while it reads all of them."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography import x509

from admission import rules
from admission.objects.csr import is_undecided, kept_request, without_request
from admission.panic import no_panic

ISSUED = "issuedClientCertificate"  # the node and the end of one


def kept_for_status(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a request: of a decided one no bytes, but what was issued.

    Raises:
        LookupError, TypeError, AttributeError, ValueError: it lacks what we read, or is too long.
    """
    kept = kept_request(item)
    if is_undecided(kept):
        return kept
    issued = _issued(kept) if kept["spec"]["signerName"] == rules.CLIENT_SIGNER else None
    return {**without_request(kept), ISSUED: issued}


def _issued(item: Mapping[str, Any]) -> tuple[str, datetime] | None:
    try:
        with no_panic():
            pem = base64.b64decode(item["status"].get("certificate", ""))
            certificate = x509.load_pem_x509_certificate(pem)
            (name,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    except ValueError:
        return None
    user = str(name.value)
    if not user.startswith(rules.USER_PREFIX):
        return None
    return user.removeprefix(rules.USER_PREFIX), certificate.not_valid_after_utc
