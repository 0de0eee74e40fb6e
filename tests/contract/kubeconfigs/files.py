"""A kubeconfig's file, and those that it may name."""

import json
from pathlib import Path

from tests.contract.kubeconfigs.parts import AUTHORITY, CERTIFICATE, KEY

PLUGIN = """#!/bin/sh
version=v1
status=token
case "$1" in
v1beta1) version=v1beta1 ;;
fail) exit 1 ;;
nothing) exit 0 ;;
certificate | alone | both) status=$1 ;;
esac
status=$(cat "${0%/*}/$status.json")
# The words that it is told, whatever their order.
told=$(printf %s "$KUBERNETES_EXEC_INFO" | grep -o '"[^"]*"' | sort -u | tr -dc a-zA-Z0-9)
[ "$1" != cluster ] || status="{\\"token\\": \\"$told\\"}"
printf '{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/%s", ' "$version"
printf '"status": %s}\\n' "$status"
"""


def lay_out(directory: Path, text: str | bytes) -> Path:
    """Write a kubeconfig and what it may name, and return its path."""
    given = {"clientCertificateData": CERTIFICATE.decode()}
    identity = {**given, "clientKeyData": KEY.decode()}
    token = {"token": "given"}
    statuses = {
        **{"token": token, "certificate": identity, "alone": given},
        "both": {**identity, **token},
    }
    for place in (directory, directory / "bin"):
        place.mkdir(parents=True)
        (place / "plugin").write_text(PLUGIN)
        (place / "plugin").chmod(0o755)
        for name, status in statuses.items():
            (place / f"{name}.json").write_text(json.dumps(status))
    for name, content in (
        ("ca.crt", AUTHORITY.pem),
        ("client.crt", CERTIFICATE),
        ("client.key", KEY),
        ("token", b"of-a-file\n"),
        ("empty", b"\n"),
    ):
        (directory / name).write_bytes(content)
    if isinstance(text, str):
        text = text.replace("{dir}", str(directory)).encode()
    (directory / "config").write_bytes(text)
    return directory / "config"
