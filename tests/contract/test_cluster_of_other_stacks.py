"""The cluster from another stack's outputs, with the real engine: taken, told and hidden."""

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from admission.stack_settings import StackSettings
from tests.contract import driver
from tests.contract.engine import PROJECT, STACK, Done, Stack, pulumi
from tests.contract.kubernetes_provider.cluster import running
from tests.contract.other_stack import INFRA, OtherStack
from tests.unit.certificates import authority

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
PROGRAM = """
import pulumi
from stack import reading

async def main():
    stack = await reading.read(pulumi.Config())
    pulumi.export("kubeconfig", stack.credentials.kubeconfig)
    pulumi.export("server", stack.credentials.server)
    pulumi.export("apiServer", stack.credentials.api_server)
    pulumi.export("ca", stack.credentials.ca_certificate)
    pulumi.export("serviceCidr", list(stack.settings.cluster.service_cidr))

pulumi.run(main)
"""
SECRET = "s3cr3t-of-the-administrator"
CA = authority(days=2).decode()


def kubeconfig(token: str = SECRET, server: str = "https://10.0.0.9:6443") -> dict[str, Any]:
    ca = base64.b64encode(CA.encode()).decode()
    cluster = {"server": server, "certificate-authority-data": ca}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": token}}],
    }


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    stack = Stack(tmp_path)
    stack.write_in_this_environment(PROGRAM)
    stack.select()
    return stack


def run(stack: Stack, command: str, *options: str, cluster: Any, **settings: Any) -> Done:
    path = stack.project / f"Pulumi.{STACK}.yaml"
    held = yaml.safe_load(path.read_text()) if path.exists() else {}
    kept = {k: v for k, v in (held.get("config") or {}).items() if isinstance(v, dict)}
    kept = {key: value for key, value in kept.items() if "secure" in value}
    given = {"cluster": cluster, **settings}
    held["config"] = kept | {f"{PROJECT}:{key}": value for key, value in given.items()}
    path.write_text(yaml.safe_dump(held))
    return stack.run(command, *options, "--stack", STACK, PYTHONPATH=str(ROOT))


def up(stack: Stack, cluster: Any, **settings: Any) -> Done:
    return run(stack, "up", "--yes", "--skip-preview", cluster=cluster, **settings)


def source(**outputs: str) -> dict[str, Any]:
    return {"from": {"stack": INFRA, **outputs}}


def of_the_programs(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> StackSettings:
    """The settings as the gate and a node that leaves read them, in the project's directory."""
    monkeypatch.chdir(stack.project)
    monkeypatch.setenv("PATH", f"{pulumi().parent}:{driver.environment()['PATH']}")
    monkeypatch.setenv("PULUMI_HOME", str(stack.directory / "home"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{stack.directory}/state")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "test")
    return StackSettings(f"organization/{PROJECT}/{STACK}")


FORMS = {
    "a YAML text": yaml.safe_dump(kubeconfig()),
    "a JSON text": json.dumps(kubeconfig()),
    "an object": kubeconfig(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_kubeconfig_is_taken_and_stays_one(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    OtherStack(stack.directory).export(secret={"admin": FORMS[form]})
    cluster = source(kubeconfig="admin")
    options = ("--diff", "--json", "--save-plan=plan.json")
    said = [run(stack, "preview", option, cluster=cluster) for option in options]
    said += [up(stack, cluster), run(stack, "preview", "--json", cluster=cluster)]
    said.append(stack.run("stack", "output", "--json", "--stack", STACK))
    said.append(stack.run("stack", "export", "--stack", STACK))
    for done in said:
        assert done.status == 0, done.said
        assert SECRET not in done.said
        assert "but not there" not in done.said
    found = stack.outputs("--show-secrets")
    assert yaml.safe_load(found["kubeconfig"]) == kubeconfig()
    assert found["server"] == found["apiServer"] == "https://10.0.0.9:6443"
    assert found["ca"] == CA
    assert found["serviceCidr"] == ["10.96.0.0/12"]
    assert stack.outputs()["kubeconfig"] == "[secret]"
    assert (stack.project / "plan.json").exists()
    for path in stack.directory.rglob("*"):
        if path.is_file() and path.name != "outputs.json":
            assert SECRET.encode() not in path.read_bytes(), path

    async def read() -> str | None:
        return (await of_the_programs(stack, monkeypatch).kubeconfig()).content

    assert yaml.safe_load(asyncio.run(read()) or "") == kubeconfig()


def test_a_secret_in_an_object_is_one_too(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    OtherStack(stack.directory).export(nested={"admin": [kubeconfig(), "users"]})
    done = up(stack, source(kubeconfig="admin"))
    assert done.status == 0, done.said
    assert "export it" not in done.said
    assert yaml.safe_load(stack.outputs("--show-secrets")["kubeconfig"]) == kubeconfig()
    settings = of_the_programs(stack, monkeypatch)
    found = asyncio.run(settings.kubeconfig()).content
    assert yaml.safe_load(found or "") == kubeconfig()


def test_one_that_is_no_secret_becomes_one_with_a_warning(stack: Stack) -> None:
    OtherStack(stack.directory).export({"admin": kubeconfig()})
    done = up(stack, source(kubeconfig="admin"))
    assert done.status == 0, done.said
    told = "cluster.from.kubeconfig is a secret here, but not there"
    assert told in done.said
    assert f'(in the output "admin" of the stack {INFRA})' in done.said
    assert stack.outputs()["kubeconfig"] == "[secret]"
    options = ("--diff", "--json", "--save-plan=plan.json")
    said = [run(stack, "preview", o, cluster=source(kubeconfig="admin")) for o in options]
    assert not any(SECRET in each.said for each in (done, *said))
    assert SECRET not in (stack.project / "plan.json").read_text()
    # Not in the state of this stack, which holds all outputs of that one.
    assert SECRET not in stack.run("stack", "export", "--stack", STACK).said


def test_what_machines_need_of_a_cluster_is_taken_beside_a_kubeconfig(stack: Stack) -> None:
    other = authority(days=3).decode()
    for ca in (other, base64.b64encode(other.encode()).decode()):
        OtherStack(stack.directory).export(
            {"endpoint": "https://api.example.org", "ca": ca, "services": ["10.97.0.0/16"]},
            {"admin": kubeconfig()},
        )
        names = {"server": "endpoint", "ca": "ca", "serviceCidr": "services"}
        done = up(stack, source(kubeconfig="admin", **names))
        assert done.status == 0, done.said
        found = stack.outputs()
        assert found["server"] == "https://api.example.org"
        assert found["apiServer"] == "https://10.0.0.9:6443"
        assert found["ca"] == other
        assert found["serviceCidr"] == ["10.97.0.0/16"]


def test_a_kubeconfig_of_the_settings_goes_with_the_rest_from_there(stack: Stack) -> None:
    (stack.project / "admin.conf").write_text(yaml.safe_dump(kubeconfig()))
    OtherStack(stack.directory).export({"endpoint": "https://api.example.org"})
    done = up(stack, source(server="endpoint"), kubeconfigPath="admin.conf")
    assert done.status == 0, done.said
    assert stack.outputs()["server"] == "https://api.example.org"


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "no such output": (
        source(kubeconfig="none", server="gone"),
        {},
        [
            f'cluster.from.kubeconfig "none" is no output of the stack {INFRA}, or not yet; run',
            f'cluster.from.server "gone" is no output of the stack {INFRA}, or not yet; run',
        ],
    ),
    "its own stack": (
        {"from": {"stack": f"organization/{PROJECT}/{STACK}", "kubeconfig": "kubeconfig"}},
        {},
        [f'cluster.from.stack "organization/{PROJECT}/{STACK}" is this stack itself; name another'],
    ),
    "its own stack by its short name": (
        {"from": {"stack": STACK, "kubeconfig": "kubeconfig"}},
        {},
        [f'cluster.from.stack "{STACK}" is this stack itself; name another one'],
    ),
    "no output named": (source(), {}, ["cluster.from names no output; give kubeconfig, server"]),
    "no stack named": ({"from": {"kubeconfig": "k"}}, {}, ["cluster.from.stack is missing; set"]),
    "an unknown key": (source(kubeConfig="k"), {}, ["cluster.from.kubeConfig is not a known key"]),
    "secrets": (
        source(kubeconfig="admin", server="hidden", ca="hidden", serviceCidr="hidden"),
        {},
        [
            f'cluster.from.server "hidden" of the stack {INFRA} is a secret, and previews show it',
            f'cluster.from.ca "hidden" of the stack {INFRA} is a secret, and previews show it',
            f'cluster.from.serviceCidr "hidden" of the stack {INFRA} is a secret, and previews',
        ],
    ),
    "given twice": (
        {
            **source(kubeconfig="admin", server="endpoint", ca="endpoint", serviceCidr="endpoint"),
            **{"server": "https://a", "caPath": "ca.crt", "serviceCidr": "10.96.0.0/12"},
        },
        {"kubeconfigPath": "admin.conf"},
        [
            "cluster.from.kubeconfig and kubeconfigPath are both set; remove one of them",
            "cluster.from.server and cluster.server are both set; remove one of them",
            "cluster.from.ca and cluster.caPath are both set; remove one of them",
            "cluster.from.serviceCidr and cluster.serviceCidr are both set; remove one of them",
        ],
    ),
    "wrong forms": (
        source(kubeconfig="list", ca="list"),
        {},
        [
            f'cluster.from.kubeconfig "list" of the stack {INFRA} is no kubeconfig; export its',
            f'cluster.from.ca "list" of the stack {INFRA} is no text; export the CA in PEM',
        ],
    ),
    "wrong plain values": (
        source(kubeconfig="admin", server="word", serviceCidr="word"),
        {},
        [
            'cluster.from.server "word" is not an https URL of a host and its port, without a path',
            'cluster.from.serviceCidr "word" is not a network such as',
            f'(in the output "word" of the stack {INFRA})',
        ],
    ),
    "wrong texts": (
        source(kubeconfig="admin", ca="word"),
        {},
        ['cluster.from.ca is not a certificate in PEM; give one (in the output "word" of the'],
    ),
    "another text": (
        source(kubeconfig="hidden"),
        {},
        [
            "cluster.from.kubeconfig is not a kubeconfig with a current context;"
            f' give one that kubectl can use (in the output "hidden" of the stack {INFRA})'
        ],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_can_not_be_taken_is_one_clear_error(stack: Stack, case: str) -> None:
    cluster, settings, told = WRONG[case]
    plain = {"word": "word", "endpoint": "https://api.example.org", "list": [1]}
    secret = {"admin": kubeconfig(), "hidden": SECRET}
    OtherStack(stack.directory).export(plain, secret)
    done = up(stack, cluster, **settings)
    assert done.status != 0
    for text in told:
        assert text in done.said
    problems = [text for text in told if text.startswith("cluster.")]
    noun = "problem" if len(problems) == 1 else "problems"
    assert f"{len(problems)} {noun} in the settings; nothing was changed" in done.said
    assert "Traceback" not in done.said
    assert SECRET not in done.said


def test_the_secret_key_and_an_output_are_one_too_many(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    OtherStack(stack.directory).export(secret={"admin": kubeconfig()})
    stack.run("config", "set", "--secret", "kubeconfig", "x", "--stack", STACK)
    done = up(stack, source(kubeconfig="admin"))
    assert done.status != 0
    assert "cluster.from.kubeconfig and the secret key kubeconfig are both set" in done.said
    settings = of_the_programs(stack, monkeypatch)
    with pytest.raises(
        ValueError, match=r"the secret key kubeconfig and cluster\.from\.kubeconfig of"
    ):
        asyncio.run(settings.kubeconfig())


def test_a_stack_that_does_not_exist_is_named_with_the_setting(stack: Stack) -> None:
    gone = "organization/machines/gone"
    done = up(stack, {"from": {"stack": gone, "kubeconfig": "admin"}})
    assert done.status != 0
    assert "pulumi:pulumi:StackReference (cluster.from)" in done.said
    assert f'unknown stack "{gone}"' in done.said
    assert "Traceback" not in done.said


def test_a_secret_that_this_run_can_not_decrypt_is_told(stack: Stack) -> None:
    other = OtherStack(stack.directory)
    other.export(secret={"admin": kubeconfig()}, PULUMI_CONFIG_PASSPHRASE="another")
    done = up(stack, source(kubeconfig="admin"))
    assert done.status != 0
    assert "Traceback" not in done.said
    assert (
        f'cluster.from.kubeconfig "admin" of the stack {INFRA} is empty, or a secret that this run'
        " can't decrypt: it needs the passphrase" in done.said
    )


def test_what_that_stack_rotates_is_read_again_by_who_waits(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = OtherStack(stack.directory)
    other.export(secret={"admin": kubeconfig()})
    assert up(stack, source(kubeconfig="admin")).status == 0

    async def rotate() -> tuple[str, str]:
        async with of_the_programs(stack, monkeypatch).kubeconfig_file() as file:
            before = Path(file.path).read_text()  # noqa: ASYNC240
            await asyncio.to_thread(other.export, secret={"admin": kubeconfig("another")})
            assert file.renew is not None
            assert json.loads(await file.renew()) == kubeconfig("another")
            return before, Path(file.path).read_text()  # noqa: ASYNC240

    before, after = asyncio.run(rotate())
    assert (json.loads(before), json.loads(after)) == (kubeconfig(), kubeconfig("another"))


LEAVING = """
import sys
import pulumi
from pulumi_command import local
from stack import reading, state

async def main():
    stack = await reading.read(pulumi.Config())
    leave = f"{sys.executable} -m admission leave n1 --force --stack {state.full_name()}"
    server = stack.credentials.api_server
    local.Command("n1-member", delete=f"{leave} --server {server}")

pulumi.run(main)
"""


def test_a_node_leaves_in_a_destroy_by_what_that_stack_exports_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{pulumi().parent}{os.pathsep}{os.environ['PATH']}")
    stack = Stack(tmp_path, plugins=("pulumi-resource-command",))
    stack.write_in_this_environment(LEAVING)
    stack.select()
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    (tmp_path / "cluster").mkdir()
    with running(tmp_path / "cluster") as cluster:
        cluster.request("POST", "/api/v1/nodes", node)
        other = OtherStack(stack.directory)
        usable = yaml.safe_load(cluster.kubeconfig.read_text())
        (user,) = usable["users"]
        ended = {**usable, "users": [{**user, "user": {"token": "has-ended"}}]}
        other.export(secret={"admin": ended})
        done = up(stack, {**source(kubeconfig="admin"), "server": cluster.server})
        assert done.status == 0, done.said
        done = stack.run("destroy", "--yes", "--skip-preview", PYTHONPATH=str(ROOT))
        assert done.status != 0
        assert "401" in done.said
        assert not cluster.gone("/api/v1/nodes/n1")
        other.export()
        done = stack.run("destroy", "--yes", "--skip-preview", PYTHONPATH=str(ROOT))
        assert done.status != 0
        told = f'the output "admin" of the stack {INFRA} can\'t be read: current stack does not'
        assert told in done.said
        other.export(secret={"admin": usable})
        done = stack.run("destroy", "--yes", "--skip-preview", PYTHONPATH=str(ROOT))
        assert done.status == 0, done.said
        assert cluster.gone("/api/v1/nodes/n1")
        assert user["user"]["client-key-data"][:40] not in done.said


def test_a_stack_that_was_renamed_says_what_to_do_before_a_node_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{pulumi().parent}{os.pathsep}{os.environ['PATH']}")
    stack = Stack(tmp_path, plugins=("pulumi-resource-command",))
    stack.write_in_this_environment(LEAVING)
    stack.select()
    (tmp_path / "cluster").mkdir()
    with running(tmp_path / "cluster") as cluster:
        cluster.request("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}})
        path, server = str(cluster.kubeconfig), {"server": cluster.server}
        done = up(stack, server, kubeconfigPath=path, pools={})
        assert done.status == 0, done.said
        assert stack.run("stack", "rename", "other", "--stack", STACK).status == 0
        words = ("--yes", "--skip-preview", "--stack", "other")
        done = stack.run("destroy", *words, PYTHONPATH=str(ROOT))
        assert done.status != 0
        assert "if it was renamed, run pulumi up once under the new name" in done.said
        assert not cluster.gone("/api/v1/nodes/n1")
        for command in ("up", "destroy"):
            done = stack.run(command, *words, PYTHONPATH=str(ROOT))
            assert done.status == 0, done.said
        assert cluster.gone("/api/v1/nodes/n1")


def test_stacks_that_read_each_other_see_what_the_other_has_left(stack: Stack) -> None:
    """A circle works once the other's output is there; before that it says which run is missing."""
    other = OtherStack(stack.directory)
    other.export({"machines": []})
    done = up(stack, source(kubeconfig="admin"))
    assert done.status != 0
    assert (
        f'"admin" is no output of the stack {INFRA}, or not yet; run pulumi up there' in done.said
    )
    circle = """
dev = pulumi.StackReference("organization/tiny/dev")
pulumi.export("of_dev", dev.get_output("server"))
"""
    with (other.project / "__main__.py").open("a") as program:
        program.write(circle)
    other.export(secret={"admin": kubeconfig()})
    assert up(stack, source(kubeconfig="admin")).status == 0
    other.export(secret={"admin": kubeconfig()})
    told = other.run("stack", "output", "of_dev", "--stack", "infra")
    assert told.said.strip() == "https://10.0.0.9:6443"
