"""The certificate that a kubelet presents on its port."""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from admission.inventory import InventoryNode, IpAddress
from admission.panic import no_panic

KUBELET_PORT = 10250
DIAL_TIMEOUT_S = 5


@dataclass(frozen=True, kw_only=True)
class ServingCertificate:
    """What a serving certificate says."""

    dns_names: frozenset[str]
    addresses: frozenset[IpAddress]
    end: datetime


class Untrusted(ValueError):
    """The certificate is not signed by the cluster's CA."""


async def look_at(entry: InventoryNode, trust: ssl.SSLContext) -> ServingCertificate:
    """Return the certificate that the node's kubelet presents on its primary address.

    Raises:
        Untrusted: it is not signed by the cluster's CA.
        ValueError: it is missing, or not exactly for the node; says which.
        OSError, TimeoutError: nothing answers.
    """
    host = str(entry.addresses[0])
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(host, KUBELET_PORT, ssl=trust, server_hostname=host),
            DIAL_TIMEOUT_S,
        )
    except ssl.SSLCertVerificationError as error:
        raise Untrusted(
            f"presents a certificate that can't be verified: {error.verify_message}"
        ) from None
    except ssl.SSLError:
        raise ValueError("has no serving certificate yet (tls: internal error)") from None
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    with no_panic():
        return read(x509.load_der_x509_certificate(der), entry)


def read(certificate: x509.Certificate, entry: InventoryNode) -> ServingCertificate:
    """Return what a certificate says, if that is exactly what the inventory says.

    Raises:
        ValueError: it holds more, or not the node's name or not all of its addresses.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise ValueError(f"presents a certificate whose names can't be read: {error}") from None
    found = ServingCertificate(
        dns_names=frozenset(names.get_values_for_type(x509.DNSName)),
        addresses=frozenset(names.get_values_for_type(x509.IPAddress)),  # type: ignore[arg-type]
        end=certificate.not_valid_after_utc,
    )
    foreign = {*found.dns_names.difference(entry.dns_names)}
    foreign |= {str(address) for address in found.addresses.difference(entry.addresses)}
    if foreign:
        listed = ", ".join(sorted(foreign))
        raise ValueError(f"presents a certificate for {listed}, which is not the node's")
    missing = {entry.name} - found.dns_names
    missing |= {str(address) for address in entry.addresses if address not in found.addresses}
    if missing:
        raise ValueError(f"presents a certificate without {', '.join(sorted(missing))}")
    return found
