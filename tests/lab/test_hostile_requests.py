"""No hostile request is approved while a gate runs, and the honest ones beside them are.

Runs between `test_bad_input` and `test_join` by name, on the same lab, and leaves it with nothing
joined. One machine has joined, and its certificate is stolen; the token of another, which is dead,
is stolen too; a third is honest.
"""

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from tests.hostile import VECTORS
from tests.hostile.attack import Attack
from tests.hostile.vector import ADDRESSES
from tests.lab.project import Project
from tests.lab.test_failures import quietly, until

pytestmark = pytest.mark.lab

PREFIX = "kubelet-tls-bootstrap:"
ALL_MAY_ASK = "hostile-requesters-may-ask"
STALL_S = 60
CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"


def bootstrap_tokens(project: Project) -> Iterator[dict[str, str]]:
    """What each bootstrap token's Secret holds."""
    for secret in quietly(project, "-n", "kube-system", "get", "secrets")["items"]:
        if secret["type"] == "bootstrap.kubernetes.io/token":
            data = secret.get("data") or {}
            yield {key: base64.b64decode(value).decode() for key, value in data.items()}


def tokens_of_nodes(project: Project) -> dict[str, dict[str, str]]:
    """The live token of each node that has one."""
    return {
        node: token
        for token in bootstrap_tokens(project)
        for node in ADDRESSES
        if token.get("token-secret") and own_group(token, node)
    }


def whole(project: Project, token: dict[str, str]) -> str:
    """The token as it is used."""
    project.token_secrets.add(token["token-secret"])
    return f"{token['token-id']}.{token['token-secret']}"


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
def joining(project: Project) -> Iterator[threading.Thread]:
    """A `pulumi up` whose gate waits for a machine that is dead, when node-1 has joined."""
    original = project.settings()
    settle(project, ["node-1", "node-3"], STALL_S)
    # Whoever is impersonated may ask, so that it is the gate who refuses.
    project.kubectl(
        "create", "clusterrolebinding", ALL_MAY_ASK,
        "--clusterrole=system:node-bootstrapper", "--group=system:authenticated",
    )  # fmt: skip
    running = threading.Thread(target=project.up, kwargs={"check": False})
    running.start()
    try:
        project.run(
            "sh", "-c", "until kubectl wait node/node-1 --for=condition=Ready; do sleep 1; done",
            timeout_s=120,
        )  # fmt: skip
        yield running
    finally:
        running.join()
        project.kubectl("delete", "clusterrolebinding", ALL_MAY_ASK)
        project.write_settings(original)
        project.pulumi("destroy", "--yes", "--skip-preview")


@pytest.fixture(scope="module")
def attack(project: Project, joining: threading.Thread) -> Iterator[Attack]:
    """The certificate of node-1 and the token of node-3, stolen."""
    assert joining.is_alive(), project.transcript[-1]
    tokens = tokens_of_nodes(project)
    world = {f"id-of-{node}": token["token-id"] for node, token in tokens.items()}
    world |= {f"group-of-{node}": own_group(token, node) for node, token in tokens.items()}
    stolen = project.directory / ".lab/stolen.pem"
    stolen.touch(mode=0o600)
    stolen.write_text(project.ssh("node-1", f"cat {CERTIFICATE}"))
    attack = Attack(
        project.settings_of_kubeconfig(), world, stolen, whole(project, tokens["node-3"])
    )
    yield attack
    attack.clear()


def test_no_hostile_request_is_approved_and_honest_ones_beside_them_are(attack: Attack) -> None:
    stored = attack.with_all_vectors()
    print(f"{stored} hostile requests stored, {len(VECTORS) - stored} refused by the API server")
    assert stored >= 60


def test_a_stolen_token_lets_in_once_and_its_own_node_only(attack: Attack) -> None:
    attack.with_a_used_token()


@pytest.mark.long
def test_an_honest_machine_joins_beside_a_thousand_junk_requests(
    project: Project, attack: Attack, joining: threading.Thread
) -> None:
    joining.join()  # two runs of one stack can't be
    settle(project, ["node-1", "node-2", "node-3"], 20)
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(project.up, check=False)
        until(lambda: "node-3" in tokens_of_nodes(project))
        attack.steal(whole(project, tokens_of_nodes(project)["node-3"]))
        attack.with_junk()
        second.result()
    assert attack.decided() == set()
    project.kubectl("wait", "node/node-2", "--for=condition=Ready", "--timeout=10s")
    asked, approved = serving_request_of(project, "node-2")
    print(f"approved after {approved - asked}")
    assert approved - asked <= timedelta(seconds=60)


def serving_request_of(project: Project, node: str) -> tuple[datetime, datetime]:
    """When the node asked last for its serving certificate, and when that was approved."""
    asked = [
        item
        for item in project.get("csr")["items"]
        if item["spec"]["username"] == f"system:node:{node}"
    ]
    item = max(asked, key=lambda item: str(item["metadata"]["creationTimestamp"]))
    (condition,) = item["status"]["conditions"]
    assert condition["type"] == "Approved"
    return (
        datetime.fromisoformat(item["metadata"]["creationTimestamp"]),
        datetime.fromisoformat(condition["lastUpdateTime"]),
    )
