"""`./ktb` as people run it: from any directory, with what it says and how it ends."""

import base64
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from tests.unit import certificates
from tests.unit.admission import tls_api_server
from tests.unit.certificates import authority

ROOT = Path(__file__).parents[2]
KTB = ROOT / "ktb"


def ktb(
    *arguments: str, cwd: Path = ROOT, program: Path = KTB, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *arguments], cwd=cwd, env={**os.environ, **env}, input="",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("where", ["the root", "below it", "elsewhere"])
def test_the_repositorys_own_stack_renders_from_any_directory(where: str, tmp_path: Path) -> None:
    cwd = {"the root": ROOT, "below it": ROOT / "docs", "elsewhere": tmp_path}[where]
    done = ktb("render", "--node", "node-1", cwd=cwd)
    assert done.returncode == 0
    assert "==> /etc/systemd/system/kubelet.service  0600 root:root <==" in done.stdout


def test_what_is_rendered_needs_no_key_of_the_kubeconfigs_user(tmp_path: Path) -> None:
    """A pipeline that shows a change may have none; it says so."""
    user = {"client-certificate": "/nowhere/client.crt", "client-key": "/nowhere/client.key"}
    kubeconfig = tls_api_server.kubeconfig(tmp_path, "https://10.0.0.9:6443", user)
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    node = {"name": "n1", "address": "10.0.0.1"}
    settings = {"config": {"p:kubeconfigPath": kubeconfig, "p:pools": {"w": {"nodes": [node]}}}}
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(settings))
    done = ktb("render", "--node", "n1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "server: https://10.0.0.9:6443" in done.stdout
    assert "BEGIN CERTIFICATE" in done.stdout
    assert done.stderr == ""


def test_a_server_that_only_this_machine_reaches_is_not_rendered(tmp_path: Path) -> None:
    """Machines would ask themselves; the CA of the same kubeconfig is known all the same."""
    kubeconfig = tls_api_server.kubeconfig(tmp_path, "https://127.0.0.1:6443", {"token": "t"})
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    node = {"name": "n1", "address": "10.0.0.1"}
    settings = {"config": {"p:kubeconfigPath": kubeconfig, "p:pools": {"w": {"nodes": [node]}}}}
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(settings))
    done = ktb("render", "--node", "n1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "server: https://NOT-KNOWN-HERE" in done.stdout
    assert "BEGIN CERTIFICATE" in done.stdout
    (note,) = done.stderr.splitlines()
    assert "note: cluster.server is missing" in note
    assert note.endswith("; what is printed has a placeholder")


def test_nodes_of_another_stack_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    source = {"stack": "o/infra/prod", "output": "workers"}
    settings = {"config": {"p:pools": {"w": {"nodesFrom": source}}}}
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(settings))
    fake = tmp_path / "bin/pulumi"
    fake.parent.mkdir()
    path = {"PATH": f"{fake.parent}:{os.environ['PATH']}"}

    def answers(script: str) -> subprocess.CompletedProcess[str]:
        fake.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/asked\n{script}\n')
        fake.chmod(0o755)
        return ktb("render", "--node", "n1", cwd=tmp_path, **path)

    done = answers("""echo '[{"name": "n1", "address": "10.0.0.1"}]'""")
    assert done.returncode == 0, done.stderr
    assert "==> /etc/systemd/system/kubelet.service" in done.stdout
    asked = "stack output workers --json --stack o/infra/prod --non-interactive\n"
    assert (tmp_path / "asked").read_text() == asked

    done = answers("""echo '[{"name": "n1", "address": "10.0.0.300"}]'""")
    assert done.returncode == 2
    assert 'pools.w.nodesFrom[0].address "10.0.0.300"' in done.stderr

    done = answers("echo 'error: no stack named prod found' >&2; exit 255")
    assert done.returncode == 2
    told = 'pools.w.nodesFrom: the output "workers" of the stack o/infra/prod can\'t be read'
    assert f"{told}: no stack named prod found" in done.stderr

    done = answers("""echo '"[secret]"'""")
    assert done.returncode == 2
    assert 'pools.w.nodesFrom.output "workers" of the stack o/infra/prod is a secret' in done.stderr

    done = answers("echo no JSON")
    assert f"{told}: what pulumi printed is not JSON" in done.stderr


CA, OTHER_CA = (authority(days=days).decode() for days in (2, 3))
KUBECONFIG = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    "clusters": [
        {
            "name": "k",
            "cluster": {
                "server": "https://10.0.0.9:6443",
                "certificate-authority-data": base64.b64encode(CA.encode()).decode(),
            },
        }
    ],
    "users": [{"name": "u", "user": {"token": "[secret]"}}],
}
OF_INFRA = {
    "admin": "[secret]", "half": KUBECONFIG,
    "open": {**KUBECONFIG, "users": [{"name": "u", "user": {"token": "t"}}]},
    "server": "https://api.example.org", "ca": OTHER_CA, "services": "10.97.0.0/16", "word": "word",
}  # fmt: skip


def render(directory: Path, cluster: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Render a node of a stack that takes its cluster from one with these outputs."""
    (directory / "Pulumi.yaml").write_text("name: p\n")
    source = {"from": {"stack": "o/infra/prod", **cluster}}
    pools = {"w": {"nodes": [{"name": "n1", "address": "10.0.0.1"}]}}
    config = {"p:pools": pools, "p:cluster": source}
    (directory / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
    fake = directory / "bin/pulumi"
    (directory / "outputs").mkdir(parents=True)
    fake.parent.mkdir()
    for name, value in OF_INFRA.items():
        (directory / "outputs" / name).write_text(json.dumps(value))
    # With --show-secrets it would have other words.
    fake.write_text(
        f"""#!/bin/sh\n[ "$*" = "stack output $3 --json --stack o/infra/prod --non-interactive" ]"""
        f""" || exit 9\ncat {directory}/outputs/$3\n"""
    )
    fake.chmod(0o755)
    return ktb(
        *("render", "--node", "n1"), cwd=directory, PATH=f"{fake.parent}:{os.environ['PATH']}"
    )


def test_the_cluster_of_another_stack_is_asked_for(tmp_path: Path) -> None:
    done = render(tmp_path, {"kubeconfig": "open"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "server: https://10.0.0.9:6443" in done.stdout
    assert CA in done.stdout


def test_what_that_stack_says_apart_counts(tmp_path: Path) -> None:
    named = {"server": "server", "ca": "ca", "serviceCidr": "services"}
    for number, kubeconfig in enumerate(("open", "admin")):
        directory = tmp_path / str(number)
        directory.mkdir()
        done = render(directory, {"kubeconfig": kubeconfig, **named})
        assert (done.returncode, done.stderr) == (0, "")
        assert "server: https://api.example.org" in done.stdout
        assert OTHER_CA in done.stdout


@pytest.mark.parametrize("kubeconfig", ["admin", "half"])
def test_a_secret_kubeconfig_of_another_stack_is_not_decrypted(
    tmp_path: Path, kubeconfig: str
) -> None:
    done = render(tmp_path, {"kubeconfig": kubeconfig})
    assert done.returncode == 0
    assert (
        "note: cluster.from.kubeconfig is a secret, which is not decrypted here; name the outputs"
        " `server` and `ca` in cluster.from, or set cluster.server and cluster.caPath (in the"
        f' output "{kubeconfig}" of the stack o/infra/prod); what is printed has a placeholder'
        in done.stderr
    )
    assert "https://NOT-KNOWN-HERE" in done.stdout


@pytest.mark.parametrize(
    ("cluster", "told"),
    [
        ({"server": "admin"}, 'cluster.from.server "admin" of the stack o/infra/prod is a secret'),
        (
            {"kubeconfig": "none"},
            'cluster.from: the output "none" of the stack o/infra/prod can\'t',
        ),
        ({}, "cluster.from names no output"),
        ({"server": "word"}, 'cluster.from.server "word" is not an https URL'),
    ],
)
def test_what_can_not_be_taken_from_another_stack_is_told(
    tmp_path: Path, cluster: dict[str, str], told: str
) -> None:
    done = render(tmp_path, cluster)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_without_pulumi_no_stack_can_be_asked_for_nodes(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    source = {"stack": "o/infra/prod", "output": "workers"}
    settings = {"config": {"p:pools": {"w": {"nodesFrom": source}}}}
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(settings))
    done = ktb("render", "--node", "n1", cwd=tmp_path, PATH="/usr/bin:/bin")
    assert done.returncode == 2
    assert "of the stack o/infra/prod can't be read: pulumi is not on PATH" in done.stderr


def test_a_host_key_that_another_stacks_node_lacks_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    source = {"stack": "o/infra/prod", "output": "workers"}
    settings = {"p:pools": {"w": {"nodesFrom": source}}, "p:cluster": {"server": "https://api"}}
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": settings}))
    fake = tmp_path / "bin/pulumi"
    fake.parent.mkdir()
    fake.write_text("""#!/bin/sh\necho '{"n1": {"address": "10.0.0.1"}}'\n""")
    fake.chmod(0o755)
    done = ktb("diff", cwd=tmp_path, PATH=f"{fake.parent}:{os.environ['PATH']}")
    assert done.returncode == 2
    assert 'pools.w.nodesFrom["n1"].hostKey is missing' in done.stderr
    assert '(in the output "workers" of the stack o/infra/prod)' in done.stderr


def test_a_link_to_it_finds_its_program(tmp_path: Path) -> None:
    link = tmp_path / "ktb"
    link.symlink_to(KTB)
    assert ktb("render", "--node", "node-1", cwd=tmp_path, program=link).returncode == 0


def test_the_nearest_project_above_is_the_one_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    pools = {"w": {"nodes": [{"name": "n1", "address": "10.0.0.1"}]}}
    (tmp_path / "Pulumi.dev.yaml").write_text(
        yaml.safe_dump({"config": {"p:pools": pools, "p:cluster": {"caPath": "ca.crt"}}})
    )
    (tmp_path / "ca.crt").write_bytes(certificates.authority(days=9))
    below = tmp_path / "a/settings"  # a package's name: nothing here is imported
    below.mkdir(parents=True)
    (below / "__init__.py").write_text("raise SystemExit(9)\n")
    for cwd in (below, below.parent):
        done = ktb("render", "--node", "n1", cwd=cwd)
        assert done.returncode == 0
        # A relative path in the settings starts at the project's directory.
        assert "-----BEGIN CERTIFICATE-----" in done.stdout


WRONG_USE = {
    "no command": ([], "COMMAND"),
    "an unknown command": (["rendr"], "'rendr'"),
    "no node": (["render"], "--node"),
    "an unknown option": (["report", "--nodes"], "--nodes"),
    "a stack and a file": (["diff", "--stack", "a", "--settings", "b"], "not allowed with"),
    "no number": (["diff", "--parallel", "many"], '"many" is not a whole number from 1'),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG_USE.values(), ids=WRONG_USE)
def test_a_usage_error_is_one_line_and_ends_with_two(arguments: list[str], message: str) -> None:
    done = ktb(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert message in line
    assert line.startswith("ktb")
    assert "--help" in line


def test_without_an_environment_it_says_how_to_make_one(tmp_path: Path) -> None:
    program = tmp_path / "ktb"
    program.write_text(KTB.read_text())
    program.chmod(0o755)
    done = ktb("status", program=program)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{tmp_path}/.venv/bin/python cannot be run; in {tmp_path} run: python3 -m venv" in line


def test_the_interpreter_may_be_another_one(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$PYTHONPATH $*"\n')
    python.chmod(0o755)
    done = ktb("diff", "--node", "a b", KUBELET_TLS_BOOTSTRAP_PYTHON=str(python), PYTHONPATH="/x")
    assert done.stdout == f"{ROOT}:/x -P -m command_line diff --node a b\n"


class Empty(BaseHTTPRequestHandler):
    """An API server without objects."""

    def do_GET(self) -> None:
        body = b'{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    certificate, key = certificates.server("127.0.0.1")
    (tmp_path / "ca.crt").write_bytes(certificate)
    (tmp_path / "server.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server = HTTPServer(("127.0.0.1", 0), Empty)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    path = tmp_path / "kubeconfig"
    url = f"https://127.0.0.1:{server.server_port}"
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": url, "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path.write_text(yaml.safe_dump(document))
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


def test_status_asks_the_cluster_of_the_kubeconfig(kubeconfig: Path) -> None:
    given = ktb("status", "--kubeconfig", str(kubeconfig))
    assert (given.returncode, given.stderr) == (0, "")
    assert "no undecided request" in given.stdout
    from_environment = ktb("status", "--json", KUBECONFIG=str(kubeconfig))
    assert json.loads(from_environment.stdout)["nodes"] == []


def test_status_names_a_kubeconfig_that_is_missing(tmp_path: Path) -> None:
    done = ktb("status", "--kubeconfig", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "nowhere" in line
