"""The certificate that a kubelet presents on its port."""

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from admission.inventory import InventoryNode, IpAddress
from admission.panic import no_panic

KUBELET_PORT = 10250
DIAL_TIMEOUT_S = 5
# X509_V_ERR_* of OpenSSL (x509_vfy.h): it can't find or does not trust who has signed.
OF_ANOTHER_CA = frozenset({2, 18, 19, 20, 21})
REMEDY = (
    "if another CA signs for kubelets, add it to cluster.caPath; a kubelet keeps one of an older"
    " cluster: on the machine of {name}, move kubelet-server-current.pem in its paths.certificates"
    " away and restart kubelet.service"
)


@dataclass(frozen=True, kw_only=True)
class ServingCertificate:
    """What a serving certificate says."""

    dns_names: frozenset[str]
    addresses: frozenset[IpAddress]
    end: datetime

    @property
    def claims(self) -> frozenset[str | IpAddress]:
        """The names and addresses that it holds."""
        return self.dns_names | self.addresses


class Untrusted(ValueError):
    """The certificate is not signed by the cluster's CA."""


async def look_at(entry: InventoryNode, trust: ssl.SSLContext) -> ServingCertificate:
    """Return the certificate that the node's kubelet presents on its primary address.

    Raises:
        Untrusted: it is not signed by the cluster's CA.
        ValueError: it is missing, or not the node's own; says which.
        OSError, TimeoutError: nothing answers.
    """
    host = str(entry.addresses[0])
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(host, KUBELET_PORT, ssl=trust, server_hostname=host),
            DIAL_TIMEOUT_S,
        )
    except ssl.SSLCertVerificationError as error:
        older = error.verify_code in OF_ANOTHER_CA
        raise Untrusted(
            f"presents a certificate that can't be verified: {error.verify_message}"
            + (f"; {REMEDY.format(name=entry.name)}" if older else "")
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
    """Return what a certificate says, if it is for the node and for the address that is dialled.

    Which of its names and addresses a kubelet asks for is up to its Node: a cloud's controller
    writes others there than the kubelet does.

    Raises:
        ValueError: it holds more than the inventory has, or not that address.
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
    if foreign := found.claims - entry.claims:
        raise ValueError(f"presents a certificate for {listed(foreign)}, which is not the node's")
    if missing := {entry.addresses[0]} - found.addresses:
        raise ValueError(f"presents a certificate without {listed(missing)}")
    return found


def listed(claims: Iterable[str | IpAddress]) -> str:
    """Return names and addresses as a text, sorted."""
    return ", ".join(sorted(map(str, claims)))
