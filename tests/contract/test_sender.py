"""What is sent to a machine over OpenSSH arrives; what goes wrong is told, and nothing secret."""

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from credentials import Credentials
from credentials.private_key import for_engine, read_private_keys
from node_files import Delivery
from settings.layer import Ssh
from settings.model import Host, Machine
from settings.problem import Problem
from ssh import open_ssh
from stack.sender import Sender
from tests.contract import ssh_server
from tests.contract.ssh_server import SshServer

pytestmark = pytest.mark.contract

TOKEN = "abcdef.0123456789abcdef"
NOBODY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0000000000000000000000000000000000000000000"


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """An event loop: an Output outside of any program wants one, and `asyncio.run` leaves none."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def server() -> Iterator[SshServer]:
    with ssh_server.running() as started:
        yield started


def send(server: SshServer, command: str, stdin: str = TOKEN, **changes: object) -> None:
    """Send to the machine, with the stack's secret key in the engine's form."""
    ssh = changes.pop("ssh", Ssh(port=server.port, user="root"))
    host = changes.pop("host", Host(name="n1", address="127.0.0.1"))
    assert isinstance(ssh, Ssh)
    assert isinstance(host, Host)
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
    sender = Sender(Credentials(**(values | changes)))  # type: ignore[arg-type]
    machine = Machine("n1", host, ssh)
    asyncio.get_event_loop().run_until_complete(
        sender.send(machine, Delivery(command=command, stdin=stdin))
    )


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are: a name that ssh would read in another way."""
    directory = tmp_path / 'a "b" %h'
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.setattr(open_ssh, "PAUSE_S", 0.01)
    return directory


def test_what_is_sent_arrives_and_nothing_is_left_here(server: SshServer, temporary: Path) -> None:
    here, seen = temporary.parent / "brought", temporary.parent / "seen"
    look = f"find '{temporary}'/kubelet-tls-bootstrap-* -printf '%m %f\\n' | sort >{seen}"
    send(server, f"{look}; cat >{here}")
    assert here.read_text() == TOKEN
    assert server.connections == 1
    (directory, key, known) = (line.split() for line in seen.read_text().splitlines()[::-1])
    assert directory[0] == "700"
    assert {tuple(key), tuple(known)} == {("600", "key"), ("600", "known_hosts.n1")}
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("there", ["127.0.0.1", "localhost"])
@pytest.mark.usefixtures("temporary")
def test_a_machine_is_reached_at_its_ssh_address(server: SshServer, there: str) -> None:
    elsewhere = {"name": "n1", "address": "192.0.2.1", "sshAddress": there}
    host = Host.model_validate(elsewhere)
    send(server, "cat", host=host)
    assert server.connections == 1

    # A bastion is given it as it is, and looks up a name itself.
    bastion = {"address": "localhost", "port": server.port, "user": "jump"}
    ssh = Ssh.model_validate({"port": server.port, "bastion": bastion})
    keys = {f"localhost:{server.port}": server.host_key}
    send(server, "cat", host=host, ssh=ssh, bastion_keys=keys)
    assert server.tunnels == [(there, server.port)]
    assert server.users == ["root", "jump", "root"]


KEYS = {
    "no final newline": lambda key: key.rstrip("\n"),
    "lines of Windows": lambda key: key.replace("\n", "\r\n"),
    "text before it": lambda key: f"my key:\n{key}",
}


@pytest.mark.parametrize("form", KEYS)
@pytest.mark.usefixtures("temporary")
def test_a_key_file_that_the_engine_takes_is_taken(
    server: SshServer, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "my key 100%"
    path.write_bytes(KEYS[form](server.private_key).encode())  # mode 0644
    problems: list[Problem] = []
    ssh = Ssh(port=server.port, user="root")
    ssh = Ssh.model_validate({**ssh.model_dump(by_alias=True), "privateKeyPath": str(path)})
    keys = read_private_keys([("ssh", ssh)], problems)
    assert problems == []
    send(server, "cat", ssh=ssh, private_key=None, key_files=keys)
    assert server.connections == 1


def test_ctrl_c_leaves_no_key_here(server: SshServer, temporary: Path) -> None:
    """It ends the program at once, whatever that would still do."""
    ended = temporary.parent / "ended"  # as soon as its stdin ends
    directory = temporary / "kubelet-tls-bootstrap-x"
    program = f"""
import asyncio, os, pathlib, threading, time
from ssh.run import cleaning_up, run
directory = pathlib.Path({str(directory)!r})
directory.mkdir()
(directory / "key").write_text("k")
threading.Timer(1, os._exit, [130]).start()
asyncio.run(run("n1", cleaning_up(directory, ["sh", "-c", "sleep 2; cat; echo >{ended}"]), "x" * 9))
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode in (0, 130)
    deadline = time.monotonic() + 20
    while directory.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not directory.exists()
    assert ended.exists()


def test_a_command_that_fails_says_why_and_nothing_of_what_was_sent(server: SshServer) -> None:
    with pytest.raises(ValueError, match=r"^n1 \(127\.0\.0\.1\): no room$") as raised:
        send(server, "echo 'error: no room' >&2; exit 1")
    assert TOKEN not in str(raised.value)


def test_what_a_hostile_machine_prints_is_cut_and_made_printable(server: SshServer) -> None:
    noise = "head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2"
    error = f"printf '\\nerror: {TOKEN} \\033[31m%0999d\\n' 1 >&2"
    with pytest.raises(ValueError, match=r"^n1 ") as raised:
        send(server, f"{error}; {noise}; exit 1")
    first, second = str(raised.value).splitlines()
    assert (first + second).isprintable()
    assert "<token> ?[31m000" in first
    assert {len(first.partition(": ")[2]), len(second)} == {300 - len("error: "), 300}


def test_all_lines_of_an_error_are_told(server: SshServer) -> None:
    with pytest.raises(ValueError, match=r"^n1 \(127\.0\.0\.1\): it fails:\n  E1 one\n  E2 two$"):
        send(
            server, "echo noise >&2; printf 'error: it fails:\\n  E1 one\\n  E2 two\\n' >&2; exit 1"
        )


@pytest.mark.usefixtures("temporary")
def test_another_host_key_is_told(server: SshServer) -> None:
    with pytest.raises(ValueError, match=r"^n1 \(127\.0\.0\.1\): its host key is not the pinned"):
        send(server, "true", host_keys={"n1": NOBODY})
    assert server.users == []
    assert server.connections == 1


@pytest.mark.usefixtures("temporary")
def test_a_key_that_is_not_accepted_is_told_at_once(server: SshServer) -> None:
    other = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(ValueError, match=r"^n1 .*: it accepts none of the SSH keys for this user"):
        send(server, "true", private_key=pulumi.Output.secret(other.decode()))
    assert server.connections == 1


@pytest.mark.usefixtures("temporary")
def test_a_machine_that_does_not_answer_is_told(server: SshServer) -> None:
    with pytest.raises(ValueError, match=r"^n1 \(127\.0\.0\.1\): .*Connection refused"):
        send(server, "true", ssh=Ssh(port=1))


@pytest.mark.usefixtures("temporary")
def test_a_connection_that_a_busy_server_drops_is_tried_again(server: SshServer) -> None:
    """As sshd does beyond its MaxStartups."""
    with dropping(server.port, times=2) as port:
        send(server, "cat", ssh=Ssh(port=port, user="root"))
    assert server.connections == 1
    with dropping(server.port, times=3) as port, pytest.raises(ValueError, match=r"^n1 "):
        send(server, "cat", ssh=Ssh(port=port, user="root"))


@contextlib.contextmanager
def dropping(port: int, *, times: int) -> Iterator[int]:
    """Forward connections to a port, but for the first ones, which are dropped."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def forward() -> None:
            with contextlib.suppress(OSError):
                for number in itertools.count():
                    client, _ = listening.accept()
                    if number < times:
                        client.close()
                        continue
                    there = socket.create_connection(("127.0.0.1", port))
                    for pair in ((client, there), (there, client)):
                        threading.Thread(target=pump, args=pair, daemon=True).start()

        threading.Thread(target=forward, daemon=True).start()
        yield listening.getsockname()[1]


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_missing_ssh_is_told(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PATH", "/nowhere")
    with pytest.raises(ValueError, match="ssh is not on PATH; install it"):
        send(server, "true")
