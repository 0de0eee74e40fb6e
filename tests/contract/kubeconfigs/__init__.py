"""Kubeconfigs of many forms, for readers to compare: each is a file in a directory of its own."""

import random
from collections.abc import Iterator
from typing import Any

import yaml

from tests.contract.kubeconfigs.clusters import clusters
from tests.contract.kubeconfigs.documents import documents, texts
from tests.contract.kubeconfigs.parts import document
from tests.contract.kubeconfigs.users import users

MIXED = 120


def mixed(url: str, proxy: str, number: int) -> dict[str, Any]:
    """A kubeconfig of some of the forms at once, always the same of a number."""
    chance = random.Random(number)  # noqa: S311
    some = [user for user in users().values() if isinstance(user, dict)]
    user = {k: v for entry in chance.sample(some, 2) for k, v in entry.items()}
    entry: dict[str, Any] = {}
    forms = [(c, a) for c, a in clusters(url, proxy).values() if "server" not in c]
    for cluster, _ in chance.sample(forms, 2):
        entry |= cluster
    return document(url, user, entry, chance.choice(forms)[1])


def all_of(url: str, proxy: str) -> Iterator[tuple[str, str | bytes]]:
    """Yield each kubeconfig's name and its text; `{dir}` in it is the directory that it is in."""
    for name, user in users().items():
        yield f"user: {name}", yaml.safe_dump(document(url, user), sort_keys=False)
    for name, (cluster, authority) in clusters(url, proxy).items():
        made = document(url, {"token": "t"}, cluster, authority)
        yield f"cluster: {name}", yaml.safe_dump(made, sort_keys=False)
    for name, whole in documents(url).items():
        yield f"document: {name}", yaml.safe_dump(whole, sort_keys=False)
    for name, text in texts(url).items():
        yield f"text: {name}", text
    for number in range(MIXED):
        made = mixed(url, proxy, number)
        yield f"mixed: {number}", yaml.safe_dump(made, sort_keys=False)
