"""The report of a preview: what is shared is reported once, and nothing secret or encoded is."""

import json
import os
from pathlib import Path

import pytest

from components.control_plane import control_plane_input
from preview.markdown import Block, fence, fit, names
from preview.report import LIMIT, report
from tests.unit.certificates import authority
from tests.unit.preview_digest import (
    COMMAND,
    PROGRAM,
    ROOT,
    SECRET,
    STACK,
    digest,
    gate_step,
    node_steps,
    settings,
    step,
    token_steps,
)

DOCUMENT = Path(__file__).parents[2] / "docs/preview.md"
BEGIN, END = "<!-- example: begin -->\n", "<!-- example: end -->\n"


def fifty(**first: object) -> dict[str, dict[str, object]]:
    return {f"node-{number}": dict(first if number == 1 else {}) for number in range(1, 51)}


def flags_step() -> dict[str, object]:
    keys = [f"/etc/kubernetes/pki/{name}.key" for name in ("ca", "new")]
    urn = f"{STACK}{PROGRAM}ControlPlane${COMMAND}::cp-1-flags"
    old, new = (
        {
            "stdin": control_plane_input(
                "cp", manage=True, signing_certificate="/etc/kubernetes/pki/ca.crt", signing_key=key
            )
        }
        for key in keys
    )
    return step("update", urn, f"{STACK}{PROGRAM}ControlPlane::control-plane", old, new, "stdin")


def example() -> str:
    """A pool of 50 whose settings change, one node of it that differs, one in, one out."""
    nodes = fifty()
    before = settings(nodes, kubelet={"maxPods": 200, "evictionHard": {"memory.available": "1Gi"}})
    nodes = {**nodes, "node-7": {"kubelet": {"podPidsLimit": 4096}}, "node-9": {"generation": 2}}
    nodes["node-51"] = {}
    after = settings(nodes, kubelet={"maxPods": 60, "evictionHard": {"memory.available": "2Gi"}})
    gone = after.pools["workers"].nodes[49]
    pool = after.pools["workers"].model_copy(
        update={"nodes": tuple(n for n in after.pools["workers"].nodes if n != gone)}
    )
    after = after.model_copy(update={"pools": {"workers": pool}})
    return digest(
        *node_steps(before, after), *token_steps("workers"), gate_step("workers"), flags_step()
    )


def test_the_example_in_the_documentation_is_what_the_report_says() -> None:
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    shown, _, after = rest.partition(END)
    made = report(example())
    if os.environ.get("UPDATE_GOLDEN"):
        DOCUMENT.write_text(f"{before}{BEGIN}{made}{END}{after}")
    assert shown == made


def test_what_a_pool_shares_is_reported_once() -> None:
    before, after = settings(fifty()), settings(fifty(), kubelet={"maxPods": 60})
    told = report(digest(*node_steps(before, after)))
    assert told.count("+maxPods: 60") == 1
    assert "on `node-1` to `node-50`: the kubelet restarts" in told
    assert "The kubelets of 50 nodes of the pool `workers` restart in one run." in told


def test_a_shared_change_is_reported_once_though_lines_beside_it_differ() -> None:
    own = {name: {"kubelet": {"maxPods": 10 + i}} for i, name in enumerate(fifty())}
    before, after = settings(own), settings(own, flags={"v": "4"})
    told = report(digest(*node_steps(before, after)))
    assert told.count("+--v=4") == 1


def test_labels_annotations_and_taints_are_a_change_of_the_node_and_no_restart() -> None:
    role = {"node-role.kubernetes.io/worker": ""}
    before = settings(fifty(), labels={"rack": "r1"}, taints=["gpu=yes:NoSchedule"])
    after = settings(
        fifty(), labels={"rack": "r2", **role}, annotations={"owner": "a\nb"}, taints=[]
    )
    told = report(digest(*node_steps(before, after), gate_step("workers", "replace")))
    assert "**50 nodes change.**" in told
    assert "restarts" not in told.replace("nothing restarts", "")
    for part in (
        "**Labels of the Node** on `node-1` to `node-50`: no restart\n\n```diff\n"
        "+node-role.kubernetes.io/worker=\n-rack=r1\n+rack=r2\n```",
        "**Annotations of the Node** on `node-1` to `node-50`: no restart\n\n```diff\n"
        "+owner=a\\nb\n```",
        "**Taints of the Node** on `node-1` to `node-50`: no restart\n\n```diff\n"
        "-gpu=yes:NoSchedule\n```",
        "**`/etc/kubernetes/kubelet.env`: the labels and taints for the next registration**",
    ):
        assert part in told
    assert "--node-labels" not in told


def test_what_only_the_api_server_is_told_is_reported_without_a_change_of_files() -> None:
    before, after = settings(fifty()), settings({**fifty(), "node-7": {"annotations": {"a": "b"}}})
    told = report(digest(*node_steps(before, after)))
    assert "**1 node changes.**" in told
    assert "**Annotations of the Node** on `node-7`: no restart\n\n```diff\n+a=b\n```" in told
    assert "script" not in told


def test_a_taint_that_evicts_pods_is_said_to() -> None:
    before = settings(fifty(), taints=["old:NoExecute"])
    after = settings(fifty(), taints=["a:NoSchedule", "b:NoExecute"])
    told = report(digest(*node_steps(before, after)))
    nodes = "on `node-1` to `node-50`: no restart"
    evicting = f"{nodes}; pods that do not tolerate it are evicted\n\n```diff\n+b:NoExecute\n```"
    assert f"**Taints of the Node** {evicting}" in told
    assert f"**Taints of the Node** {nodes}\n\n```diff\n-old:NoExecute\n+a:NoSchedule\n```" in told


def test_what_an_earlier_release_has_not_recorded_is_no_change() -> None:
    same = settings(fifty(), labels={"rack": "r1"})
    steps = node_steps(same, same)
    del steps[0]["oldState"]["inputs"]["attributes"]
    assert "Nothing changes." in report(digest(*steps))


def test_what_a_node_has_of_its_own_is_reported_beside_what_its_pool_shares() -> None:
    nodes = fifty()
    before = settings(nodes, kubelet={"maxPods": 200})
    after = settings({**nodes, "node-7": {"kubelet": {"podPidsLimit": 9}}}, kubelet={"maxPods": 60})
    told = report(digest(*node_steps(before, after)))
    assert told.count("-maxPods: 200\n+maxPods: 60") == 1
    assert "on `node-7`: the kubelet restarts\n\n```diff\n+podPidsLimit: 9\n```" in told


def test_entries_that_come_at_one_place_are_told_apart() -> None:
    nodes = fifty()
    before = settings(nodes)
    after = settings(
        {**nodes, "node-7": {"kubelet": {"podPidsLimit": 9}}},
        kubelet={
            "maxPods": 60,
            "nodeStatusReportFrequency": "6m0s",
            "kubeReserved": {"cpu": "100m"},
        },
    )
    told = report(digest(*node_steps(before, after)))
    assert (
        "```diff\n+kubeReserved:\n+  cpu: 100m\n+maxPods: 60\n+nodeStatusReportFrequency: 6m0s\n```"
    ) in told
    assert "on `node-7`: the kubelet restarts\n\n```diff\n+podPidsLimit: 9\n```" in told


def test_a_changed_item_of_a_list_is_reported_with_its_field() -> None:
    before = settings(
        {"n": {}}, kubelet={"allowedUnsafeSysctls": ["kernel.msg*", "net.ipv4.route.min_pmtu"]}
    )
    after = settings(
        {"n": {}}, kubelet={"allowedUnsafeSysctls": ["kernel.msg*", "net.core.somaxconn"]}
    )
    told = report(digest(*node_steps(before, after)))
    assert "@@ allowedUnsafeSysctls @@\n-- net.ipv4.route.min_pmtu\n+- net.core.somaxconn\n" in told


def test_a_preview_without_changes_says_so() -> None:
    same = settings(fifty())
    told = report(digest(*node_steps(same, same)))
    assert told == "## Preview of the stack `production`\n\nNothing changes.\n"


def test_lines_that_are_only_moved_elsewhere_in_the_settings_are_no_change() -> None:
    a = settings(
        {"n": {}},
        kubelet={"maxPods": 1, "evictionHard": {"pid.available": "1%", "memory.available": "1Gi"}},
    )
    b = settings(
        {"n": {}},
        kubelet={"evictionHard": {"memory.available": "1Gi", "pid.available": "1%"}, "maxPods": 1},
    )
    assert "Nothing changes." in report(digest(*node_steps(a, b)))


def test_a_changed_script_is_reported() -> None:
    same = settings(fifty())
    told = report(digest(*node_steps(same, same, script="1")))
    assert "The node script changed; it runs again" in told
    assert "restart in one run" not in told


def test_a_certificate_is_reported_by_what_it_says() -> None:
    same = settings({"n": {}})
    told = report(digest(*node_steps(same, same, ca=authority(days=9).decode())))
    assert "BEGIN CERTIFICATE" not in told
    assert "+(certificate of CN=" in told
    assert "`/etc/kubernetes/pki/ca.crt`" in told


def test_a_raised_repair_says_what_it_does() -> None:
    told = report(digest(*node_steps(settings({"n": {}}), settings({"n": {"repair": 1}}))))
    assert "Files that were changed by hand are written again (`repair` 1)" in told
    assert "where one was changed, the kubelet restarts" in told


def test_a_node_that_leaves_is_drained_and_one_that_is_dead_is_given_up() -> None:
    before = settings({"b": {}, "a": {}})
    told = report(digest(*node_steps(before, settings({"b": {"force": True}}))))
    assert "> - `a` is drained: its pods are evicted, then its Node is deleted." in told
    assert "> - `b` is removed without a drain" in told
    assert "- **Leave:** `a`; the kubelet stops, and the files" in told
    assert "- **Leave:** `b`; nothing connects to the machine" in told
    assert "**2 nodes leave, 1 node is drained.**" in told


def test_a_dead_node_that_is_taken_out_later_is_neither_drained_nor_reached() -> None:
    before = settings({"a": {"force": True}, "b": {}})
    told = report(digest(*node_steps(before, settings({}))))
    assert "`a` is" not in told
    assert "> - `b` is drained" in told
    assert "- **Leave:** `a`; nothing connects to the machine" in told


def test_a_machine_that_becomes_another_node_is_no_change_of_files() -> None:
    """The new node takes over the resource of the old one, by its URN."""
    before, after = settings({"a": {}, "b": {}}), settings({"a": {}, "c": {}})
    steps = node_steps(before, after)
    (gone,) = (s for s in steps if s["urn"].endswith("::b-files"))
    (new,) = (s for s in steps if s["urn"].endswith("::c-files"))
    steps.remove(gone)
    new |= {"op": "update", "oldState": gone["oldState"], "detailedDiff": {"stdin": {}}}
    told = report(digest(*steps))
    assert "> - `b`: its machine becomes `c`, if it was reinstalled. It refuses if" in told
    assert "- **Leave:** `b`; its Node is deleted\n" in told
    assert "- **Join:** `c`; the files are written" in told
    assert "**1 node joins, 1 node leaves.**" in told
    assert "restart" not in told


def test_nodes_without_a_known_pool_are_grouped_by_their_change() -> None:
    before, after = settings(fifty()), settings(fifty(), kubelet={"maxPods": 60})
    steps = [s for s in node_steps(before, after) if s["op"] != "same"]
    for entry in steps:
        # As earlier releases had it: the node's own component is not in the preview.
        entry["newState"]["parent"] = f"{STACK}{PROGRAM}NodePool${PROGRAM}Node::n"
    told = report(digest(*steps))
    assert "### Nodes\n" in told
    assert told.count("+maxPods: 60") == 1


def test_a_changed_connection_is_reported_once_and_not_shown() -> None:
    (pool, entry, *_) = node_steps(settings({"n": {}}), settings({"n": {"repair": 1}}))
    entry["detailedDiff"] = {"connection.port": {}, "connection.privateKey": {}}
    told = report(digest(pool, entry))
    assert told.count("The SSH connection changed; the files are compared again") == 1


def test_another_way_of_leaving_changes_nothing_now() -> None:
    same = settings({"n": {}})
    (member,) = (s for s in node_steps(same, same) if s["urn"].endswith("n-member"))
    told = report(digest({**member, "op": "update", "detailedDiff": {"delete": {}}}))
    assert "**The node's leave command changed** on `n`: nothing happens now\n" in told
    assert "restart" not in told


def test_files_that_are_replaced_are_warned_of() -> None:
    same = settings({"n": {}})
    (files,) = (s for s in node_steps(same, same) if s["urn"].endswith("n-files"))
    told = report(digest({**files, "op": "replace"}))
    assert "> - The files of `n` are replaced, which no setting asks for" in told


def test_a_join_that_an_earlier_release_has_named_elsewhere_does_not_run() -> None:
    steps = node_steps(settings({"n": {}}), settings({"n": {"generation": 2}}))
    (member,) = (s for s in steps if s["urn"].endswith("n-member"))
    assert "- **Rejoin:** `n`;" in report(digest(member))
    member["oldState"]["inputs"].pop("stdin")
    assert "Rejoin" not in report(digest(member))


def test_pools_are_known_from_the_settings_that_the_engine_notes() -> None:
    before, after = settings({"n": {}}), settings({"n": {}}, kubelet={"maxPods": 60})
    noted = {"kubelet-tls-bootstrap:pools": json.dumps({"workers": {"nodes": [{"name": "n"}]}})}
    steps = [s for s in node_steps(before, after) if s["op"] != "same"]
    assert "### Pool `workers`\n" in report(digest(*steps, config=noted))


def test_warnings_of_the_engine_are_reported_but_not_where_its_plugins_are() -> None:
    notes = [
        {"severity": "warning", "message": "warning: the cluster does not answer\n"},
        {"severity": "warning", "message": "warning: using pulumi-resource-x from $PATH at /x"},
        {
            "severity": "warning",
            "message": "resource plugin x is expected to have version >=2.0.0, but has 1.0.0; the"
            " wrong version may be on your path, or this may be a bug in the plugin",
        },
    ]
    same = settings({"n": {}})
    told = report(digest(*node_steps(same, same), diagnostics=notes))
    assert "Nothing changes." in told
    assert "> - the cluster does not answer\n" in told
    assert "$PATH" not in told


def test_the_tokens_parts_are_reported_as_one() -> None:
    told = report(digest(*token_steps("workers"), gate_step("workers")))
    assert told.count("the bootstrap token of the pool `workers`") == 1
    assert SECRET not in told


def test_a_token_of_a_node_is_not_called_a_pool_s() -> None:
    nodes = settings({"n": {}})
    told = report(digest(*node_steps(nodes, nodes), *token_steps("n"), *token_steps("workers")))
    assert told.count("the bootstrap token of the node `n`") == 1
    assert told.count("the bootstrap token of the pool `workers`") == 1


def test_tokens_of_many_nodes_are_one_row() -> None:
    nodes = settings({f"n{number}": {} for number in range(1, 13)})
    steps = [s for number in range(1, 13) for s in token_steps(f"n{number}", "delete", pool="w")]
    told = report(digest(*node_steps(nodes, nodes), *steps, *token_steps("workers")))
    row = "| deleted | the bootstrap token of the nodes `n1` to `n12` | of an earlier run |"
    assert row in told
    assert told.count("bootstrap token") == 2


def test_a_warning_of_more_lines_stays_in_its_quotation() -> None:
    told = report(digest(diagnostics=[{"severity": "warning", "message": "a\n\n# b"}]))
    assert "> - a\n>   \n>   # b\n" in told


def test_other_resources_are_reported_by_kind_and_name() -> None:
    role = (
        f"{STACK}{PROGRAM}BootstrapRbac$kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
    )
    told = report(digest(step("delete", f"{role}::kubelet-bootstrap", ROOT, {"a": 1})))
    assert "| deleted | ClusterRoleBinding `kubelet-bootstrap` |  |" in told


def test_a_control_plane_that_may_restart_is_warned_of() -> None:
    told = report(digest(flags_step()))
    assert "> - On the control plane (`cp-1`) kube-apiserver and kube-controller-manager" in told
    assert "+flag kube-controller-manager --cluster-signing-key-file=" in told


def test_errors_are_reported_and_no_token_in_them() -> None:
    wrong = [{"severity": "error", "message": "refused abcdef.0123456789abcdef ```"}]
    told = report(digest(diagnostics=wrong))
    assert "**The preview failed.**\n\n````text\nrefused <token> ```\n````" in told
    assert "Nothing changes" not in told


def test_a_report_is_never_longer_than_a_comment_may_be() -> None:
    nodes = {f"{i:03}-n": {"labels": {f"{j}-{'v' * 50}": f"v{i}" for j in range(20)}}
             for i in range(300)}  # fmt: skip
    told = report(digest(*node_steps(settings({name: {} for name in nodes}), settings(nodes))))
    assert len(told) <= LIMIT
    assert "300 nodes change" in told
    assert "left out to save space; see `pulumi preview --diff`" in told


def test_text_without_a_diff_is_cut_at_a_line() -> None:
    text = fit([Block(text="word\n" * 1000)], 300)
    assert len(text) <= 300
    assert text.endswith("(cut: the report is longer than a comment can be)\n")


def test_no_content_breaks_out_of_its_fence() -> None:
    assert fence(["+```", "+# heading"]) == "````diff\n+```\n+# heading\n````"


NAMES = [
    (["a"], "`a`"),
    (["n-1", "n-2"], "`n-1`, `n-2`"),
    (["n-1", "n-2", "n-3", "n-5", "db"], "`n-1` to `n-3`, `n-5`, `db`"),
    (["n-08", "n-09", "n-10"], "`n-08`, `n-09`, `n-10`"),
]


@pytest.mark.parametrize(("listed", "told"), NAMES)
def test_consecutive_names_are_reported_as_a_range(listed: list[str], told: str) -> None:
    assert names(listed) == told


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "{}", '{"steps": [1]}', json.dumps({"steps": [{}]})]
)
def test_what_is_no_preview_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give what `pulumi preview --json` prints"):
        report(text)
