"""A CA is taken in each form that can be understood, and handed on in one that all read."""

import re
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from admission import authorities, machines_ca
from admission.api_server import named_files
from tests.contract import odd_authorities as odd
from tests.unit.admission.test_verification import Signed

LEAF = Signed("kube-apiserver", odd.AUTHORITY, ca=False).pem
TAKEN = odd.ALIKE | odd.ODD


def text_of(content: bytes) -> str:
    return content.decode(errors="replace")


def fingerprints(certificates: list[x509.Certificate]) -> set[bytes]:
    return {each.public_bytes(Encoding.DER) for each in certificates}


@pytest.mark.parametrize("name", odd.ALIKE)
def test_what_all_read_alike_is_handed_on_as_it_is(name: str) -> None:
    text = text_of(odd.ALIKE[name])
    assert authorities.certificates(text)
    assert authorities.readable(text) == text


@pytest.mark.parametrize("name", TAKEN)
def test_openssl_and_python_find_the_same_certificates_in_what_is_handed_on(
    name: str, tmp_path: Path
) -> None:
    text = text_of(TAKEN[name])
    certificates = authorities.certificates(text)
    handed_on = authorities.readable(text)
    found = named_files.certificates(handed_on.encode())
    assert fingerprints(x509.load_pem_x509_certificates(found)) == fingerprints(certificates)
    (tmp_path / "ca.crt").write_text(handed_on)
    (tmp_path / "leaf").write_bytes(LEAF)
    command = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", "ca.crt", "leaf"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.parametrize("name", odd.DAMAGED)
def test_what_has_no_certificate_or_a_damaged_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^(is not a certificate in PEM|has a certificate )"):
        authorities.certificates(text_of(odd.DAMAGED[name]))


def test_the_status_reads_it_as_the_machines_get_it(tmp_path: Path) -> None:
    path = tmp_path / "ca.crt"
    for content in TAKEN.values():
        path.write_bytes(content)
        text = re.sub("\r\n?", "\n", text_of(content))  # as Python reads files
        assert machines_ca.of_file(str(path)) == authorities.readable(text)
    with pytest.raises(ValueError, match="there is no such user"):
        machines_ca.of_file("~nobody-of-this-name/ca.crt")
