"""Which proxy of the environment counts for an API server; tests/contract asks Go for the same."""

import pytest

from admission.api_server.proxy import proxy_for

PROXY = "http://proxy:3128"
HOSTS = {
    "https://10.1.2.3:6443": ["10.0.0.0/8", "10.1.2.3", "10.1.2.3:6443", "x, 10.1.2.3 ", "*"],
    "https://api.example.org": [
        *("example.org", ".example.org", "*.example.org", "api.example.org:443", "API.example.org"),
    ],
    "https://[fd00::1]:6443": ["fd00::/8", "fd00::1", "[fd00::1]:6443"],
    "https://127.0.0.1:6443": ["", "x"],
    "https://[::1]:6443": [""],
    "https://localhost:6443": [""],
}
OTHERS = {
    "https://10.1.2.3:6443": [
        "",
        "10.1.2.3:443",
        "10.2.0.0/16",
        "2.3",
        "10.0.0.0/255.0.0.0",
        "10.",
    ],
    "https://api.example.org": ["ample.org", "api.example.org:6443", "*.org.", "10.0.0.0/8", "/8"],
    "https://[fd00::1]:6443": ["10.0.0.0/8", "[fd00::1]:443", "[fd00::1]", "fd00::2", "::1"],
}


@pytest.mark.parametrize(("server", "no"), [(s, no) for s, all_ in HOSTS.items() for no in all_])
def test_a_host_that_is_excepted_is_reached_directly(server: str, no: str) -> None:
    assert proxy_for(server, {"HTTPS_PROXY": PROXY, "NO_PROXY": no}) is None


@pytest.mark.parametrize(("server", "no"), [(s, no) for s, all_ in OTHERS.items() for no in all_])
def test_every_other_host_is_reached_by_the_proxy(server: str, no: str) -> None:
    assert proxy_for(server, {"https_proxy": PROXY, "no_proxy": no}) == PROXY


def test_the_variable_of_the_urls_scheme_counts_and_capitals_first() -> None:
    assert proxy_for("https://a", {"HTTP_PROXY": PROXY}) is None
    assert proxy_for("https://a", {"HTTPS_PROXY": "a:1", "https_proxy": PROXY}) == "http://a:1"
    assert proxy_for("https://a", {"HTTPS_PROXY": "", "https_proxy": PROXY}) == PROXY
