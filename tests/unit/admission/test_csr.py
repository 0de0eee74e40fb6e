"""What is kept of a CertificateSigningRequest, and which names it may have."""

from collections.abc import Callable
from typing import Any

import pytest

from admission.api_server.api import CSRS
from admission.objects.csr import kept_request, kept_status
from tests.unit.admission.fakes import FakeApi


def asked(name: str) -> dict[str, Any]:
    api = FakeApi()
    api.ask(name, "node-1", "10.0.0.1")
    return api.objects[CSRS][name]


KEEPS = pytest.mark.parametrize("keep", [kept_request, kept_status])


@KEEPS
@pytest.mark.parametrize(
    "name",
    [
        "csr-x2b4k",
        "node-csr-c69HXe7aYcqkS1bKmH4faEnHAWxn6i2bHZ2mD04jZyQ",
        "node-csr-_-9HXe7aYcqkS1bKmH4faEnHAWxn6i2bHZ2mD04jZ_-",
        "a.b",
        "n" * 253,
    ],
)
def test_names_that_kubelets_give_are_taken(keep: Callable[[Any], Any], name: str) -> None:
    assert keep(asked(name))["metadata"]["name"] == name


@KEEPS
@pytest.mark.parametrize(
    "name",
    [
        *("", "-rf", ".a", "_a", "a?b", "a#b", "a&watch=1", "a,b", "a=b", "a;b", "$(b)", "`b`"),
        *(
            "it's",
            'a"b',
            "a b",
            "a\nb",
            "a\n",
            "a\0",
            "\x1b[2J",
            "\u202ea",
            "\u0663",
            "a:b",
            "a\\b",
        ),
        "n" * 254,
    ],
)
def test_other_names_are_refused(keep: Callable[[Any], Any], name: str) -> None:
    with pytest.raises(ValueError, match="its name is not one that a kubelet gives"):
        keep(asked(name))
