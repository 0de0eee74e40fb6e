"""Where the API server is, and whom to trust there."""

import base64
from typing import Any

from tests.contract.kubeconfigs.parts import (
    AUTHORITY,
    DNS,
    KEY,
    OTHER,
    b64,
    wrapped,
)


def clusters(url: str, proxy: str) -> dict[str, tuple[Any, Any]]:
    """A cluster's entry: what is in it, and its CA."""
    host = url.removeprefix("https://")
    port = host.rpartition(":")[2]
    return {
        "a slash": ({"server": f"{url}/"}, None),
        "a path": ({"server": f"{url}/k8s/c-1"}, None),
        "a path and a slash": ({"server": f"{url}/k8s/c-1/"}, None),
        "a query": ({"server": f"{url}?a=b"}, None),
        "a path and a query": ({"server": f"{url}/a?b=c"}, None),
        "a fragment": ({"server": f"{url}#a"}, None),
        "somebody": ({"server": f"https://me:p@{host}"}, None),
        "no scheme": ({"server": host}, None),
        "HTTPS": ({"server": f"HTTPS://{host}"}, None),
        "http": ({"server": f"http://{host}"}, None),
        "ftp": ({"server": f"ftp://{host}"}, None),
        "no server": ({"server": None}, None),
        "an empty server": ({"server": ""}, None),
        "no URL": ({"server": "https://[x"}, None),
        "an odd port": ({"server": "https://127.0.0.1:x"}, None),
        "a blank": ({"server": f" {url}"}, None),
        "a blank after": ({"server": f"{url} "}, None),
        "a number as server": ({"server": 1}, None),
        "another address": ({"server": f"https://127.0.0.2:{port}"}, None),
        "tls-server-name": ({"server": f"https://127.0.0.2:{port}", "tls-server-name": DNS}, None),
        "a wrong tls-server-name": ({"tls-server-name": "other.internal"}, None),
        "an address as tls-server-name": (
            {"server": f"https://127.0.0.2:{port}", "tls-server-name": "127.0.0.1"},
            None,
        ),
        "an empty tls-server-name": ({"tls-server-name": ""}, None),
        "insecure": ({"insecure-skip-tls-verify": True}, {}),
        "insecure with a CA": ({"insecure-skip-tls-verify": True}, None),
        "not insecure": ({"insecure-skip-tls-verify": False}, None),
        "insecure in a text": ({"insecure-skip-tls-verify": "false"}, None),
        "insecure in a number": ({"insecure-skip-tls-verify": 0}, None),
        "insecure of null": ({"insecure-skip-tls-verify": None}, None),
        "no compression": ({"disable-compression": True}, None),
        "compression in a text": ({"disable-compression": "true"}, None),
        "a proxy": ({"proxy-url": proxy}, None),
        "a proxy with somebody": ({"proxy-url": proxy.replace("//", "//me:p@")}, None),
        "a proxy without a scheme": ({"proxy-url": proxy.removeprefix("http://")}, None),
        "a proxy of SOCKS": ({"proxy-url": proxy.replace("http", "socks5")}, None),
        "a proxy of TLS": ({"proxy-url": proxy.replace("http", "https")}, None),
        "a proxy of another kind": ({"proxy-url": "ftp://127.0.0.1"}, None),
        "an empty proxy": ({"proxy-url": ""}, None),
        "a CA in a file": ({}, {"certificate-authority": "{dir}/ca.crt"}),
        "a CA beside it": ({}, {"certificate-authority": "ca.crt"}),
        "a missing CA": ({}, {"certificate-authority": "{dir}/x"}),
        "a directory as CA": ({}, {"certificate-authority": "{dir}"}),
        "a CA twice": ({"certificate-authority": "{dir}/ca.crt"}, None),
        "an empty CA and a file": (
            {}, {"certificate-authority": "{dir}/ca.crt", "certificate-authority-data": ""},
        ),
        "a CA and an empty file": ({"certificate-authority": ""}, None),
        "no CA": ({}, {}),
        "another CA": ({}, ca(OTHER.pem)),
        "two CAs": ({}, ca(OTHER.pem + AUTHORITY.pem)),
        "text around a CA": ({}, ca(b"# CA\n" + AUTHORITY.pem + b"end\n")),
        "CRLF in a CA": ({}, ca(AUTHORITY.pem.replace(b"\n", b"\r\n"))),
        "a broken CA before": ({}, ca(broken(OTHER.pem) + AUTHORITY.pem)),
        "a broken CA after": ({}, ca(AUTHORITY.pem + broken(OTHER.pem))),
        "a broken CA": ({}, ca(broken(AUTHORITY.pem))),
        "a CA that is cut": ({}, ca(AUTHORITY.pem[:-40])),
        "a CA without a line feed": ({}, ca(AUTHORITY.pem.strip())),
        "another block before": (
            {}, ca(b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n" + AUTHORITY.pem),
        ),
        "a CA with headers": ({}, ca(AUTHORITY.pem.replace(b"E-----\n", b"E-----\nA: b\n\n", 1))),
        "a trusted CA": ({}, ca(AUTHORITY.pem.replace(b" CERT", b" TRUSTED CERT"))),
        "a key in a CA": ({}, ca(AUTHORITY.pem + KEY)),
        "an indented CA": ({}, ca(AUTHORITY.pem.replace(b"\n", b"\n  "))),
        "a byte order mark before a CA": ({}, ca(b"\xef\xbb\xbf" + AUTHORITY.pem)),
        "blank lines in a CA": ({}, ca(AUTHORITY.pem.replace(b"\n", b"\n\n"))),
        "CAs that share a line": ({}, ca(OTHER.pem.strip() + AUTHORITY.pem)),
        "text after a CA's end": ({}, ca(AUTHORITY.pem.strip() + b" # end\n")),
        "Latin-1 around a CA": ({}, ca(b"# Zo\xe9\n" + AUTHORITY.pem)),
        "DER": ({}, ca(base64.b64decode(b"".join(AUTHORITY.pem.split(b"\n")[1:-2])))),
        "a CA that is no base64": ({}, {"certificate-authority-data": "!!"}),
        "a CA in several lines": ({}, {"certificate-authority-data": wrapped(AUTHORITY.pem)}),
        "an unknown field": ({"certificate-autority": "x"}, None),
        "extensions": ({"extensions": [{"name": "x", "extension": {"a": 1}}]}, None),
        "api-version": ({"api-version": "v1"}, None),
    }  # fmt: skip


def ca(pem: bytes) -> dict[str, str]:
    return {"certificate-authority-data": b64(pem)}


def broken(pem: bytes) -> bytes:
    lines = pem.split(b"\n")
    return b"\n".join([lines[0], b"AAAA" + lines[1][4:], *lines[2:]])
