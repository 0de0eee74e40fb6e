"""Whether the CA has signed a certificate, by the openssl of old machines and of new ones."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.unit.node_machine import SHELLS

OPENSSL = '#!/bin/sh\nexec /usr/bin/openssl "$@"\n'
# OpenSSL 1.0.2, which Amazon Linux 2 and CentOS 7 have.
OLD = """\
#!/bin/sh
case "$*" in *no_check_time*) echo 'usage: verify [-verbose] [-CApath path] [-CAfile file]' >&2; exit 1 ;; esac
exec /usr/bin/openssl "$@"
"""  # noqa: E501
# It can say so of what it takes: "error 18", and then "OK".
OLD_OF_SELF_SIGNED = """\
#!/bin/sh
case "$*" in *no_check_time*) echo 'usage: verify [-verbose]' >&2; exit 1 ;; esac
printf '%s\n' 'CN = a' 'error 18 at 0 depth lookup:self signed certificate' >&2
echo 'leaf.pem: OK'
"""
BROKEN = (
    "#!/bin/sh\necho 'openssl: error while loading shared libraries: libssl.so.3' >&2\nexit 127\n"
)
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    since: datetime = NOW - DAY,
) -> bytes:
    """Return a certificate that is valid for two days."""
    by, of = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (issuer, name))
    number = x509.random_serial_number()
    builder = x509.CertificateBuilder(by, of, key.public_key(), number, since, since + 2 * DAY)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def keys(count: int) -> list[ec.EllipticCurvePrivateKey]:
    return [ec.generate_private_key(ec.SECP256R1()) for _ in range(count)]


def signed(tmp_path: Path, shell: tuple[str, ...], openssl: str) -> bool:
    """Return what the script says of `leaf.pem` and `ca.pem`."""
    program = tmp_path / "bin/openssl"
    program.parent.mkdir()
    program.write_text(openssl)
    program.chmod(0o755)
    script = Path("node_files/common.sh").read_text()
    done = subprocess.run(
        [*shell, "-c", f"{script}if is_signed_by ca.pem leaf.pem; then echo yes; else echo no; fi"],
        cwd=tmp_path,
        env={"PATH": f"{program.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) in {("yes\n", ""), ("no\n", "")}
    return done.stdout == "yes\n"


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@pytest.mark.parametrize("openssl", [OPENSSL, OLD], ids=["new", "old"])
@pytest.mark.parametrize("since", [-1, -30, 30], ids=["valid", "expired", "not-yet-valid"])
@pytest.mark.parametrize("signer", ["ours", "other", "other-of-the-same-name"])
def test_only_another_signer_is_told_as_one(
    tmp_path: Path, shell: tuple[str, ...], openssl: str, since: int, signer: str
) -> None:
    ours, other, leaf = keys(3)
    (tmp_path / "ca.pem").write_bytes(certificate("ca", ours, "ca", ours))
    given = certificate(
        "system:node:a",
        leaf,
        "other" if signer == "other" else "ca",
        ours if signer == "ours" else other,
        since=NOW + since * DAY,
    )
    (tmp_path / "leaf.pem").write_bytes(given)
    assert signed(tmp_path, shell, openssl) == (signer == "ours")


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@pytest.mark.parametrize(
    ("openssl", "expected"),
    [(OPENSSL, False), (OLD, False), (OLD_OF_SELF_SIGNED, False), (BROKEN, True)],
    ids=["new", "old", "old-that-goes-on", "broken"],
)
def test_one_that_has_signed_itself_is_not_the_cas(
    tmp_path: Path, shell: tuple[str, ...], openssl: str, expected: bool
) -> None:
    """But an openssl that fails says nothing."""
    ours, leaf = keys(2)
    (tmp_path / "ca.pem").write_bytes(certificate("ca", ours, "ca", ours))
    (tmp_path / "leaf.pem").write_bytes(certificate("a", leaf, "a", leaf))
    assert signed(tmp_path, shell, openssl) == expected


@pytest.mark.parametrize("missing", ["ca.pem", "leaf.pem"])
@pytest.mark.parametrize("openssl", [OPENSSL, OLD], ids=["new", "old"])
def test_what_can_not_be_read_is_nobody_elses(tmp_path: Path, openssl: str, missing: str) -> None:
    (ours,) = keys(1)
    for name in ("ca.pem", "leaf.pem"):
        (tmp_path / name).write_bytes(certificate("ca", ours, "ca", ours))
    (tmp_path / missing).write_text("nothing\n")
    assert signed(tmp_path, ("dash",), openssl)
