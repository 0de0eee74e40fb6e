"""What a stack's file says without `pulumi`, and which files are left to it."""

import json
from pathlib import Path

import pytest

from admission import settings_file

STACK = "organization/joins/dev"
DIRECTORY = {"PULUMI_BACKEND_URL": "file:///states"}
PROJECT = "name: joins\nruntime: python\nconfig:\n  kubeconfigPath:\n    type: string\n"
SETTINGS = """\
encryptionsalt: v1:abc
config:
  joins:kubeconfigPath: ~/.kube/config
  joins:token:
    ttlMinutes: 5
  joins:pools:
    workers:
      kubelet: {maxPods: 40}
      nodes:
        - name: node-1
          address: 10.0.0.1
          force: true
        - name: node-2
          address: fd00::2
    empty:
"""


def read(
    directory: Path,
    settings: str = SETTINGS,
    project: str = PROJECT,
    *,
    stack: str | None = STACK,
    environ: dict[str, str] = DIRECTORY,
) -> dict[str, str] | None:
    (directory / "Pulumi.yaml").write_text(project)
    (directory / "Pulumi.dev.yaml").write_text(settings)
    return settings_file.read(stack, directory, environ)


@pytest.mark.parametrize("stack", [STACK, "dev"])
def test_a_file_that_says_all_is_enough(tmp_path: Path, stack: str) -> None:
    found = read(tmp_path, stack=stack)
    assert found is not None
    assert found["kubeconfigPath"] == "~/.kube/config"
    pools = json.loads(found["pools"])
    assert pools["workers"]["nodes"] == [
        {"name": "node-1", "address": "10.0.0.1", "force": True},
        {"name": "node-2", "address": "fd00::2"},
    ]
    assert pools["empty"] is None


def test_where_the_inventories_are_is_read_too(tmp_path: Path) -> None:
    found = read(tmp_path, f"{SETTINGS}  joins:approver: {{namespace: ktb, enabled: false}}\n")
    assert found is not None
    assert json.loads(found["approver"]) == {"namespace": "ktb"}
    for other in ("{namespace: 12}", "{namespace: {secure: abc}}", "[a]", "text"):
        assert read(tmp_path, f"{SETTINGS}  joins:approver: {other}\n") is None


def test_how_nodes_are_drained_is_read_too(tmp_path: Path) -> None:
    drain = "  joins:drain: {timeoutSeconds: 60, graceSeconds: null, force: false}\n"
    pool = "    workers:\n      drain: {parallel: 3, deleteEmptyDirData: true}\n"
    found = read(tmp_path, SETTINGS.replace("    workers:\n", pool) + drain)
    assert found is not None
    assert json.loads(found["drain"]) == {
        "timeoutSeconds": "60",
        "graceSeconds": None,
        "force": False,
    }
    pools = json.loads(found["pools"])
    assert pools["workers"]["drain"] == {"parallel": "3", "deleteEmptyDirData": True}


@pytest.mark.parametrize(
    "drain",
    [
        "{timeoutSeconds: 0x3c}",
        "{timeoutSeconds: 1e2}",
        "{timeoutSeconds: 060}",
        "{timeoutSeconds: 60.0}",
        "{force: yes}",
        "{secure: v1:abc}",
        "[1]",
        "60",
    ],
)
@pytest.mark.parametrize("of_pool", [True, False])
def test_a_drain_that_readers_may_take_differently_is_left_to_pulumi(
    tmp_path: Path, drain: str, of_pool: bool
) -> None:
    of = f"    workers:\n      drain: {drain}\n" if of_pool else "    workers:\n"
    settings = SETTINGS.replace("    workers:\n", of)
    assert read(tmp_path, settings if of_pool else f"{settings}  joins:drain: {drain}\n") is None


FROM = "  joins:cluster:\n    name: k\n    from: {stack: o/infra/prod, kubeconfig: admin}\n"
PATH = "  joins:kubeconfigPath: ~/.kube/config\n"


def test_the_output_that_is_the_kubeconfig_is_read_too(tmp_path: Path) -> None:
    found = read(tmp_path, SETTINGS.replace(PATH, FROM))
    assert found is not None
    assert "kubeconfigPath" not in found
    assert json.loads(found["cluster"]) == {
        "from": {"stack": "o/infra/prod", "kubeconfig": "admin"}
    }


def test_other_outputs_of_that_stack_go_with_a_path(tmp_path: Path) -> None:
    found = read(tmp_path, SETTINGS + FROM.replace("kubeconfig:", "server:"))
    assert found is not None
    assert found["kubeconfigPath"] == "~/.kube/config"


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS.replace(PATH, FROM.replace("admin", "12")),
        SETTINGS.replace(PATH, FROM.replace("admin", "{secure: v1:abc}")),
        SETTINGS.replace(PATH, FROM.replace("kubeconfig:", "server:")),
        SETTINGS.replace(PATH, FROM + "  joins:kubeconfig: {secure: v1:abc}\n"),
        SETTINGS.replace(PATH, "  joins:cluster: [from]\n"),
        SETTINGS.replace(PATH, "  joins:cluster:\n    from: [from]\n"),
    ],
    ids=["a number", "a secret", "no kubeconfig", "a secret key", "a list", "a list of outputs"],
)
def test_a_cluster_that_is_not_plain_is_left_to_pulumi(tmp_path: Path, settings: str) -> None:
    assert read(tmp_path, settings) is None


def test_what_entries_have_in_common_counts(tmp_path: Path) -> None:
    settings = (
        "config:\n  pools:\n    a:\n      kubelet: &x {force: true}\n"
        "      nodes: [{<<: *x, name: node-1}]\n  kubeconfigPath: /config\n"
    )
    found = read(tmp_path, settings)
    assert found is not None
    assert json.loads(found["pools"])["a"]["nodes"] == [{"name": "node-1", "force": True}]


@pytest.mark.parametrize("key", ["joins:cluster", "cluster"])
def test_where_the_machines_ca_is_is_read_too(tmp_path: Path, key: str) -> None:
    found = read(tmp_path, f"{SETTINGS}  {key}: {{name: prod, caPath: ca.crt}}\n")
    assert found is not None
    assert json.loads(found["cluster"]) == {"caPath": "ca.crt"}
    assert read(tmp_path, f"{SETTINGS}  {key}: {{caPath: {{secure: abc}}}}\n") is None
    assert read(tmp_path, f"{SETTINGS}  other:cluster: 1\n") is not None


@pytest.mark.parametrize(
    "backend", [{}, {"PULUMI_BACKEND_URL": ""}, {"PULUMI_BACKEND_URL": "https://api.pulumi.com"}]
)
def test_a_service_may_hold_the_settings_itself(tmp_path: Path, backend: dict[str, str]) -> None:
    assert read(tmp_path, environ=backend) is None
    in_bucket = f"{PROJECT}backend: {{url: 's3://states'}}\n"
    found = read(tmp_path, project=in_bucket, environ=backend)
    assert (found is None) is bool(backend.get("PULUMI_BACKEND_URL"))


@pytest.mark.parametrize(
    "variable", ["PULUMI_OPTION_CONFIG_FILE", "PULUMI_OPTION_CWD", "PULUMI_OPTION_STACK"]
)
def test_options_for_pulumi_are_pulumis_own(tmp_path: Path, variable: str) -> None:
    assert read(tmp_path, environ={**DIRECTORY, variable: "x"}) is None


@pytest.mark.parametrize("stack", [None, "", "prod", "organization/other/dev", "a/dev", "../dev"])
def test_another_stack_is_left_to_pulumi(tmp_path: Path, stack: str | None) -> None:
    assert read(tmp_path, stack=stack) is None


@pytest.mark.parametrize(
    "project",
    [
        PROJECT.replace("name: joins", "name: other"),
        f"{PROJECT}stackConfigDir: stacks\n",
        "name: joins\nruntime: python\nconfig: stacks\n",
        "- name: joins\n",
        "name: [joins\n",
        "",
    ],
)
def test_another_project_is_left_to_pulumi(tmp_path: Path, project: str) -> None:
    assert read(tmp_path, project=project) is None


@pytest.mark.parametrize("name", ["Pulumi.json", "Pulumi.yml"])
def test_a_project_of_two_files_is_left_to_pulumi(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert read(tmp_path) is None


def test_files_that_are_not_there_are_left_to_pulumi(tmp_path: Path) -> None:
    assert settings_file.read(STACK, tmp_path, DIRECTORY) is None


@pytest.mark.parametrize(
    ("given", "instead"),
    [
        ("encryptionsalt: v1:abc", "environment: [production]"),
        ("joins:kubeconfigPath: ~/.kube/config", "joins:kubeconfig: {secure: v1:abc}"),
        ("~/.kube/config", ""),
        ("~/.kube/config", "12"),
        ("~/.kube/config", "true"),
        ("~/.kube/config", "{secure: v1:abc}"),
        ("joins:token", "other:kubeconfigPath"),
        ("joins:token", "pools"),
        ("joins:pools", "joins:other"),
        ("joins:pools", "other:pools"),
        ("{maxPods: 40}", "{secure: v1:abc}"),
        ("{maxPods: 40}", "[{a: {secure: v1:abc}}]"),
        ("{maxPods: 40}", "!secret abc"),
        ("{maxPods: 40}", "&a [*a]"),
        ("force: true", "force: yes"),
        ("force: true", 'force: "true"'),
        ("force: true", "force: 1"),
        ("name: node-1", "name: 1e3"),
        ("name: node-1", "name: 0x1f"),
        ("name: node-1", "name: true"),
        ("address: 10.0.0.1", "address: 10.0"),
        ("address: 10.0.0.1", "address: [10.0.0.1]"),
        ("    empty:\n", "    empty: {nodes: node-3}\n"),
        ("    empty:\n", "    empty: {nodes: [node-3]}\n"),
        ("    empty:\n", "    empty: node-3\n"),
        ("config:\n", "config: [\n"),
        ("config:\n", "more:\n"),
    ],
)
def test_what_a_file_does_not_say_for_sure_is_left_to_pulumi(
    tmp_path: Path, given: str, instead: str
) -> None:
    assert given in SETTINGS
    assert read(tmp_path, SETTINGS.replace(given, instead, 1)) is None


def test_a_setting_twice_is_left_to_pulumi(tmp_path: Path) -> None:
    assert read(tmp_path, f"{SETTINGS}  pools: {{}}\n") is None
