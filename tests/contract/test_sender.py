"""What is sent to a machine over OpenSSH arrives; what goes wrong is told, and nothing secret."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest

from credentials import Credentials
from credentials.private_key import for_engine
from node_files import Delivery
from settings.layer import Ssh
from settings.model import Host, Machine
from stack.sender import Sender
from tests.contract import ssh_server
from tests.contract.ssh_server import SshServer

pytestmark = pytest.mark.contract

TOKEN = "abcdef.0123456789abcdef"
NOBODY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0000000000000000000000000000000000000000000"


@pytest.fixture
def server() -> Iterator[SshServer]:
    with ssh_server.running() as started:
        yield started


def send(server: SshServer, command: str, stdin: str = TOKEN, **changes: object) -> None:
    """Send to the machine, with the stack's secret key in the engine's form."""
    values = {
        "kubeconfig_path": None,
        "kubeconfig": None,
        "server": "https://10.0.0.9:6443",
        "api_server": "https://10.0.0.9:6443",
        "ca_certificate": "",
        "private_key": pulumi.Output.secret(for_engine(server.private_key)),
        "host_keys": {"n1": server.host_key},
        "bastion_keys": {},
        "key_files": {},
    }
    port = changes.pop("port", server.port)
    sender = Sender(Credentials(**(values | changes)))  # type: ignore[arg-type]
    machine = Machine("n1", Host(name="n1", address="127.0.0.1"), Ssh(port=port, user="root"))
    asyncio.get_event_loop().run_until_complete(
        sender.send(machine, Delivery(command=command, stdin=stdin))
    )


def test_what_is_sent_arrives_and_nothing_is_left_here(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    here = tmp_path / "brought"
    seen = tmp_path / "seen"
    look = f"find {tmp_path}/kubelet-tls-bootstrap-* -printf '%m %f\\n' | sort >{seen}"
    send(server, f"{look}; cat >{here}")
    assert here.read_text() == TOKEN
    assert server.connections == 1
    (directory, key, known) = (line.split() for line in seen.read_text().splitlines()[::-1])
    assert directory[0] == "700"
    assert {tuple(key), tuple(known)} == {("600", "key"), ("600", "known_hosts.n1")}
    assert not list(tmp_path.glob("kubelet-tls-bootstrap-*"))


def test_a_command_that_fails_says_why_and_nothing_of_what_was_sent(server: SshServer) -> None:
    with pytest.raises(ValueError, match=r"^n1 \(127\.0\.0\.1\): no room$") as raised:
        send(server, "echo 'error: no room' >&2; exit 1")
    assert TOKEN not in str(raised.value)


def test_another_host_key_is_told(server: SshServer) -> None:
    with pytest.raises(ValueError, match=r"^n1 \(127\.0\.0\.1\): its host key is not the pinned"):
        send(server, "true", host_keys={"n1": NOBODY})
    assert server.users == []


def test_a_machine_that_does_not_answer_is_told(server: SshServer) -> None:
    with pytest.raises(ValueError, match=r"^n1 \(127\.0\.0\.1\): .*Connection refused"):
        send(server, "true", port=1)


def test_a_missing_ssh_is_told(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PATH", "/nowhere")
    with pytest.raises(ValueError, match="ssh is not on PATH; install it"):
        send(server, "true")
