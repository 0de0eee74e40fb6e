"""The certificate that a kubelet shows on its port, looked at from outside."""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from admission.inventory import IpAddress, NodeEntry

KUBELET_PORT = 10250
DIAL_TIMEOUT_S = 5


@dataclass(frozen=True, kw_only=True)
class ServingCertificate:
    """What a live serving certificate says."""

    dns_names: frozenset[str]
    addresses: frozenset[IpAddress]
    end: datetime


async def look_at(entry: NodeEntry, trust: ssl.SSLContext) -> ServingCertificate:
    """Return the certificate that the node's kubelet shows on its primary address.

    Raises:
        ValueError: it is not signed by the cluster's CA, or not for the node; says which.
        OSError, TimeoutError: nobody answers.
    """
    host = str(entry.addresses[0])
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(host, KUBELET_PORT, ssl=trust, server_hostname=host),
            DIAL_TIMEOUT_S,
        )
    except ssl.SSLCertVerificationError as error:
        raise ValueError(f"shows a certificate that fails: {error.verify_message}") from None
    except ssl.SSLError:
        raise ValueError("has no serving certificate yet (tls: internal error)") from None
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return _read(x509.load_der_x509_certificate(der), entry)


def _read(certificate: x509.Certificate, entry: NodeEntry) -> ServingCertificate:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = ServingCertificate(
        dns_names=frozenset(names.get_values_for_type(x509.DNSName)),
        addresses=frozenset(names.get_values_for_type(x509.IPAddress)),  # type: ignore[arg-type]
        end=certificate.not_valid_after_utc,
    )
    strange = sorted(
        {*found.dns_names.difference(entry.dns_names)}
        | {str(address) for address in found.addresses.difference(entry.addresses)}
    )
    if strange:
        raise ValueError(f"shows a certificate for {', '.join(strange)}, which is not the node's")
    return found
