"""What programs rely on in remote.Command: the connection, and what a machine does to it."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from lab.plugins import command_remote
from lab.plugins.command_output import Execution, Output
from lab.plugins.property_values import UNKNOWN, Secret, plain
from lab.plugins.provider import Operation
from tests.contract import driver, ssh_server
from tests.contract.driver import Engine, PluginError, Provider, Resource
from tests.contract.ssh_server import SshServer

pytestmark = pytest.mark.contract

TOKEN = "command:remote:Command"
DEFAULTS = {"user": "root", "port": 22, "dialErrorLimit": 10, "perDialTimeout": 15}
OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER_HOST_KEY = OTHER_KEY.export_public_key().decode()
NOT_LISTENING = 1


@pytest.fixture
def command(command_provider: Provider) -> Resource:
    return command_provider.resource(TOKEN)


@pytest.fixture
def bastion() -> Iterator[SshServer]:
    with ssh_server.running() as started:
        yield started


def private(key: asyncssh.SSHKey, **options: Any) -> str:
    return key.export_private_key(**options).decode()


def test_create_runs_on_the_machine_with_stdin_and_one_connection(
    command: Resource, machine: SshServer
):
    before = machine.connections
    inputs = {"connection": machine.connection(), "create": "cat; echo e >&2", "stdin": "in\n"}
    identity, state = command.up(inputs)
    assert machine.connections == before + 1
    assert machine.users[-1] == "root"
    assert identity.startswith(command.name)
    assert {**state, "connection": None} == {
        **inputs,
        "connection": None,
        "stdout": "in",
        "stderr": "e",
    }


def test_a_command_that_has_ended_before_its_stdin_comes_has_succeeded(
    machine: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordinary = asyncssh.SSHClientConnection.create_session

    async def slow(*args: Any, **options: Any) -> Any:
        channel, session = await ordinary(*args, **options)
        await channel.wait_closed()
        return channel, session

    monkeypatch.setattr(asyncssh.SSHClientConnection, "create_session", slow)
    inputs = {"connection": {**DEFAULTS, **machine.connection()}, "stdin": "in\n"}
    operation = Operation("c", False, lambda *_, **__: None, threading.Event())
    said: list[str] = []
    output = Output("stdout", said.append)
    command_remote.run(Execution(inputs, "echo well", {}, output, operation))
    assert said == ["well"]


def test_the_whole_connection_is_a_secret_with_its_defaults(command: Resource):
    inputs = {"connection": {"host": "h", "privateKey": "k", "proxy": {"host": "p"}}}
    checked = command.check(inputs)["connection"]
    assert isinstance(checked, Secret)
    assert plain(checked) == {
        **DEFAULTS,
        "host": "h",
        "privateKey": "k",
        "proxy": {**DEFAULTS, "host": "p"},
    }
    secret = command.check({"connection": Secret({"host": UNKNOWN, "user": "u"})})["connection"]
    assert isinstance(secret, Secret)
    assert plain(secret) == {**DEFAULTS, "host": UNKNOWN, "user": "u"}


@pytest.mark.parametrize(
    ("connection", "reason"),
    [
        (None, "Missing required field 'connection' on 'remote.CommandInputs'"),
        ({}, "1 failures decoding:\n\thost: Missing required field 'host' on 'remote.Connection'"),
        ({"host": 1}, "host: Field 'host' on 'remote.Connection' must be a 'string'; got 'float"),
        ({"host": "h", "port": "22"}, "port: Field 'port' on 'remote.Connection' must be a 'float"),
        ({"host": "h", "x": 1}, "x: Unrecognized field 'x' on 'remote.Connection'"),
        ({"host": "h", "proxy": {}}, "Missing required field 'host' on 'remote.ProxyConnection'"),
        ("h", "must be a 'remote.Connection'; got 'string' instead"),
    ],
)
def test_check_names_what_is_wrong_with_a_connection(command: Resource, connection, reason):
    inputs = {} if connection is None else {"connection": connection}
    [(path, said)] = command.failures({**inputs, "create": "true"})
    assert path == "connection"
    assert reason in said


@pytest.mark.parametrize(
    ("create", "error"),
    [
        (
            "echo out; sleep 0.1; echo err >&2; exit 3",
            'Process exited with status 3: running "echo out; sleep 0.1; echo err >&2; exit 3":\n'
            "out\nerr\n",
        ),
        (
            "kill -9 $$",
            'Process exited with status 137 from signal KILL: running "kill -9 $$":\n',
        ),
        (
            ssh_server.DROP,
            "wait: remote command exited without exit status or exit signal: "
            f'running "{ssh_server.DROP}":\n',
        ),
    ],
)
def test_a_failure_tells_the_reason_the_command_and_all_output(
    command: Resource, machine: SshServer, create, error
):
    with pytest.raises(PluginError) as raised:
        command.up({"connection": machine.connection(), "create": create, "stdin": "s3cret"})
    assert str(raised.value) == error


def test_much_goes_both_ways(command: Resource, machine: SshServer):
    inputs = {"create": "cat; cat /dev/null >&2", "stdin": "0123456789\n" * 50_000}
    _, state = command.up({**inputs, "connection": machine.connection(), "logging": "none"})
    assert state["stdout"] + "\n" == inputs["stdin"]


def test_a_command_that_reads_no_stdin_ends(command: Resource, machine: SshServer):
    inputs = {"create": "echo x", "stdin": "y" * 100_000}
    _, state = command.up({**inputs, "connection": machine.connection()})
    assert state["stdout"] == "x"


def test_a_pinned_host_key_may_have_a_host_before_it_and_a_comment_after(
    command: Resource, machine: SshServer
):
    for host_key in (f"127.0.0.1 {machine.host_key}", f"{machine.host_key} a comment\n"):
        connection = machine.connection(hostKey=host_key)
        assert command.up({"connection": connection, "create": "echo ok"})[1]["stdout"] == "ok"


def test_without_a_host_key_any_is_taken(command: Resource, machine: SshServer):
    connection = machine.connection()
    del connection["hostKey"]
    assert command.up({"connection": connection, "create": "echo ok"})[1]["stdout"] == "ok"


ECDSA = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        (
            {"hostKey": OTHER_HOST_KEY},
            "after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch",
        ),
        (
            {"hostKey": ECDSA},
            "after 0 failed attempts: ssh: handshake failed: ssh: no common algorithm for host "
            "key; we offered: [ecdsa-sha2-nistp256]",
        ),
        ({"hostKey": "nonsense"}, "failed to parse host key: ssh: no key found"),
        (
            {"privateKey": private(OTHER_KEY)},
            "after 0 failed attempts: ssh: handshake failed: ssh: unable to authenticate, "
            "attempted methods [none publickey], no supported methods remain",
        ),
        (
            {"privateKey": None, "password": "wrong"},
            "after 0 failed attempts: ssh: handshake failed: ssh: unable to authenticate, "
            "attempted methods [none password keyboard-interactive], no supported methods remain",
        ),
        (
            {"privateKey": private(OTHER_KEY), "password": "wrong"},
            "after 0 failed attempts: ssh: handshake failed: ssh: unable to authenticate, "
            "attempted methods [none publickey password keyboard-interactive], "
            "no supported methods remain",
        ),
        (
            {"privateKey": None},
            "after 0 failed attempts: ssh: handshake failed: ssh: unable to authenticate, "
            "attempted methods [none], no supported methods remain",
        ),
        ({"privateKey": "nonsense"}, "ssh: no key found"),
        (
            {"privateKey": private(OTHER_KEY, passphrase="x", rounds=1)},
            "ssh: this private key is passphrase protected",
        ),
        (
            {
                "privateKey": private(OTHER_KEY, passphrase="x", rounds=1),
                "privateKeyPassword": "y",
            },
            "x509: decryption password incorrect",
        ),
        (
            {"agentSocketPath": "/no/agent"},
            "dial unix /no/agent: connect: no such file or directory",
        ),
        (
            {"port": NOT_LISTENING},
            "after 0 failed attempts: dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        ({"host": "nonsuch.invalid"}, "after 0 failed attempts: dial tcp: lookup nonsuch.invalid"),
    ],
)
def test_a_connection_that_fails_says_why_and_runs_nothing(
    command: Resource, machine: SshServer, tmp_path: Path, changed, error
):
    create = f"touch {tmp_path}/ran"
    with pytest.raises(PluginError) as raised:
        command.up({"connection": machine.connection(**changed), "create": create})
    # Both ends see that they share no algorithm, and the server may end the connection first.
    early = "after 0 failed attempts: ssh: handshake failed: EOF"
    assert str(raised.value).startswith(early if str(raised.value) == early else error)
    assert str(raised.value) != early or "no common algorithm" in error
    assert list(tmp_path.iterdir()) == []


def test_a_password_and_an_encrypted_key_let_in(command: Resource, machine: SshServer):
    key = asyncssh.import_private_key(machine.private_key)
    for changed in (
        {"privateKey": None, "password": ssh_server.PASSWORD},
        {"privateKey": private(key, passphrase="x", rounds=1), "privateKeyPassword": "x"},
    ):
        connection = machine.connection(**changed)
        assert command.up({"connection": connection, "create": "echo ok"})[1]["stdout"] == "ok"


@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="there is no ssh-agent here")
def test_an_agent_is_asked_where_no_key_is_given(
    command: Resource, machine: SshServer, tmp_path: Path
):
    path = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            time.sleep(0.02)
        subprocess.run(
            ["ssh-add", "-q", "-"],
            input=machine.private_key.encode(),
            env=driver.environment(SSH_AUTH_SOCK=str(path)),
            check=True,
        )
        connection = machine.connection(privateKey=None, agentSocketPath=str(path))
        assert command.up({"connection": connection, "create": "echo ok"})[1]["stdout"] == "ok"
    finally:
        agent.terminate()
        agent.wait()


def test_each_failed_dial_is_reported_and_the_limit_is_kept(
    command_provider: Provider, machine: SshServer, engine: Engine
):
    command = command_provider.resource(TOKEN, "dials")
    connection = machine.connection(port=NOT_LISTENING, dialErrorLimit=2)
    with pytest.raises(PluginError, match=r"^after 2 failed attempts: dial tcp"):
        command.up({"connection": connection, "create": "true"})
    time.sleep(0.2)
    logged = [line for line in engine.logged if line.urn == command.urn]
    assert [line.message for line in logged] == [
        "Dial 1/2 failed: retrying",
        "Dial 2/2 failed: retrying",
    ]
    assert all(line.status for line in logged)


def test_a_machine_that_comes_later_is_waited_for(command: Resource):
    key = asyncssh.generate_private_key("ssh-ed25519")
    with ssh_server.running(key) as first:
        connection = first.connection(dialErrorLimit=-1)
    done: list[str] = []
    thread = threading.Thread(
        target=lambda: done.append(
            command.up({"connection": connection, "create": "echo ok"})[1]["stdout"]
        )
    )
    thread.start()
    time.sleep(1)
    with ssh_server.running(key, port=first.port, private_key=first.private_key):
        thread.join(15)
    assert done == ["ok"]


def test_a_bastion_is_gone_through(command: Resource, machine: SshServer, bastion: SshServer):
    connection = machine.connection(proxy=bastion.connection())
    assert command.up({"connection": connection, "create": "echo ok"})[1]["stdout"] == "ok"
    assert bastion.tunnels == [("127.0.0.1", machine.port)]
    assert bastion.connections == 1


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        (
            ({"hostKey": OTHER_HOST_KEY}, {}),
            "proxy: after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch",
        ),
        (
            ({"port": NOT_LISTENING}, {}),
            "proxy: after 0 failed attempts: dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        (({"privateKey": "x"}, {}), "proxy: ssh: no key found"),
        (
            ({}, {"port": NOT_LISTENING}),
            "proxy: after 0 failed attempts: ssh: rejected: connect failed (",
        ),
        (
            ({}, {"hostKey": OTHER_HOST_KEY}),
            "proxy: after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch",
        ),
        # The official provider dials again over the channel that the first dial has closed.
        (
            ({}, {"privateKey": private(OTHER_KEY), "dialErrorLimit": 1}),
            "proxy: after 1 failed attempts: ssh: handshake failed: EOF",
        ),
    ],
)
def test_what_fails_behind_or_at_a_bastion_is_named(
    command: Resource, machine: SshServer, bastion: SshServer, changed, error
):
    outer, inner = changed
    connection = machine.connection(proxy=bastion.connection(**outer), **inner)
    with pytest.raises(PluginError) as raised:
        command.up({"connection": connection, "create": "true"})
    assert str(raised.value).startswith(error)


def test_failed_dials_through_a_bastion_are_told_apart(
    command_provider: Provider, machine: SshServer, bastion: SshServer, engine: Engine
):
    command = command_provider.resource(TOKEN, "proxy-dials")
    for proxy, inner in (
        ({}, {"port": NOT_LISTENING, "dialErrorLimit": 1}),
        ({"port": NOT_LISTENING, "dialErrorLimit": 1}, {}),
    ):
        connection = machine.connection(proxy=bastion.connection(**proxy), **inner)
        with pytest.raises(PluginError, match=r"^proxy: after 1 failed attempts"):
            command.up({"connection": connection, "create": "true"})
    time.sleep(0.2)
    assert [line.message for line in engine.logged if line.urn == command.urn] == [
        "Dial from proxy 1/1 failed: retrying",
        "Dial proxy 1/1 failed: retrying",
    ]


def test_a_variable_that_the_machine_refuses_fails_before_the_command_runs(
    command: Resource, machine: SshServer, tmp_path: Path
):
    accepted = {"connection": machine.connection(), "environment": {"LC_A": "b c"}}
    assert command.up({**accepted, "create": "echo $LC_A"})[1]["stdout"] == "b c"
    refused = {"connection": machine.connection(), "environment": {"A": "b"}}
    with pytest.raises(PluginError, match=r'^could not set environment variable "A": ssh: setenv'):
        command.up({**refused, "create": f"touch {tmp_path}/ran"})
    assert list(tmp_path.iterdir()) == []


def test_the_last_output_is_sent_unless_told_not_to_and_may_be_refused(
    command_provider: Provider, machine: SshServer, engine: Engine
):
    command = command_provider.resource(TOKEN, "previous")
    inputs = {"connection": machine.connection(), "create": "echo c"}
    identity, state = command.up(inputs)

    def warnings(**changed: Any) -> list[str]:
        before = len(engine.logged)
        new = command.check({**inputs, "update": "echo u", **changed})
        assert command.update(identity, state, new)["stdout"] == "u"
        time.sleep(0.2)
        logged = [line for line in engine.logged[before:] if line.urn == command.urn]
        return [line.message for line in logged if line.severity == "WARNING"]

    [warning] = warnings()
    assert warning.startswith("Unable to set 'PULUMI_COMMAND_STDOUT'. This only works if")
    assert warnings(addPreviousOutputInEnv=False) == []


def test_update_runs_update_or_else_create_and_delete_what_the_state_says(
    command: Resource, machine: SshServer, tmp_path: Path
):
    inputs = {"connection": machine.connection(), "create": "echo c", "stdin": "in"}
    identity, state = command.up(inputs)
    again = command.update(identity, state, command.check({**inputs, "stdin": "new"}))
    assert (again["stdout"], again["stdin"]) == ("c", "new")
    new = command.check({**inputs, "update": "echo u", "delete": f"cat > {tmp_path}/gone"})
    updated = command.update(identity, state, new)
    assert updated["stdout"] == "u"
    command.delete(identity, updated)
    assert (tmp_path / "gone").read_text() == "in"
    command.delete(identity, state)  # there is nothing to run
    kept = command.update(identity, state, command.check({"connection": machine.connection()}))
    assert kept["stdout"] == "c"


def test_a_preview_dials_nothing(command: Resource, machine: SshServer):
    inputs = command.check({"connection": machine.connection(), "create": "echo c"})
    before = machine.connections
    _, foreseen = command.create(inputs, preview=True)
    assert foreseen == {**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN}
    state = {**inputs, "stdout": "c", "stderr": ""}
    new = {**inputs, "create": "echo d"}
    assert command.update("it1", state, new, preview=True)["stdout"] == UNKNOWN
    assert machine.connections == before


def test_a_diff_names_a_secret_connection_as_a_whole(command: Resource, machine: SshServer):
    inputs = {"connection": machine.connection(), "create": "a", "triggers": ["t"]}
    old = command.check(inputs)
    state = {**old, "stdout": "", "stderr": ""}

    def kinds(**changed: Any) -> dict[str, str]:
        new = command.check({**inputs, **changed})
        return command.diff("it1", state, new, old_inputs=old).detailed

    assert kinds() == {}
    assert kinds(connection=machine.connection(privateKey="x")) == {"connection": "UPDATE"}
    assert kinds(connection=machine.connection(host=UNKNOWN)) == {"connection": "UPDATE"}
    assert kinds(triggers=["u"]) == {"triggers[0]": "UPDATE"}
    assert kinds(stdin=Secret("x")) == {"stdin": "ADD"}


def test_a_refresh_dials_nothing_and_finds_what_the_state_says(
    command: Resource, machine: SshServer
):
    inputs = command.check({"connection": machine.connection(), "create": "echo c"})
    identity, state = command.create(inputs)
    before = machine.connections
    assert command.read(identity, state, inputs) == (identity, state, inputs)
    assert machine.connections == before


def test_many_machines_are_reached_side_by_side(command_provider: Provider, machine: SshServer):
    started = time.monotonic()
    inputs = {"connection": machine.connection(), "create": "sleep 1", "logging": "none"}
    threads = [
        threading.Thread(target=command_provider.resource(TOKEN, f"side-{n}").up, args=(inputs,))
        for n in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 15
