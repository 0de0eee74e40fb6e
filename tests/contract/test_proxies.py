"""The environment's proxy counts for an API server here as for Go's programs."""

from pathlib import Path

import pytest

from admission.api_server.proxy import proxy_for
from tests.contract import judges
from tests.unit.admission import test_proxy

pytestmark = pytest.mark.contract

SERVERS = [
    *(
        "https://10.1.2.3:6443",
        "https://10.1.2.3",
        "http://10.1.2.3:8080",
        "https://[fd00::1]:6443",
    ),
    *("https://api.example.org", "https://api.example.org:6443", "https://example.org:443"),
    *("https://127.0.0.1:6443", "https://127.1.2.3", "https://localhost", "https://[::1]:6443"),
    *("https://a.localhost", "https://org"),
]
ENTRIES = [
    *(
        no
        for table in (test_proxy.HOSTS, test_proxy.OTHERS)
        for all_ in table.values()
        for no in all_
    ),
    *(
        " ",
        ",",
        ":",
        ":443",
        ".",
        "*.",
        "[",
        "[]",
        "[]:1",
        "a:b:c",
        "org:",
        "10.1.2.3/",
        "10.1.2.3/33",
    ),
    *(
        "0.0.0.0/0",
        "::/0",
        "fd00::1/64",
        "10.1.2.3/8",
        "10.1.2.3:",
        "a,*",
        "* ",
        "**",
        "https://org",
    ),
    *("fd00::1:6443", "FD00::1", "10.1.2.03", "localhost", "127.0.0.1", "org:443,10.1.2.3"),
]
PROXIES = ["", "http://proxy:3128", "proxy:3128", "proxy", "https://proxy", "socks5://proxy"]


def test_the_proxy_is_the_one_that_go_takes(credentials_judge: Path) -> None:
    cases = {
        str((server, no, proxy)): {"url": server, "no": no, "http": proxy, "https": proxy}
        for server in SERVERS
        for no in ENTRIES
        for proxy in (PROXIES if no in ("", "*") else PROXIES[1:2])
    }
    said = judges.ask_about(credentials_judge, {"proxies": cases})["proxies"]
    ours = {
        name: proxy_for(
            case["url"],
            {"NO_PROXY": case["no"], "HTTP_PROXY": case["http"], "HTTPS_PROXY": case["https"]},
        )
        or ""
        for name, case in cases.items()
    }
    assert ours == said
    assert len({*said.values()}) > 4
