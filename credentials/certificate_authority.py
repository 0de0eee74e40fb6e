"""The CA by which the machines verify the API server: certificates only, and not all expired."""

import base64
from datetime import UTC, datetime

from cryptography import x509

from credentials.kubeconfig import ClusterEntry
from credentials.text_file import read_text
from settings.problem import Problem

SETTING = "cluster.caPath"


def read_ca(ca_path: str | None, entry: ClusterEntry, problems: list[Problem]) -> str:
    """Return the CA's PEM, from the settings or else the kubeconfig; "" with a problem added."""
    pem: str | None
    if ca_path:
        pem = read_text(SETTING, ca_path, problems)
    elif entry.ca_data:
        try:
            pem = base64.b64decode(entry.ca_data).decode()
        except ValueError:
            pem = ""
    elif entry.ca_path:
        pem = read_text(SETTING, str(entry.ca_path), problems)
    else:
        problems.append(Problem(SETTING, "is missing, and the kubeconfig names no CA; set it"))
        return ""
    if pem is None:
        return ""
    return _checked(pem, problems)


def _checked(pem: str, problems: list[Problem]) -> str:
    if "PRIVATE KEY-----" in pem:
        problems.append(
            Problem(
                SETTING, "or the kubeconfig's CA holds a private key; give only the certificate"
            )
        )
        return ""
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        problems.append(
            Problem(SETTING, "or the kubeconfig's CA is not a certificate in PEM; give one")
        )
        return ""
    # A bundle may keep one that is no longer in use.
    end = max(certificate.not_valid_after_utc for certificate in certificates)
    if end < datetime.now(UTC):
        problems.append(
            Problem(
                SETTING, f"or the kubeconfig's CA expired on {end.date()}; give the current one"
            )
        )
    return pem
