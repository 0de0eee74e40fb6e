"""A kubeconfig means here what it means to kubectl and to Pulumi's Kubernetes provider.

Hundreds of them are read by client-go as these two do, by the settings, and by both connections of
`admission`; each reader then asks one API server for something, which notes who came.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from admission.api_server import credentials
from admission.api_server.brief_connection import BriefConnection, Requests
from admission.api_server.connection import Connection
from credentials.kubeconfig import read_cluster
from settings.problem import Problem
from tests.contract import judges, kubeconfigs
from tests.contract.kubeconfigs.files import lay_out
from tests.contract.kubeconfigs.servers import ApiServer, Passing, Proxy, Seen

pytestmark = pytest.mark.contract

# What kubectl takes and the settings refuse: what this program or the provider can't do, what an
# API server would refuse, what nobody means.
ON_PURPOSE = (
    "as a relative path, which Pulumi's Kubernetes provider does not look for",
    "names no credentials for its user",
    "has no user of the name that it gives",
    "has no user in its current context",
    "has no cluster in its current context",
    "has no current context",
    "a token that is empty, or that no request can hold",
    "as tokenFile that can't be read",  # beside a token
    "an empty text in as-groups",
    "a server that is not a plain URL",
    "names a server that is no https URL",
    "sets insecure-skip-tls-verify",
    "it is not YAML",
    "is not text; put it in quotes",
    "it is not a text file",
)
BESIDE = (
    *("user: relative files", "user: a relative tokenFile", "user: a plugin beside it"),
    *("user: a plugin in a directory beside it", "cluster: a CA beside it"),
)
# The provider would look for it in PATH.
FROM_PATH = {"user: a plugin beside it"}


@dataclass
class Verdicts:
    """What each reader did with each kubeconfig, by its name."""

    seen: dict[str, dict[str, Seen]] = field(default_factory=dict)  # by reader
    refused: dict[str, dict[str, str]] = field(default_factory=dict)
    # Where the kubeconfig is in the project's directory: by the kubeconfig's name.
    beside: dict[str, dict[str, Any]] = field(default_factory=dict)

    def note(self, reader: str, name: str, seen: Seen | None, why: str) -> None:
        if seen is None:
            self.refused.setdefault(reader, {})[name] = why
        else:
            self.seen.setdefault(reader, {})[name] = seen


@pytest.fixture(scope="module")
def verdicts(
    tmp_path_factory: pytest.TempPathFactory, credentials_judge: Path
) -> Iterator[Verdicts]:
    directory = tmp_path_factory.mktemp("kubeconfigs")
    with ApiServer(directory) as server, Proxy(("127.0.0.1", 0), Passing) as proxy:
        proxy.asked = []
        for each in (server, proxy):
            threading.Thread(target=each.serve_forever, args=(0.02,), daemon=True).start()
        yield asyncio.run(judged(directory, credentials_judge, server, proxy))
        for each in (server, proxy):
            each.shutdown()


async def judged(directory: Path, program: Path, server: ApiServer, proxy: Proxy) -> Verdicts:
    found = Verdicts()
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    files = {}
    for number, (name, text) in enumerate(kubeconfigs.all_of(server.url, url)):
        files[name] = lay_out(directory / str(number), text)
    elsewhere = directory / "project"
    elsewhere.mkdir()
    contents = {name: path.read_bytes().decode(errors="replace") for name, path in files.items()}
    question = {"paths": {name: str(path) for name, path in files.items()}, "contents": contents}
    said = await asyncio.to_thread(judges.ask_about, program, question, elsewhere)
    for reader in ("kubectl", "provider"):
        for name in files:
            why = said[reader][name]
            seen = server.asked.get(f"{reader} {name}") if not why else None
            found.note(reader, name, seen, why)
    with contextlib.chdir(elsewhere):
        await judged_here(found, files, server)
    for name in BESIDE:
        found.beside[name] = await beside(program, name, files[name], server)
    return found


async def judged_here(found: Verdicts, files: Mapping[str, Path], server: ApiServer) -> None:
    for name, path in files.items():
        problems: list[Problem] = []
        read_cluster(str(path), None, problems)
        found.note("settings", name, None if problems else (), "; ".join(map(str, problems)))
        for reader, ask in (("gate", ask_as_gate), ("leave", ask_as_leave)):
            server.asks, why = f"{reader} {name}", ""
            try:
                await ask(str(path))
            except NotPlain:
                continue
            except Exception as error:  # noqa: BLE001 - whatever comes of it
                why = f"{type(error).__name__} {error}"
            found.note(reader, name, None if why else server.asked.get(server.asks), why)


async def beside(program: Path, name: str, path: Path, server: ApiServer) -> dict[str, Any]:
    """Return what readers see of a kubeconfig in whose directory the provider runs."""
    text = await asyncio.to_thread(path.read_text)
    question = {"paths": {name: str(path)}, "contents": {name: text}}
    said = await asyncio.to_thread(judges.ask_about, program, question, path.parent)
    seen: dict[str, Any] = {
        reader: None if said[reader][name] else server.asked[f"{reader} {name}"]
        for reader in ("kubectl", "provider")
    }
    problems: list[Problem] = []
    with contextlib.chdir(path.parent):
        read_cluster(str(path), None, problems)
    return seen | ({"settings": problems} if problems else {})


class NotPlain(Exception):
    """A leaving node's own reader leaves a kubeconfig to the gate's."""


async def ask_as_gate(path: str) -> None:
    connection = await Connection.open(path, None)
    try:
        await connection.request("GET", "/version")
    finally:
        await connection.close()


async def ask_as_leave(path: str) -> None:
    try:
        found = await asyncio.to_thread(credentials.read, path)
    except Exception as error:
        raise NotPlain from error

    async def succeed() -> Requests:
        raise AssertionError("it was refused")

    connection = BriefConnection(found, succeed)
    await connection._request("GET", "/version")
    await connection.close()


def test_all_readers_take_a_kubeconfig_for_the_same(verdicts: Verdicts) -> None:
    found = verdicts.seen
    for name in found["settings"]:
        for reader in ("provider", "gate"):
            assert found[reader].get(name) == found["kubectl"].get(name), (name, reader)
    for name, seen in found["leave"].items():
        assert seen == found["gate"][name], name
    assert len(found["settings"]) > 120
    assert len(found["leave"]) > 80


def test_what_kubectl_refuses_is_not_taken(verdicts: Verdicts) -> None:
    refused = verdicts.refused["kubectl"]
    assert refused.keys() & verdicts.seen["gate"].keys() == set()
    assert refused.keys() & verdicts.seen["leave"].keys() == set()
    # What shows only when a plugin or an API server is asked does not keep the settings.
    certain = {name for name, why in refused.items() if not why.startswith("asked: ")}
    assert certain & verdicts.seen["settings"].keys() == set()
    assert len(certain) > 150


def test_what_kubectl_takes_and_the_settings_refuse_is_listed_here(verdicts: Verdicts) -> None:
    told = {name: verdicts.refused["settings"].get(name) for name in verdicts.seen["kubectl"]}
    refused = {name: why for name, why in told.items() if why}
    found = {name: [r for r in ON_PURPOSE if r in why] for name, why in refused.items()}
    assert {name: refused[name] for name, reasons in found.items() if not reasons} == {}
    assert {reason for reasons in found.values() for reason in reasons} == {*ON_PURPOSE}


def test_paths_beside_a_kubeconfig_count_from_the_project_if_it_is_there(
    verdicts: Verdicts,
) -> None:
    for name, said in verdicts.beside.items():
        if "settings" not in said:
            assert said["kubectl"] == said["provider"] is not None, name
    assert {n for n, said in verdicts.beside.items() if "settings" in said} == FROM_PATH
    assert len(verdicts.beside) == 5
