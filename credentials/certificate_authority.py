"""The CA by which the machines verify the API server: certificates only, and not all expired."""

import base64
from datetime import UTC, datetime
from typing import NamedTuple

from admission import authorities
from credentials.kubeconfig import ClusterEntry
from credentials.text_file import read_text
from settings.outputs import CA_FROM
from settings.problem import Problem

SETTING = "cluster.caPath"


def read_ca(
    ca_path: str | None, entry: ClusterEntry, problems: list[Problem], output: str | None = None
) -> str:
    """Return the CA's PEM, from the settings or else the kubeconfig; "" with a problem added.

    `output` is another stack's: PEM, or that in base64 as kubeconfigs and clouds have it.
    """
    pem: str | None
    if output is not None:
        pem = output if "-----BEGIN" in output else _decoded(output)
        return _checked(Subject(CA_FROM, ""), pem, problems)
    if ca_path:
        pem = read_text(SETTING, ca_path, problems, comments=True)
    elif entry.ca_data:
        pem = _decoded(entry.ca_data)
    elif entry.ca_path:
        pem = read_text(SETTING, str(entry.ca_path), problems, comments=True)
    else:
        problems.append(Problem(SETTING, "is missing, and the kubeconfig names no CA; set it"))
        return ""
    if pem is None:
        return ""
    return _checked(Subject(SETTING, "or the kubeconfig's CA "), pem, problems)


class Subject(NamedTuple):
    """What a problem with a CA is about: the path of its setting, and where else it may be."""

    setting: str
    or_else: str

    def problem(self, message: str) -> Problem:
        return Problem(self.setting, self.or_else + message)


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode(errors="replace")
    except ValueError:
        return ""


def _checked(subject: Subject, pem: str, problems: list[Problem]) -> str:
    if "PRIVATE KEY-----" in pem:
        problems.append(subject.problem("holds a private key; give only the certificate"))
        return ""
    try:
        certificates = authorities.certificates(pem)
    except ValueError as error:
        problems.append(subject.problem(str(error)))
        return ""
    # A bundle may keep one that is no longer in use.
    end = max(certificate.not_valid_after_utc for certificate in certificates)
    if end < datetime.now(UTC):
        problems.append(subject.problem(f"expired on {end.date()}; give the current one"))
    if not any(map(authorities.can_sign, certificates)):
        problems.append(
            subject.problem(
                "holds no CA's certificate, only such as a server has, which signs nothing; give"
                " the CA that has signed it, such as /etc/kubernetes/pki/ca.crt"
            )
        )
    return authorities.readable(pem)
