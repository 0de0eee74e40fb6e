"""The command line: what it reads without the engine, how it reaches hosts, how it ends."""

import asyncio
import re
from pathlib import Path

import pytest
import yaml

from command_line.__main__ import main
from credentials.host_key import HostKeys
from settings.layer import Bastion, Ssh
from settings.model import Host, Machine
from ssh.open_ssh import OpenSsh, ask, open_ssh
from tests.unit.certificates import authority

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER"
SECURE = {"secure": "v1:AAAA:BBBB"}
# Runs the command here, or does as for a host that does not answer.
FAKE_SSH = """\
#!/bin/sh
for last; do :; done
case "$*" in
*10.0.0.2*)
    echo 'ssh: connect to host 10.0.0.2 port 22: No route to host' >&2
    exit 255
    ;;
esac
exec sh -c "$last"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's directory with one stack whose kubeconfig is a secret key."""
    (tmp_path / "Pulumi.yaml").write_text("name: kubelet-tls-bootstrap\nruntime: python\n")
    (tmp_path / "ca.crt").write_bytes(authority(days=9))
    monkeypatch.chdir(tmp_path)
    write_stack(tmp_path, kubeconfig=SECURE)
    return tmp_path


def write_stack(
    project: Path, server: str | None = "https://10.0.0.9:6443", **keys: object
) -> None:
    nodes = [
        {"name": f"n{number}", "address": f"10.0.0.{number}", "hostKey": HOST_KEY}
        for number in (1, 2)
    ]
    settings = {
        "cluster": {"caPath": str(project / "ca.crt"), **({"server": server} if server else {})},
        "pools": {"workers": {"kubelet": {"maxPods": 60}, "nodes": nodes}},
        **keys,
    }
    config = {f"kubelet-tls-bootstrap:{key}": value for key, value in settings.items()}
    (project / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))


def test_render_prints_each_file_with_its_mode_and_owner(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "--node", "n1"]) == 0
    printed = capsys.readouterr()
    assert "==> /var/lib/kubelet/config.yaml  0600 root:root <==\n" in printed.out
    assert "/etc/kubernetes/manifests/  0700 root:root\n" in printed.out
    assert "maxPods: 60\n" in printed.out
    assert (project / "ca.crt").read_text() in printed.out
    assert "server: https://10.0.0.9:6443\n" in printed.out
    assert "token: <token-id>.<token-secret>\n" in printed.out
    assert "n2 of the pool" not in printed.out
    assert printed.err == ""


def test_render_says_what_is_missing_and_prints_the_rest(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stack(project, server=None, kubeconfigPath=".lab/kubeconfig")
    assert main(["render", "--node", "n1", "--settings", "Pulumi.dev.yaml"]) == 0
    printed = capsys.readouterr()
    assert 'note: kubeconfigPath ".lab/kubeconfig" cannot be read' in printed.err
    assert "maxPods: 60\n" in printed.out


@pytest.mark.usefixtures("project")
def test_a_kubeconfig_that_is_not_read_is_not_said_to_name_no_ca(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    write_stack(project, kubeconfigPath=".lab/kubeconfig", cluster={})
    assert main(["render", "--node", "n1"]) == 0
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith('note: kubeconfigPath ".lab/kubeconfig" cannot be read')


def test_wrong_settings_are_reported_and_nothing_is_rendered(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stack(project, stallSeconds=1, repair=-1)
    assert main(["render", "--node", "n1"]) == 2
    printed = capsys.readouterr()
    assert "2 problems in the settings" in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["render", "--node", "x"], 'the settings have no node "x"; they have n1, n2'),
        (["diff", "--stack", "none"], 'Pulumi.none.yaml" cannot be read'),
        (["report", "none.json"], '"none.json" cannot be read: No such file or directory'),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_is_not_there_is_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_file_without_nodes_and_one_without_a_map_are_reported(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text, message in (
        ("config: {}", 'the settings have no node "x"; they have none'),
        ("config: [1]", "config is not a map"),
    ):
        (project / "Pulumi.dev.yaml").write_text(text)
        assert main(["render", "--node", "x"]) == 2
        assert message in capsys.readouterr().err


@pytest.fixture
def fake_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.write_text(FAKE_SSH)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


@pytest.mark.usefixtures("project", "fake_ssh")
def test_diff_ends_with_one_where_files_differ(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "--node", "n1"]) == 1
    printed = capsys.readouterr()
    # This machine is not a node.
    assert "n1: /var/lib/kubelet/config.yaml does not exist\n" in printed.out
    assert "1 of 1 nodes differs" in printed.err


@pytest.mark.usefixtures("project", "fake_ssh")
def test_diff_ends_with_two_where_a_host_does_not_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["diff"]) == 2
    printed = capsys.readouterr()
    assert "n2: ssh: connect to host 10.0.0.2 port 22: No route to host\n" in printed.err
    assert "n1: /var/lib/kubelet/config.yaml does not exist\n" in printed.out


def test_diff_compares_nothing_without_the_ca(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "ca.crt").unlink()
    assert main(["diff"]) == 2
    assert "cluster.caPath" in capsys.readouterr().err


def machine(name: str = "n1", ssh: Ssh | None = None) -> Machine:
    return Machine("pools.w.nodes[0]", Host(name=name, address="10.0.0.1"), ssh or Ssh())


def words(directory: Path, ssh: Ssh, key: str | None = None) -> str:
    way = OpenSsh(
        host_keys=HostKeys(hosts={"n1": HOST_KEY}, bastions={"10.0.0.8:22": "ssh-ed25519 BBBB"}),
        private_keys={ssh.private_key_path: key} if key else {},
    )
    return " ".join(way.command(machine(ssh=ssh), "true", directory))


def test_a_hosts_key_is_pinned_in_a_private_file(tmp_path: Path) -> None:
    line = words(tmp_path, Ssh(port=2222), "a key")
    for name, text in (("known_hosts.n1", f"n1 {HOST_KEY}\n"), ("key", "a key\n")):
        assert (tmp_path / name).read_text() == text
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    for option in (
        "StrictHostKeyChecking=yes", "UserKnownHostsFile=known_hosts.n1", "HostKeyAlias=n1",
        "GlobalKnownHostsFile=/dev/null", "BatchMode=yes", "Port=2222", "IdentityFile=key",
        "IdentitiesOnly=yes",
    ):  # fmt: skip
        assert f"-o {option} " in line
    assert line.startswith("ssh -F none ")
    assert line.endswith("-T root@10.0.0.1 true")


def test_the_agent_is_asked_where_no_key_is_given(tmp_path: Path) -> None:
    assert "Identit" not in words(tmp_path, Ssh())


def test_a_bastions_key_is_pinned_too(tmp_path: Path) -> None:
    bastion = Bastion.model_validate({"address": "10.0.0.8", "user": "jump"})
    line = words(
        tmp_path, Ssh.model_validate({"bastion": bastion, "privateKeyPath": "/k"}), "a key"
    )
    proxy = re.search(r"-o ProxyCommand=(ssh .* jump@10\.0\.0\.8 -W '\[%h\]:%p')", line)
    assert proxy is not None
    assert "StrictHostKeyChecking=yes" in proxy[1]
    assert "IdentityFile=key.bastion" in proxy[1]
    assert (tmp_path / "known_hosts.bastion").read_text() == "bastion ssh-ed25519 BBBB\n"
    assert (tmp_path / "key.bastion").read_text() == "a key\n"


@pytest.mark.usefixtures("fake_ssh")
def test_no_more_hosts_are_asked_at_a_time_than_allowed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = f"echo + >>{log}; sleep 0.1; echo - >>{log}"

    keys = {f"h{i}": HOST_KEY for i in range(6)}
    way = OpenSsh(host_keys=HostKeys(hosts=keys, bastions={}))
    answers = asyncio.run(ask(way, [(machine(name), "") for name in keys], command, parallel=2))
    assert [answer.host for answer in answers] == list(keys)
    assert all(answer.problem == "" for answer in answers)
    running = highest = 0
    for line in log.read_text().split():
        running += 1 if line == "+" else -1
        highest = max(highest, running)
    assert highest == 2


def test_the_secret_key_is_read_by_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pulumi"
    program.write_text('#!/bin/sh\necho "$*"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    way = asyncio.run(open_ssh(HostKeys(hosts={}, bastions={}), [], secret_key_of="dev"))
    assert way.private_keys[None].startswith("config get sshPrivateKey --stack dev")
    assert "sshPrivateKey" not in repr(way)


def test_a_key_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    ssh = Ssh.model_validate({"privateKeyPath": f"{tmp_path}/none"})
    with pytest.raises(ValueError, match=rf"^the SSH key {tmp_path}/none can't be read; correct"):
        asyncio.run(open_ssh(HostKeys(hosts={}, bastions={}), [machine(ssh=ssh)]))
