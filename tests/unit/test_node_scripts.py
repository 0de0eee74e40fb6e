"""The scripts for a node, run for real below a directory, by each shell that is there."""

import dataclasses
import importlib
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import node_files
from node_files import Cluster, File, Node
from tests.unit.node_machine import (
    INSTALL,
    JOIN,
    OTHER_SIGNER,
    REMOVE,
    SHELLS,
    Machine,
    cluster,
    with_shell,
)

FILES = {
    "etc/kubelet.env": "0600",
    "etc/pki/ca.crt": "0644",
    "lib/kubelet/config.yaml": "0600",
    "lib/state/lock": "0600",
    "lib/state/manifest": "0600",
    "systemd/kubelet.service": "0600",
}
NOTHING_TO_DO = {
    "changed": [],
    "repaired": [],
    "removed": [],
    "kubelet": "stopped",
    "skipped": [],
    "notes": [],
}


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return with_shell(tmp_path, request.param)


def ok(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_install_writes_each_file_with_its_mode(machine: Machine) -> None:
    report = ok(machine.install())
    assert machine.files() == FILES
    assert report["kubelet"] == "stopped"
    assert len(report["changed"]) == 4  # type: ignore[arg-type]
    content = {file.path: file.content for file in node_files.files(cluster(), machine.node())}
    assert all(Path(path).read_text() == text for path, text in content.items())


def test_a_second_install_changes_nothing(machine: Machine) -> None:
    machine.install()
    machine.path("fake/active").touch()
    names = FILES.keys() - {"lib/state/lock"}
    before = {name: machine.path(name).stat().st_mtime_ns for name in names}
    report = ok(machine.install())
    assert report == NOTHING_TO_DO | {"kubelet": "running"}
    assert {name: machine.path(name).stat().st_mtime_ns for name in before} == before
    assert not any(call.startswith("restart") for call in machine.calls())


def test_a_changed_file_restarts_a_running_kubelet_once(machine: Machine) -> None:
    machine.install()
    machine.path("fake/active").touch()
    report = ok(machine.install(kubelet={"maxPods": 50}))
    assert report["kubelet"] == "restarted"
    assert report["changed"] == [f"{machine.root}/lib/kubelet/config.yaml"]
    assert [call for call in machine.calls() if call.startswith("restart")] == [
        "restart kubelet.service"
    ]


def test_a_stopped_kubelet_is_not_started(machine: Machine) -> None:
    machine.install()
    assert ok(machine.install(kubelet={"maxPods": 50}))["kubelet"] == "stopped"
    assert not any(call.startswith("restart") for call in machine.calls())


def test_a_mode_that_somebody_changed_is_repaired_without_a_restart(machine: Machine) -> None:
    machine.install()
    machine.path("fake/active").touch()
    machine.path("lib/kubelet/config.yaml").chmod(0o644)
    assert ok(machine.install())["kubelet"] == "running"
    assert machine.files() == FILES


def test_a_run_that_was_cut_before_the_restart_is_made_up_for(machine: Machine) -> None:
    machine.install()
    machine.path("fake/active").touch()
    machine.path("lib/state/restart").touch()
    assert ok(machine.install())["kubelet"] == "restarted"
    assert not machine.path("lib/state/restart").exists()


def test_a_cut_bundle_changes_nothing(machine: Machine) -> None:
    machine.install()
    bundle = node_files.bundle(cluster(), machine.node(kubelet={"maxPods": 50}))
    done = machine.run(INSTALL, bundle[: len(bundle) - 300])
    assert done.returncode != 0
    assert "the bundle is incomplete, nothing was changed" in done.stderr
    assert "maxPods" not in machine.path("lib/kubelet/config.yaml").read_text()


def test_another_kubelet_than_the_settings_say_is_refused_first(machine: Machine) -> None:
    done = machine.install(version="1.36")
    assert done.returncode != 0
    assert 'is "Kubernetes v1.37.2", but the settings say 1.36' in done.stderr
    assert not machine.path("etc").exists()


def test_a_file_of_somebody_else_is_not_overwritten(machine: Machine) -> None:
    machine.path("systemd/kubelet.service").write_text("mine\n")
    done = machine.install()
    assert done.returncode != 0
    assert "was not written by this program" in done.stderr
    assert machine.path("systemd/kubelet.service").read_text() == "mine\n"
    assert not machine.path("etc").exists()


def test_the_same_file_of_somebody_else_is_used_and_not_removed(machine: Machine) -> None:
    ca = machine.path("etc/pki/ca.crt")
    ca.parent.mkdir(parents=True)
    ca.write_text(cluster().ca_certificate)
    ca.chmod(0o644)
    ok(machine.install())
    ok(machine.remove())
    assert machine.files() == {"etc/pki/ca.crt": "0644"}


def test_a_symbolic_link_is_not_followed(machine: Machine) -> None:
    target = machine.path("target")
    target.write_text("precious\n")
    machine.path("etc").mkdir()
    machine.path("etc/kubelet.env").symlink_to(target)
    done = machine.install()
    assert done.returncode != 0
    assert "is a symbolic link" in done.stderr
    assert target.read_text() == "precious\n"


def test_remove_takes_what_was_written_and_nothing_else(machine: Machine) -> None:
    ok(machine.install())
    machine.path("etc/manifests/mine.yaml").write_text("mine\n")
    certificates = machine.path("lib/kubelet/pki")
    (certificates / "kubelet-client-current.pem").write_text("made by the kubelet\n")
    machine.path("etc/kubelet.conf").write_text("made by the kubelet\n")
    ok(machine.remove())
    assert machine.files() == {"etc/manifests/mine.yaml": "0644"}
    assert not machine.path("lib").exists() or not any(machine.path("lib").iterdir())
    assert "disable --now kubelet.service" in machine.calls()


@pytest.mark.parametrize(
    "path",
    [
        {"config": "opt/kubelet/config.yaml"},
        {"root": "data/kubelet", "certificates": "data/kubelet/pki"},
        {"unit": "usr/local/lib/systemd/system/kubelet.service"},
        {"arguments": "etc/default/kubelet.d/kubelet.env"},
    ],
)
def test_a_file_in_a_directory_that_no_machine_has_is_written_and_goes(
    machine: Machine, path: dict[str, str]
) -> None:
    paths = {key: str(machine.path(value)) for key, value in path.items()}
    ok(machine.install(paths=paths))
    for key, value in path.items():
        if key in {"config", "unit", "arguments"}:
            assert machine.path(value).is_file()
            assert machine.path(value).parent.stat().st_mode & 0o777 == 0o755
    ok(machine.remove(paths=paths))
    assert machine.files() == {}
    assert not any(machine.path(value).parent.exists() for value in path.values())


def test_data_below_which_something_is_mounted_is_kept_and_reported(machine: Machine) -> None:
    ok(machine.install())
    data = machine.path("lib/kubelet")
    (data / "pods").mkdir()
    (data / "pods/secret").write_text("x\n")
    mount = f"36 35 0:30 / {data}/pods rw shared:1 - tmpfs tmpfs rw\n"
    machine.path("fake/proc/self/mountinfo").write_text(mount)
    assert ok(machine.remove())["kept"] == [str(data)]
    assert list(machine.files()) == ["lib/kubelet/pods/secret"]


def test_certificates_that_the_kubelet_did_not_make_stay(machine: Machine) -> None:
    certificates = machine.path("lib/kubelet/pki")
    certificates.mkdir(parents=True)
    for name in ("kubelet-key", "kubelet-client-2026-01-01", "kubelet-server-current"):
        (certificates / f"{name}.pem").write_text("x\n")
    ok(machine.install())
    ok(machine.remove())
    assert list(machine.files()) == ["lib/kubelet/pki/kubelet-key.pem"]


def test_removing_what_is_not_there_succeeds(machine: Machine) -> None:
    ok(machine.install())
    ok(machine.remove())
    assert ok(machine.remove()) == {"removed": [], "kept": [], "notes": []}


def test_data_of_a_directory_that_was_there_before_stays(machine: Machine) -> None:
    machine.path("lib/kubelet").mkdir(parents=True)
    machine.path("lib/kubelet/mine").write_text("mine\n")
    ok(machine.install())
    ok(machine.remove())
    assert "lib/kubelet/mine" in machine.files()


def test_a_file_that_somebody_changed_is_repaired_and_reported(machine: Machine) -> None:
    machine.install()
    machine.path("fake/active").touch()
    config = machine.path("lib/kubelet/config.yaml")
    config.write_text("mine\n")
    machine.path("etc/kubelet.env").chmod(0o644)
    machine.path("etc/manifests").rmdir()
    report = ok(machine.install(repair=1, kubelet={"maxPods": 50}))
    assert report == NOTHING_TO_DO | {
        "repaired": [
            str(machine.path(name))
            for name in ("etc/manifests", "lib/kubelet/config.yaml", "etc/kubelet.env")
        ],
        "kubelet": "restarted",
        "restarted": report["restarted"],
    }
    assert machine.files() == FILES | {"lib/state/restarted": "0600"}
    assert "maxPods: 50" in config.read_text()
    assert ok(machine.install(repair=1, kubelet={"maxPods": 50}))["repaired"] == []


REGISTRATION = (
    {"labels": {"tier": "a"}},
    {"labels": {"tier": "b", "rack": "r1"}, "taints": ("gpu=yes:NoSchedule",)},
    {"taints": ("gpu:NoSchedule", "slow:NoExecute")},
    {},
)


def test_labels_and_taints_are_written_and_restart_no_kubelet(machine: Machine) -> None:
    ok(machine.install())
    machine.path("fake/active").touch()
    for settings in REGISTRATION:
        report = ok(machine.install(**settings))
        assert report["kubelet"] == "running"
        assert report["changed"]
        files = node_files.files(cluster(), machine.node(**settings))
        assert all(Path(file.path).read_text() == file.content for file in files)
        assert not machine.path("lib/state/restart").exists()
    assert "restart" not in machine.calls()


def test_what_a_running_kubelet_reads_restarts_it_though_labels_change_too(
    machine: Machine,
) -> None:
    ok(machine.install(labels={"tier": "a"}, taints=("a:NoSchedule",)))
    machine.path("fake/active").touch()
    changed = {"labels": {"tier": "b"}, "taints": ("b:NoSchedule",)}
    report = ok(machine.install(**changed, kubelet={"maxPods": 50}))
    assert report["kubelet"] == "restarted"
    report = ok(
        machine.install(taints=("c:NoSchedule",), kubelet={"maxPods": 50, "podPidsLimit": 9})
    )
    assert report["kubelet"] == "restarted"


def test_labels_that_somebody_has_changed_by_hand_are_repaired_without_a_restart(
    machine: Machine,
) -> None:
    ok(machine.install(labels={"tier": "a"}))
    machine.path("fake/active").touch()
    arguments = machine.path("etc/kubelet.env")
    arguments.write_text(arguments.read_text().replace("tier=a", "tier=b"))
    report = ok(machine.install(labels={"tier": "a"}))
    assert report["repaired"] == [str(arguments)]
    assert report["kubelet"] == "running"


def test_the_page_and_the_script_leave_out_the_same_lines(tmp_path: Path) -> None:
    """What a preview calls no restart is none."""
    everything = {
        "labels": {"tier": "a"},
        "taints": ("gpu=yes:NoSchedule", "slow:NoExecute"),
        "kubelet": {"maxPods": 50, "tlsCipherSuites": ["TLS_AES_128_GCM_SHA256"]},
    }
    script = (Path(node_files.__file__).parent / "files.sh").read_text()
    program = script.partition("registered='")[2].partition("'")[0]
    for file in node_files.files(cluster(), Machine(tmp_path).node(**everything)):
        done = subprocess.run(
            ["awk", program], input=file.content, capture_output=True, text=True, check=True
        )
        assert done.stdout == "\n".join(node_files.without_registration(file.content))


def test_a_file_that_somebody_removed_is_repaired(machine: Machine) -> None:
    machine.install()
    machine.path("lib/kubelet/config.yaml").unlink()
    assert ok(machine.install())["repaired"] == [f"{machine.root}/lib/kubelet/config.yaml"]


def test_what_the_settings_changed_is_not_called_repaired(machine: Machine) -> None:
    machine.install()
    report = ok(machine.install(kubelet={"maxPods": 50}, paths={"user": "daemon"}))
    assert report["repaired"] == []
    assert report["changed"] == [
        f"{machine.root}/lib/kubelet",
        f"{machine.root}/lib/kubelet/config.yaml",
    ]
    assert machine.path("lib/kubelet").owner() == "daemon"


def test_a_list_without_hashes_of_an_earlier_program_is_taken_over(machine: Machine) -> None:
    machine.install()
    manifest = machine.path("lib/state/manifest")
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if not line.startswith("wrote ")))
    assert ok(machine.install(kubelet={"maxPods": 50}))["repaired"] == []
    assert set(manifest.read_text().splitlines()) > {line.strip() for line in lines[:3]}
    ok(machine.remove())
    assert machine.files() == {}


def test_a_file_of_somebody_else_is_replaced_if_the_settings_say_so(machine: Machine) -> None:
    unit = machine.path("systemd/kubelet.service")
    unit.write_text("mine\n")
    report = ok(machine.install(skip_checks=("files",)))
    assert report["skipped"] == ["files"]
    assert str(unit) in report["changed"]  # type: ignore[operator]
    assert unit.read_text().startswith("[Unit]\n")
    ok(machine.remove())
    assert not unit.exists()


def test_directories_above_ours_are_made_for_all_to_enter_and_removed(machine: Machine) -> None:
    ca = machine.path("opt/kubernetes/ssl/ca.crt")
    changes: dict[str, object] = {"paths": {"ca": str(ca)}}
    ok(machine.install(**changes))
    assert {oct(path.stat().st_mode) for path in ca.parents[:3]} == {"0o40755"}
    ok(machine.remove())
    assert not machine.path("opt").exists()


def entries(path: Path) -> list[str]:
    command = ["getfacl", "-cp", str(path)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split("\t")[0] for line in listed.splitlines() if line]


def test_the_kubeconfig_that_the_kubelet_made_is_shared(machine: Machine) -> None:
    shared: dict[str, object] = {"paths": {"kubeconfig_acl": ("u:daemon:r", "g:daemon:r")}}
    joined(machine, "https://10.0.0.9:6443")
    kubeconfig = machine.path("etc/kubelet.conf")
    kubeconfig.chmod(0o600)
    assert ok(machine.install(**shared))["changed"] == [str(kubeconfig)]
    assert {"user:daemon:r--", "group:daemon:r--", "other::---"} < set(entries(kubeconfig))
    assert ok(machine.install(**shared)) == NOTHING_TO_DO


def test_an_acl_of_a_file_is_set_kept_and_taken_away(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("node_files.bundle")
    listed = module.files

    def with_acl(cluster: Cluster, node: Node) -> tuple[File, ...]:
        return tuple(
            dataclasses.replace(file, acl=("u:daemon:r",) if file.path == node.paths.ca else ())
            for file in listed(cluster, node)
        )

    ca = machine.path("etc/pki/ca.crt")
    with monkeypatch.context() as patched:
        patched.setattr(module, "files", with_acl)
        ok(machine.install())
        assert "user:daemon:r--" in entries(ca)
        assert ok(machine.install()) == NOTHING_TO_DO
        subprocess.run(["setfacl", "-m", "u:bin:rw", str(ca)], check=True)
        assert ok(machine.install())["repaired"] == [str(ca)]
        assert "user:bin:rw-" not in entries(ca)
    assert ok(machine.install())["changed"] == [str(ca)]
    assert entries(ca) == ["user::rw-", "group::r--", "other::r--"]


def test_of_a_package_s_unit_only_our_drop_in_is_written_and_removed(machine: Machine) -> None:
    unit = machine.path("systemd/kubelet.service")
    unit.write_text("the package's\n")
    machine.path("fake/FragmentPath").write_text(f"{unit}\n")
    ok(machine.install(unit_drop_in=True))
    drop_in = machine.path("systemd/kubelet.service.d/90-kubelet-tls-bootstrap.conf")
    assert drop_in.exists()
    ok(machine.remove(unit_drop_in=True))
    assert machine.files() == {"systemd/kubelet.service": "0644"}
    assert not drop_in.parent.exists()
    assert "disable --now kubelet.service" in machine.calls()


def test_a_cut_bundle_removes_nothing(machine: Machine) -> None:
    machine.install()
    bundle = node_files.bundle(cluster(), machine.node())
    done = machine.run(REMOVE, bundle[:-30])
    assert "the bundle is incomplete, nothing was removed" in done.stderr
    assert machine.files() == FILES


def test_a_command_may_follow_another_program(machine: Machine) -> None:
    bundle = node_files.bundle(cluster(), machine.node())
    ok(machine.run(f"env -u HOME {INSTALL}", bundle))
    ok(machine.run(f"env -u HOME {REMOVE}", bundle))


# JOIN

# As the kubelet does: the kubeconfig, made of the bootstrap one, then a certificate.
CERTIFICATES = (
    'd=$FAKE/../lib/kubelet/pki; echo x >"$FAKE/../etc/kubelet.conf";'
    ' echo x >"$d/kubelet-client-current.pem"; '
)
SERVING = 'echo x >"$d/kubelet-server-current.pem"'


def test_a_join_ends_when_both_certificates_are_there(machine: Machine) -> None:
    machine.install()
    machine.path("fake/on-start").write_text(CERTIFICATES + SERVING)
    assert ok(machine.join()) == {"joined": True}
    assert "restart kubelet.service" in machine.calls()
    assert not machine.path("etc/bootstrap-kubelet.conf").exists()


def test_a_kubelet_whose_node_is_there_already_asks_once_more(machine: Machine) -> None:
    """It has asked for a certificate with the address of the node's former machine."""
    machine.install()
    journal = machine.path("fake/journal")
    said = ("Node was previously registered", "Successfully registered node")
    journal.write_text("".join(f'I1125 23:42:08.1 369 kubelet.go:1] "{s}"\n' for s in said))
    second = f'[ "$(grep -c "^restart" "$FAKE/systemctl.log")" -lt 2 ] || {{ {SERVING}; }}'
    machine.path("fake/on-start").write_text(CERTIFICATES + second)
    ok(machine.join())
    assert machine.calls().count("restart kubelet.service") == 2


def test_a_kubelet_whose_node_is_new_is_started_once(machine: Machine) -> None:
    machine.install()
    journal = machine.path("fake/journal")
    journal.write_text('I1125 23:42:08.1 369 kubelet.go:1] "Successfully registered node"\n')
    machine.path("fake/on-start").write_text(CERTIFICATES)
    assert "it got no serving certificate" in machine.join().stderr
    assert machine.calls().count("restart kubelet.service") == 1


def test_the_kubeconfig_is_shared_when_the_kubelet_has_made_it(machine: Machine) -> None:
    machine.install()
    machine.path("fake/on-start").write_text(CERTIFICATES + SERVING)
    ok(machine.join(paths={"kubeconfig_acl": ("u:daemon:r", "g:daemon:r")}))
    found = set(entries(machine.path("etc/kubelet.conf")))
    assert {"user:daemon:r--", "group:daemon:r--"} < found


def test_the_bootstrap_kubeconfig_is_private_while_it_is_there(machine: Machine) -> None:
    machine.install()
    machine.path("fake/on-start").write_text(
        'stat -c %a "$FAKE/../etc/bootstrap-kubelet.conf" >"$FAKE/mode";'
        ' cp "$FAKE/../etc/bootstrap-kubelet.conf" "$FAKE/copy";' + CERTIFICATES + SERVING
    )
    ok(machine.join())
    assert machine.path("fake/mode").read_text() == "600\n"
    assert "token: abcdef.0123456789abcdef" in machine.path("fake/copy").read_text()


REASONS = {
    "E1124 10:00:00.0 1 x.go:1] failed to run Kubelet: cannot create certificate signing"
    " request: Unauthorized": "does not accept the token (401)",
    'E1124 10:00:00.0 1 x.go:1] "err" tls: failed to verify certificate: x509: certificate'
    " signed by unknown authority": "did not sign; correct the CA",
    "Error: failed to parse kubelet flag: unknown flag: --network-plugin": "rejects a flag",
    "E1124 10:00:00.0 1 x.go:1] dial tcp 10.0.0.9:6443: connect: connection refused": (
        "does not answer this machine"
    ),
}


@pytest.mark.parametrize(("line", "reason"), REASONS.items())
def test_a_join_that_fails_says_why(machine: Machine, line: str, reason: str) -> None:
    machine.install()
    machine.path("fake/journal").write_text(line + "\n")
    done = machine.join()
    assert done.returncode != 0
    assert reason in done.stderr
    assert line[:40] in done.stderr
    assert not machine.path("etc/bootstrap-kubelet.conf").exists()
    assert machine.calls()[-1] == "disable --now kubelet.service"


def test_a_token_in_the_journal_is_not_printed(machine: Machine) -> None:
    machine.install()
    machine.path("fake/journal").write_text(
        "E1124 10:00:00.0 1 x.go:1] Unauthorized abcdef.0123456789abcdef Bearer secretsecret\n"
    )
    done = machine.join()
    assert "0123456789abcdef" not in done.stdout + done.stderr
    assert "secretsecret" not in done.stdout + done.stderr


def test_what_the_kubelet_says_of_its_configuration_is_no_problem(machine: Machine) -> None:
    machine.install()
    machine.path("fake/journal").write_text(
        'I1124 10:00:00.0 1 server.go:1] "Effective" cacheUnauthorizedTTL: 30s Unauthorized\n'
    )
    assert "it got no client certificate" in machine.join().stderr


def test_a_missing_serving_certificate_leaves_the_kubelet_running(machine: Machine) -> None:
    machine.install()
    machine.path("fake/on-start").write_text(CERTIFICATES)
    done = machine.join()
    assert done.returncode != 0
    assert "it got no serving certificate" in done.stderr
    assert "disable --now kubelet.service" not in machine.calls()


def joined(machine: Machine, server: str) -> None:
    """Make the machine look as if it had joined; without openssl its certificate is not read."""
    machine.install()
    machine.joins(server=server)


def test_a_machine_of_another_cluster_is_refused(machine: Machine) -> None:
    joined(machine, "https://elsewhere:6443")
    done = machine.join()
    assert done.returncode != 0
    assert "names another API server" in done.stderr
    assert machine.path("etc/kubelet.conf").exists()


def test_an_api_server_whose_url_only_begins_alike_is_another_one(machine: Machine) -> None:
    joined(machine, "https://10.0.0.9:64430")
    done = machine.join()
    assert done.returncode != 0
    assert "names another API server" in done.stderr


NAMED = {
    "in quotes": 'clusters:\n- cluster:\n    server: "https://10.0.0.9:6443"\n',
    "in single quotes": "clusters:\n- cluster: {server: 'https://10.0.0.9:6443'}\n",
    "JSON": '{"clusters": [{"cluster": {"server": "https://10.0.0.9:6443"}}]}\n',
    "JSON in lines": '{\n  "server" : "https://10.0.0.9:6443",\n  "name": "x"\n}\n',
    "with a slash": "clusters:\n- cluster:\n    server: https://10.0.0.9:6443/\n",
    "with a comment": "clusters:\n- cluster:\n    server: https://10.0.0.9:6443 # ours\n",
    "with CRLF": "clusters:\r\n- cluster:\r\n    server: https://10.0.0.9:6443\r\n",
    "on a line of its own": "clusters:\n- cluster:\n    server:\n      https://10.0.0.9:6443\n",
    "folded": "clusters:\n- cluster:\n    server: >-\n      https://10.0.0.9:6443\n",
}


@pytest.mark.parametrize("text", NAMED.values(), ids=NAMED)
def test_a_kubeconfig_in_any_form_of_yaml_is_read(machine: Machine, text: str) -> None:
    joined(machine, "https://10.0.0.9:6443")
    machine.path("etc/kubelet.conf").write_text(text)
    program = machine.path("fake/bin/openssl")
    program.write_text("#!/bin/sh\necho subject=CN=system:node:node-1,O=system:nodes\n")
    program.chmod(0o755)
    assert ok(machine.join()) == {"joined": True}


SAME_SERVERS = [
    ("https://[fd00::9]:6443", "https://[fd00::9]:6443"),
    ("https://[FD00::9]", "https://[fd00::9]:443"),
    ("https://api.example.com", "https://API.example.com:443/"),
    ("https://api.example.com:6443/", "https://api.example.com:6443"),
]


@pytest.mark.parametrize(("ours", "theirs"), SAME_SERVERS)
def test_a_server_is_the_same_in_every_form_of_its_url(
    tmp_path: Path, ours: str, theirs: str
) -> None:
    script = "".join(
        (Path("node_files") / name).read_text() for name in ("common.sh", "kubelet.sh", "join.sh")
    ).replace('\n"$@"\n', "\n")
    kubeconfig = tmp_path / "kubelet.conf"
    for text in (f"cluster: {{server: {theirs}, name: x}}\n", f'{{"server":"{theirs}"}}'):
        kubeconfig.write_text(text)
        for shell in SHELLS.values():
            done = subprocess.run(
                [*shell, "-c", f"{script}names_our_server"],
                env={"PATH": "/usr/bin:/bin", "server": ours, "kubeconfig": str(kubeconfig)},
                check=False,
            )
            assert done.returncode == 0


@pytest.mark.parametrize(
    "text",
    [
        'clusters:\n- cluster:\n    server: "https://10.0.0.90:6443"\n',
        "# server: https://10.0.0.9:6443\nserver: https://10.0.0.8:6443\n",
        "tls-server-name: https://10.0.0.9:6443\n",
    ],
)
def test_what_only_looks_like_our_server_is_another(machine: Machine, text: str) -> None:
    joined(machine, "https://10.0.0.9:6443")
    machine.path("etc/kubelet.conf").write_text(text)
    assert "names another API server" in machine.join().stderr


def test_a_certificate_of_another_node_is_refused(machine: Machine) -> None:
    joined(machine, "https://10.0.0.9:6443")
    openssl = machine.path("fake/bin/openssl")
    openssl.write_text("#!/bin/sh\necho subject=CN=system:node:node-10,O=system:nodes\n")
    openssl.chmod(0o755)
    done = machine.join()
    assert done.returncode != 0
    assert "belongs to another node" in done.stderr


@pytest.mark.parametrize(
    ("answer", "starts"), [("HTTP/2 200", "start"), ("HTTP/2 404", "restart"), ("", "restart")]
)
def test_a_node_that_has_joined_keeps_its_certificates_and_registers_again(
    machine: Machine, answer: str, starts: str
) -> None:
    """A kubelet registers only when it starts, and somebody may have deleted its Node."""
    joined(machine, "https://10.0.0.9:6443")
    for name, said in (
        ("openssl", "subject=CN=system:node:node-1,O=system:nodes"),
        ("curl", answer),
    ):
        program = machine.path(f"fake/bin/{name}")
        program.write_text(f"#!/bin/sh\necho {said}\n")
        program.chmod(0o755)
    certificate = machine.path("lib/kubelet/pki/kubelet-client-current.pem").readlink()
    assert ok(machine.join()) == {"joined": True}
    assert machine.calls()[-2:] == ["enable kubelet.service", f"{starts} kubelet.service"]
    assert machine.path("lib/kubelet/pki/kubelet-client-current.pem").readlink() == certificate
    assert not machine.path("etc/bootstrap-kubelet.conf").exists()


# The serving certificate is another CA's, and names the node that a file says.
FOREIGN = f"""\
#!/bin/sh
case "$*" in
verify*server-current*) echo '{OTHER_SIGNER}' >&2 && exit 2 ;;
*server-current*) echo subject=O=system:nodes,CN=system:node:$(cat "$FAKE/named") && exit ;;
esac
echo subject=O=system:nodes,CN=system:node:node-1
"""


@pytest.mark.parametrize("named", ["node-1", "node-9", ""])
def test_a_node_that_has_joined_drops_the_serving_certificate_of_another_node_and_cluster(
    machine: Machine, named: str
) -> None:
    """One with its own name stays: a cluster may sign serving certificates with another CA."""
    joined(machine, "https://10.0.0.9:6443")
    openssl = machine.path("fake/bin/openssl")
    openssl.write_text(FOREIGN)
    openssl.chmod(0o755)
    machine.path("fake/named").write_text(named)
    pki = machine.path("lib/kubelet/pki")
    machine.path("fake/on-start").write_text(SERVING_IF_NONE)
    before = (pki / "kubelet-server-current.pem").read_text()
    assert ok(machine.join()) == {"joined": True}
    foreign = named == "node-9"
    assert machine.calls()[-1] == f"{'restart' if foreign else 'start'} kubelet.service"
    assert (pki / "kubelet-server-current.pem").read_text() == ("new\n" if foreign else before)
    assert (pki / "kubelet-server-2026-01-01-00-00-00.pem").exists()


BROKEN = """\
#!/bin/sh
[ "$1" != verify ] || { echo 'openssl: error while loading shared libraries' >&2; exit 127; }
echo subject=O=system:nodes,CN=system:node:node-1
"""


def test_an_openssl_that_fails_is_no_reason_to_refuse_a_node(machine: Machine) -> None:
    joined(machine, "https://10.0.0.9:6443")
    openssl = machine.path("fake/bin/openssl")
    openssl.write_text(BROKEN)
    openssl.chmod(0o755)
    assert ok(machine.join()) == {"joined": True}
    assert machine.calls()[-1] == "start kubelet.service"


NOT_YET_VALID = """\
#!/bin/sh
case "$*" in verify*no_check_time*) exit ;; verify*) exit 2 ;; esac
echo subject=O=system:nodes,CN=system:node:node-1
"""


def test_a_clock_that_is_behind_is_not_told_as_another_clusters_ca(machine: Machine) -> None:
    joined(machine, "https://10.0.0.9:6443")
    openssl = machine.path("fake/bin/openssl")
    openssl.write_text(NOT_YET_VALID)
    openssl.chmod(0o755)
    assert ok(machine.join()) == {"joined": True}


EXPIRED = """\
#!/bin/sh
case "$*" in *checkend*) exit 1 ;; esac
echo subject=CN=system:node:node-1,O=system:nodes
"""
SERVING_IF_NONE = """\
serving=$FAKE/../lib/kubelet/pki/kubelet-server-current.pem
[ -e "$serving" ] || echo new >"$serving"
"""
# A kubelet that takes its time to read the bootstrap kubeconfig, and to get a new certificate.
SLOW = """(
    sleep 0.5
    cp "$FAKE/../etc/bootstrap-kubelet.conf" "$FAKE/copy" || exit 1
    echo new >"$FAKE/../lib/kubelet/pki/kubelet-client-current.pem"
    echo new >"$FAKE/../lib/kubelet/pki/kubelet-server-current.pem"
) >/dev/null 2>&1 &
"""


def test_a_serving_certificate_of_an_older_cluster_is_no_reason_to_say_joined(
    machine: Machine,
) -> None:
    """Its kubeconfig and client certificate were cleared away."""
    machine.install()
    pki = machine.path("lib/kubelet/pki")
    serving = pki / "kubelet-server-current.pem"
    serving.write_text("of an older cluster\n")
    kubeconfig = 'echo "server: x" >"$FAKE/../etc/kubelet.conf"\n'
    machine.path("fake/on-start").write_text(kubeconfig + SLOW)
    assert ok(machine.join()) == {"joined": True}
    assert serving.read_text() == "new\n"
    kept = pki / "kubelet-server-before-join.pem"
    assert kept.read_text() == "of an older cluster\n"


def test_an_expired_certificate_is_not_taken_for_a_new_one(machine: Machine) -> None:
    joined(machine, "https://10.0.0.9:6443")
    openssl = machine.path("fake/bin/openssl")
    openssl.write_text(EXPIRED)
    openssl.chmod(0o755)
    machine.path("fake/on-start").write_text(SLOW)
    assert ok(machine.join()) == {"joined": True}
    pki = machine.path("lib/kubelet/pki")
    assert (pki / "kubelet-client-current.pem").read_text() == "new\n"
    # A kubelet keeps a serving certificate whoever signed it.
    assert (pki / "kubelet-server-current.pem").read_text() == "new\n"
    assert (pki / "kubelet-server-2026-01-01-00-00-00.pem").exists()
    assert "token: abcdef." in machine.path("fake/copy").read_text()


def test_lines_that_repeat_for_each_pod_do_not_hide_the_cause(machine: Machine) -> None:
    machine.install()
    cause = 'E1124 10:00:00.000001       1 a.go:1] "Unable to register" err="forbidden"'
    repeated = [
        f'E1124 10:00:{second:02}.000001    {second} kubelet.go:7] "Unable to register mirror pod"'
        f' pod="kube-system/p-{second % 3}" err="node not found"'
        for second in range(1, 31)
    ]
    machine.path("fake/journal").write_text("\n".join([cause, *repeated]) + "\n")
    told = [line.strip() for line in machine.join().stderr.splitlines() if "E1124" in line]
    assert told == [cause, f"{repeated[-1]} (30 times)"]


# The first kubelet gets nothing; the second one reads its bootstrap kubeconfig late.
SECOND_IS_SLOW = """\
[ "$(grep -c ^restart "$FAKE/systemctl.log")" -gt 1 ] || exit 0
(
    sleep 2
    cp "$FAKE/../etc/bootstrap-kubelet.conf" "$FAKE/copy" || exit 1
    %s
) >/dev/null 2>&1 &
"""


def test_a_join_waits_for_one_that_an_interrupted_run_has_left(machine: Machine) -> None:
    """Which would remove the token that the second one has written, or stop its kubelet."""
    machine.install()
    machine.path("fake/on-start").write_text(SECOND_IS_SLOW % (CERTIFICATES + SERVING))
    with ThreadPoolExecutor() as both:
        first = both.submit(machine.join)  # gives up after a second
        while "restart kubelet.service" not in machine.calls():
            time.sleep(0.05)
        text = node_files.join_bundle(cluster(), machine.node(), "ghijkl", "x" * 16, limit_s=10)
        second = machine.run(JOIN, text)
    assert "it got no client certificate" in first.result().stderr
    assert ok(second) == {"joined": True}
    assert "token: ghijkl." in machine.path("fake/copy").read_text()
    assert machine.path("fake/active").exists()
    assert not machine.path("etc/bootstrap-kubelet.conf").exists()


def test_a_join_changes_nothing_while_another_run_holds_the_lock(machine: Machine) -> None:
    machine.install()
    machine.path("etc/bootstrap-kubelet.conf").write_text("of the other run\n")
    lock = str(machine.path("lib/state/lock"))
    before = machine.calls()
    text = node_files.join_bundle(cluster(), machine.node(), "abcdef", "0123456789abcdef")
    with subprocess.Popen(["flock", "--no-fork", lock, "sleep", "60"]) as other:
        time.sleep(0.3)
        done = machine.run(
            JOIN, text.replace("limit 180", "limit 2").replace("longer_s=70", "longer_s=0")
        )
        other.kill()
    assert done.returncode == 1
    assert done.stderr == (
        f"error: another run has held {lock} for 2 s; wait for it to end and run again\n"
    )
    assert machine.path("etc/bootstrap-kubelet.conf").read_text() == "of the other run\n"
    assert machine.calls() == before


# A journal of which nothing is younger than a file says.
OLD_JOURNAL = """\
#!/bin/sh
for word; do case $word in @*) since=${word#@} ;; esac; done
[ "$since" -gt "$(cat "$FAKE/last")" ] || cat "$FAKE/journal"
"""


@pytest.mark.parametrize("passes", [True, False])
def test_only_a_problem_that_does_not_pass_ends_a_join(tmp_path: Path, passes: bool) -> None:
    machine = Machine(tmp_path)
    machine.path("systemd").mkdir()
    machine.install()
    machine.path("fake/bin/journalctl").write_text(OLD_JOURNAL)
    last = time.time() + (1 if passes else 60)
    machine.path("fake/last").write_text(f"{int(last)}\n")
    machine.path("fake/journal").write_text(
        "E1124 10:00:00.0 1 x.go:1] dial tcp 10.0.0.9:6443: connect: connection refused\n"
    )
    if passes:
        machine.path("fake/on-start").write_text(
            f"(sleep 7; {CERTIFICATES}{SERVING}) >/dev/null 2>&1 &\n"
        )
    text = node_files.join_bundle(cluster(), machine.node(), "abcdef", "0123456789abcdef")
    text = text.replace("patience_s=15", "patience_s=3")
    done = machine.run(JOIN, text)
    assert (done.returncode == 0) == passes, done.stderr
    assert passes or "does not answer this machine" in done.stderr


# Stands before the command as sudo does: it asks for nothing and takes the place of the shell.
SUDO = '#!/bin/sh\n[ "$1" = -n ] || exit 1\nshift\necho "$1" >>"$FAKE/sudo.log"\nexec "$@"\n'


def test_the_commands_work_behind_sudo_with_their_text_on_stdin(machine: Machine) -> None:
    fake = machine.root / "fake"
    (fake / "bin/sudo").write_text(SUDO)
    (fake / "bin/sudo").chmod(0o755)
    bundle = node_files.bundle(cluster(), machine.node())
    for command in (INSTALL, REMOVE):
        done = machine.run(f"{node_files.SUDO}{command}", bundle)
        assert done.returncode == 0, done.stderr
    assert (fake / "sudo.log").read_text() == "timeout\ntimeout\n"
    assert machine.files() == {}
