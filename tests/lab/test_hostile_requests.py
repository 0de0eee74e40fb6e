"""No hostile request is approved while a gate runs, and the honest ones beside them are.

Runs between `test_bad_input` and `test_join` by name, on the same lab, and leaves it with nothing
joined. One machine has joined, and its certificate is stolen; the token of another, which is dead,
is stolen too; a third is honest.
"""

import base64
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from admission.rules import MOST_PENDING
from tests.hostile import VECTORS
from tests.hostile.vector import (
    ADDRESSES,
    HONEST_LOOKING,
    THIEF_OF_CERTIFICATE,
    THIEF_OF_TOKEN,
    Vector,
    client,
    client_vector,
    dns,
    serving,
)
from tests.lab.api_server import CSRS, Caller, administrator, object_of
from tests.lab.project import Project

pytestmark = pytest.mark.lab

PREFIX = "kubelet-tls-bootstrap:"
ALL_MAY_ASK = "hostile-requesters-may-ask"
STALL_S = 60
JUNK = 1000
JUNK_CALLERS = 4
# What an honest request needs at most while nobody floods.
PROMPT_S = 10
BATCH = MOST_PENDING - 5


@dataclass
class Attack:
    """The stolen credentials, and what was made with them."""

    project: Project
    world: dict[str, str]  # what `{id-of-NODE}` and `{group-of-NODE}` stand for
    kubeconfig: dict[str, Any]
    directory: Path
    token: str
    joining: threading.Thread  # the `pulumi up` whose gate is attacked
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.admin = administrator(self.kubeconfig, self.directory)
        self.callers = {
            THIEF_OF_CERTIFICATE: self.with_certificate(),
            THIEF_OF_TOKEN: self.with_token(),
        }

    def with_certificate(self) -> Caller:
        return Caller(self.kubeconfig, self.directory / "stolen.pem")

    def with_token(self) -> Caller:
        return Caller(self.kubeconfig, token=self.token)

    def ask(self, vector: Vector) -> tuple[int, dict[str, Any]]:
        """Make the request as an object, and return the API server's answer."""
        body = object_of(vector, f"hostile-{next(self.numbers)}")
        if vector.by in self.callers:
            return self.callers[vector.by].post(CSRS, body)
        return self.admin.post(CSRS, body, vector.by.known(self.world))

    def approved(self) -> dict[str, dict[str, Any]]:
        """Each of our requests that somebody has approved or signed."""
        items = self.project.get("csr")["items"]
        return {
            item["metadata"]["name"]: item
            for item in items
            if item["metadata"]["name"].startswith("hostile-") and item.get("status")
        }

    def await_approval(self, vector: Vector) -> None:
        """Make an honest request, and wait for the gate to approve it."""
        status, answer = self.ask(vector)
        assert status == 201, answer
        deadline = time.monotonic() + PROMPT_S
        while (name := answer["metadata"]["name"]) not in self.approved():
            assert time.monotonic() < deadline, f"{vector.title} was not approved"
            time.sleep(0.3)
        self.project.kubectl("delete", "csr", name)

    def clear(self) -> None:
        names = [csr["metadata"]["name"] for csr in self.project.get("csr")["items"]]
        ours = [name for name in names if name.startswith("hostile-")]
        for start in range(0, len(ours), 200):
            self.project.kubectl("delete", "csr", *ours[start : start + 200])


def bootstrap_tokens(project: Project) -> Iterator[dict[str, str]]:
    """What each bootstrap token's Secret holds."""
    for secret in project.get("secrets", "-n", "kube-system")["items"]:
        if secret["type"] == "bootstrap.kubernetes.io/token":
            data = secret.get("data") or {}
            yield {key: base64.b64decode(value).decode() for key, value in data.items()}


def own_group(token: dict[str, str], node: str) -> str:
    """The token's group that names the node, or nothing."""
    groups = token["auth-extra-groups"].split(",")
    return next((group for group in groups if group.endswith(f":{node}")), "")


def settle(project: Project, names: list[str], stall_s: int) -> None:
    """Write settings with these nodes, whose client requests the gate approves."""
    settings = project.settings()
    config = settings["config"]
    config[f"{PREFIX}approval"] = {"client": "gate"}
    config[f"{PREFIX}token"] = {"scope": "node"}
    config[f"{PREFIX}stallSeconds"] = stall_s
    known_hosts = (project.directory / ".lab/known_hosts").read_text().splitlines()
    some_key = known_hosts[0].split(maxsplit=1)[1]
    nodes = [{"name": name, "address": ADDRESSES[name]} for name in names]
    for node in nodes:
        if node["name"] == "node-3":  # no machine has this address
            node["hostKey"] = some_key
    config[f"{PREFIX}pools"]["workers"]["nodes"] = nodes
    project.write_settings(settings)


@pytest.fixture(scope="module")
def attack(project: Project) -> Iterator[Attack]:
    """Credentials that are stolen while a gate waits for a machine that is dead."""
    original = project.settings()
    settle(project, ["node-1", "node-3"], STALL_S)
    # Whoever is impersonated may ask, so that it is the gate who refuses.
    project.kubectl(
        "create", "clusterrolebinding", ALL_MAY_ASK,
        "--clusterrole=system:node-bootstrapper", "--group=system:authenticated",
    )  # fmt: skip
    joining = threading.Thread(target=project.up, kwargs={"check": False})
    joining.start()
    try:
        project.run(
            "sh", "-c", "until kubectl wait node/node-1 --for=condition=Ready; do sleep 1; done",
            timeout_s=90,
        )  # fmt: skip
        tokens = {
            node: token
            for token in bootstrap_tokens(project)
            for node in ADDRESSES
            if own_group(token, node)
        }
        world = {f"id-of-{node}": token["token-id"] for node, token in tokens.items()}
        world |= {f"group-of-{node}": own_group(token, node) for node, token in tokens.items()}
        stolen = project.directory / ".lab/stolen.pem"
        stolen.touch(mode=0o600)
        stolen.write_text(
            project.ssh("node-1", "cat /var/lib/kubelet/pki/kubelet-client-current.pem")
        )
        token = f"{tokens['node-3']['token-id']}.{tokens['node-3']['token-secret']}"
        project.token_secrets.add(tokens["node-3"]["token-secret"])
        attack = Attack(
            project, world, project.settings_of_kubeconfig(), stolen.parent, token, joining
        )
        yield attack
        attack.clear()
    finally:
        joining.join()
        project.kubectl("delete", "clusterrolebinding", ALL_MAY_ASK)
        project.write_settings(original)
        project.pulumi("destroy", "--yes", "--skip-preview")


def batches() -> Iterator[list[Vector]]:
    """The vectors, few enough of each requester at once to be no flood."""
    waiting = list(VECTORS)
    while waiting:
        batch: list[Vector] = []
        for vector in waiting:
            if sum(other.by == vector.by for other in batch) < BATCH:
                batch.append(vector)
        waiting = [vector for vector in waiting if vector not in batch]
        yield batch


def test_no_hostile_request_is_approved_and_honest_ones_beside_them_are(attack: Attack) -> None:
    stored = 0
    honest = Vector(title="an honest request of node-1", pem=HONEST_LOOKING, reason="")
    wrong: list[str] = []
    for batch in batches():
        for vector in batch:
            status, answer = attack.ask(vector)
            said = answer.get("message", "")
            stored += status == 201
            if (status == 201) == bool(vector.unstored) or vector.unstored not in said:
                wrong.append(f"{vector.title}: {status} {said}")
        attack.await_approval(honest)  # the gate has seen all that came before it
        assert attack.approved() == {}
        attack.clear()
    assert wrong == []
    print(f"{stored} hostile requests stored, {len(VECTORS) - stored} refused by the API server")
    assert stored >= 60


def test_a_stolen_token_lets_in_once_and_its_own_node_only(attack: Attack) -> None:
    own = client_vector("node-3's own name", client("node-3"), "")
    attack.await_approval(own)
    for name in ("node-3", "node-2"):
        status, _ = attack.ask(client_vector("again", client(name), ""))
        assert status == 201
    attack.await_approval(Vector(title="honest", pem=HONEST_LOOKING, reason=""))
    assert attack.approved() == {}
    attack.clear()


def test_an_honest_machine_joins_beside_a_thousand_junk_requests(attack: Attack) -> None:
    project = attack.project
    attack.joining.join()  # two runs of one stack can't be
    settle(project, ["node-1", "node-2", "node-3"], 20)
    vectors = [
        Vector(title="junk", pem=serving(dns("kubernetes")), reason=""),
        client_vector("junk", client("node-2"), ""),
    ]

    def flood(caller: Caller, vector: Vector) -> list[int]:
        names = [f"hostile-{next(attack.numbers)}" for _ in range(JUNK // JUNK_CALLERS)]
        return [caller.post(CSRS, object_of(vector, name))[0] for name in names]

    callers = [
        attack.with_certificate() if i % 2 == 0 else attack.with_token()
        for i in range(JUNK_CALLERS)
    ]
    with ThreadPoolExecutor(JUNK_CALLERS + 1) as threads:
        joining = threads.submit(project.up, check=False)
        floods = [threads.submit(flood, caller, vectors[i % 2]) for i, caller in enumerate(callers)]
        statuses = [status for flooding in floods for status in flooding.result()]
        joining.result()
    assert statuses == [201] * JUNK
    assert attack.approved() == {}
    project.kubectl("wait", "node/node-2", "--for=condition=Ready", "--timeout=10s")
    for item in project.get("csr")["items"]:
        if item["spec"]["username"] == "system:node:node-2":
            asked = datetime.fromisoformat(item["metadata"]["creationTimestamp"])
            (condition,) = item["status"]["conditions"]
            approved = datetime.fromisoformat(condition["lastUpdateTime"])
            assert condition["type"] == "Approved"
            print(f"approved after {approved - asked}")
            assert (approved - asked).total_seconds() <= 60
            break
    else:
        pytest.fail("node-2 has made no serving request")
