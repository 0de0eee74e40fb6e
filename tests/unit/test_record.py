"""What is known of the nodes before a run, what follows from it, and what is told of it."""

from dataclasses import replace
from typing import Any

import pytest

from settings.parsing import parse
from stack import membership
from stack.changes import warnings
from stack.record import Record
from stack.state import Files, State

KEYS = {None: "SHA256:a"}
EARLIER = {
    "clusterEndpoint": "https://10.0.0.9:6443",
    "bootstrapTokenId": {"workers": "abcdef"},
    "nodes": [
        {
            "name": "n1",
            "address": "10.0.0.1",
            "kubeletVersion": "v1.37.2",
            "servingCertificateEnd": "2027-11-24T00:00:00Z",
        }
    ],
}


def outputs(name: str = "n1", *, joined: bool = True, **recorded: Any) -> dict[str, Any]:
    """The outputs of a run that has recorded one node."""
    entry = {"pool": "workers", "address": "10.0.0.1", "join": "1", "labels": {}, "taints": []}
    entry |= recorded
    known = {name: {"address": entry["address"], "join": entry["join"]}} if joined else {}
    return {"nodes": {"workers": known}, "pendingNodes": [], "record": {"nodes": {name: entry}}}


URN = "urn:pulumi:s::p::kubelet-tls-bootstrap:index:NodePool$"


def of_node(name: str, address: str = "10.0.0.1", key: str | None = None) -> Files:
    """The files of a node in a state."""
    urn = f"{URN}command:remote:Command::{name}-files"
    return Files(urn=urn, address=address, key=key)


def record_of(outputs: dict[str, Any], **joins: str) -> Record:
    """What is known by these outputs if the stack has these joins, and files and members for them.

    The outputs name one node, at 10.0.0.1.
    """
    files = {name: of_node(name) for name in joins}
    members = {name: f"{URN}command:local:Command::{name}-member" for name in joins}
    return Record.of(State(outputs=outputs, files=files, joins=joins, members=members))


def with_its_join(outputs: dict[str, Any]) -> Record:
    """What is known by these outputs, if the stack has the join that they name."""
    recorded = outputs.get("record", {}).get("nodes", {})
    return record_of(outputs, **{name: entry["join"] for name, entry in recorded.items()})


@pytest.mark.parametrize(
    ("recorded", "generation", "address", "expected"),
    [
        ({}, 1, "10.0.0.1", "1"),  # a stack that never ran
        ({}, 3, "10.0.0.1", "3"),
        (EARLIER, 1, "10.0.0.1", "1"),  # the outputs of a release that recorded no join
        (EARLIER, 2, "10.0.0.1", "2"),
        (EARLIER, 1, "10.0.0.2", "1@10.0.0.2"),
        (outputs(), 1, "10.0.0.1", "1"),
        (outputs(), 2, "10.0.0.1", "2@10.0.0.1"),
        (outputs(), 1, "10.0.0.2", "1@10.0.0.2"),
        (outputs(join="1@10.0.0.1"), 1, "10.0.0.1", "1@10.0.0.1"),
        (outputs(join="1@10.0.0.2", address="10.0.0.2"), 1, "10.0.0.1", "1@10.0.0.1"),
        # Pending since: the same again, so that nothing that the last run made is made again.
        (outputs(join="2@10.0.0.1", joined=False), 2, "10.0.0.1", "2@10.0.0.1"),
        (outputs("another"), 1, "10.0.0.1", "1"),
    ],
)
def test_a_join_is_named_by_what_it_depends_on(
    recorded: dict[str, Any], generation: int, address: str, expected: str
) -> None:
    record = with_its_join(recorded)
    assert membership.join("n1", generation, address, record) == expected


@pytest.mark.parametrize(
    ("recorded", "join", "expected"),
    [
        ({}, "1", False),
        (outputs(), "1", True),
        (outputs(), "2@10.0.0.1", False),
        (outputs(joined=False), "1", False),
        # Whether its generation has been raised since is not known.
        (EARLIER, "1", False),
    ],
)
def test_who_has_joined_by_the_record(recorded: dict[str, Any], join: str, expected: bool) -> None:
    assert membership.has_joined("n1", join, record_of(recorded, n1="1")) == expected


@pytest.mark.parametrize("join", ["1", "1@10.0.0.1"])
def test_a_join_whose_node_has_begun_to_leave_gets_another_name(join: str) -> None:
    """A `pulumi destroy` that was interrupted: the token of the former join is dead."""
    told = outputs(join=join)
    whole = with_its_join(told)
    assert membership.join("n1", 1, "10.0.0.1", whole) == join
    for begun in (replace(whole, members={}), replace(whole, joins={})):
        again = membership.join("n1", 1, "10.0.0.1", begun)
        assert again != join
        assert not membership.has_joined("n1", again, begun)
        # Run again, although nothing has joined yet; and once it has.
        failed = outputs(join=again, joined=False)
        assert membership.join("n1", 1, "10.0.0.1", record_of(failed)) == again
        assert membership.join("n1", 1, "10.0.0.1", with_its_join(outputs(join=again))) == again


def test_what_no_outputs_know_has_its_join_and_address_by_the_state() -> None:
    """A run that was interrupted."""
    interrupted = record_of({}, n1="1")
    assert membership.join("n1", 1, "10.0.0.1", interrupted) == "1"
    assert membership.join("n1", 1, "10.0.0.7", interrupted) == "1@10.0.0.7"
    assert membership.join("n1", 2, "10.0.0.1", interrupted) == "2@10.0.0.1"
    moved = parse(changed(nodes=[{"name": "n1", "address": "10.0.0.7"}]))
    (told,) = warnings(moved, interrupted, KEYS)
    assert 'address of n1 was "10.0.0.1"' in told


def test_who_has_joined_by_the_record_has_left_by_a_destroy_that_was_interrupted() -> None:
    assert not membership.has_joined("n1", "1", record_of(outputs()))
    assert not membership.has_joined("n1", "1", record_of(outputs(), n2="1"))


@pytest.mark.parametrize("odd", [None, [], "x", {"n1": None}, {"n1": {}}, [{"name": 1}]])
def test_an_odd_output_is_no_record(odd: Any) -> None:
    assert record_of({"nodes": odd, "record": odd}).nodes == {}


RAW = {
    "labels": {"zone": "a"},
    "pools": {
        "workers": {
            "taints": ["gpu=yes:NoSchedule"],
            "nodes": [{"name": "n1", "address": "10.0.0.1"}, {"name": "n2", "address": "10.0.0.2"}],
        }
    },
}


def recorded_by(
    raw: dict[str, Any], joined: list[str], last: Record | None = None, **of_earlier: Any
) -> Record:
    """The record of a run with these settings, in which all files were written.

    An earlier release has had more in it for each node.
    """
    settings = parse(raw)
    document = membership.document(settings, last or Record())
    for recorded in document["nodes"].values():
        recorded.update(of_earlier)
    known = {n: {"address": "-", "join": document["nodes"][n]["join"]} for n in joined}
    entries = [entry for pool in settings.pools.values() for entry in pool.nodes if not entry.force]
    state = State(
        outputs={"nodes": {"workers": known}, "record": document},
        files={entry.name: of_node(entry.name, entry.address, "SHA256:a") for entry in entries},
        joins={n: document["nodes"][n]["join"] for n in joined},
        members={n: f"{URN}command:local:Command::{n}-member" for n in joined},
    )
    return Record.of(state)


def changed(**change: Any) -> dict[str, Any]:
    pool = {**RAW["pools"]["workers"], **change}  # type: ignore[index]
    return {**RAW, "pools": {"workers": pool}}


def nodes(*pairs: tuple[str, str]) -> dict[str, Any]:
    return changed(nodes=[{"name": name, "address": address} for name, address in pairs])


def test_the_record_is_small_and_holds_what_the_next_run_needs() -> None:
    assert membership.document(parse(RAW), Record())["nodes"]["n1"] == {
        "pool": "workers",
        "address": "10.0.0.1",
        "join": "1",
    }


def test_a_machine_that_is_gone_is_in_no_record() -> None:
    gone = changed(nodes=[{"name": "n1", "address": "10.0.0.1", "force": True}])
    assert membership.document(parse(gone), Record())["nodes"] == {}


def test_nothing_is_told_where_nothing_has_changed() -> None:
    assert list(warnings(parse(RAW), recorded_by(RAW, ["n1", "n2"]), KEYS)) == []
    assert list(warnings(parse(RAW), Record(), KEYS)) == []


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (
            nodes(("n9", "10.0.0.1"), ("n2", "10.0.0.2")),
            [
                'pools.workers.nodes[0].address "10.0.0.1" was the address of the node n1, which'
                " leaves in this run."
                " If the machine was reinstalled, it becomes n9. If it is still n1, it refuses and"
                " is left as it is: remove n1 in a run of its own first, then add n9."
            ],
        ),
        (
            nodes(("n1", "10.0.0.2"), ("n2", "10.0.0.1")),
            [
                'pools.workers.nodes[0].address "10.0.0.2" was the address of the node n2, which'
                " moves to 10.0.0.1 in this run."
                " If the machine was reinstalled, it becomes n1. If it is still n2, it refuses and"
                " is left as it is: remove n2 in a run of its own first, then add n1.",
                'pools.workers.nodes[1].address "10.0.0.1" was the address of the node n1, which'
                " moves to 10.0.0.2 in this run."
                " If the machine was reinstalled, it becomes n2. If it is still n1, it refuses and"
                " is left as it is: remove n1 in a run of its own first, then add n2.",
            ],
        ),
        (
            nodes(("n1", "10.0.0.7"), ("n2", "10.0.0.2")),
            [
                'pools.workers.nodes[0].address of n1 was "10.0.0.1" and is "10.0.0.7": the machine'
                " at 10.0.0.7 joins with a new token. The one at 10.0.0.1 keeps its kubelet and its"
                " certificates, if it still runs: stop it, or two machines will be n1. If another"
                " machine takes its place, delete the old one's Node first (kubectl delete node"
                " n1): the gate lets in nobody whose Node exists."
            ],
        ),
    ],
    ids=["reinstalled", "swapped", "another address"],
)
def test_a_change_that_a_machine_may_refuse_or_ignore_is_told(
    after: dict[str, Any], expected: list[str]
) -> None:
    found = list(warnings(parse(after), recorded_by(RAW, ["n1", "n2"]), KEYS))
    assert sorted(found) == sorted(expected)


EARLIER_RELEASE = {
    "labels": {"zone": "a", "old": ""},
    "taints": ["gpu=yes:NoSchedule", "a:NoExecute"],
}


def test_what_an_earlier_release_has_set_and_the_settings_no_longer_have_is_told() -> None:
    record = recorded_by(RAW, ["n1"], **EARLIER_RELEASE)
    kept = changed(taints=["gpu=no:NoSchedule"])
    assert list(warnings(parse(kept), record, KEYS)) == [
        "pools.workers.nodes[0]: n1 has joined with labels that are no longer in the settings, in a"
        " run of an earlier release, and keeps them; run: kubectl label node n1 old-",
        "pools.workers.nodes[0]: n1 has joined with taints that are no longer in the settings, in a"
        " run of an earlier release, and keeps them; run: kubectl taint node n1 a:NoExecute-",
    ]


def test_other_changes_of_labels_and_taints_reach_the_node_and_need_no_warning() -> None:
    added = changed(labels={"more": "x", "old": ""}, taints=["gpu=no:NoSchedule", "a:NoExecute"])
    record = recorded_by(RAW, ["n1"], **EARLIER_RELEASE)
    assert list(warnings(parse(added), record, KEYS)) == []
    assert list(warnings(parse(added), recorded_by(RAW, ["n1"]), KEYS)) == []


def test_the_address_of_a_machine_that_is_gone_is_nobodys() -> None:
    after = changed(
        nodes=[
            {"name": "n1", "address": "10.0.0.1", "force": True},
            {"name": "n2", "address": "10.0.0.2"},
        ]
    )
    assert list(warnings(parse(after), recorded_by(RAW, ["n1", "n2"]), KEYS)) == []


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (nodes(("n9", "10.0.0.1"), ("n2", "10.0.0.2")), ("n1",)),
        (nodes(("n9", "10.0.0.7"), ("n2", "10.0.0.2")), ()),
        # Still in the settings: its files are its own.
        (nodes(("n9", "10.0.0.1"), ("n1", "10.0.0.7")), ()),
        (nodes(("n1", "10.0.0.1")), ()),
    ],
)
def test_a_new_node_takes_over_what_its_machine_was(
    listed: dict[str, Any], expected: tuple[str, ...]
) -> None:
    after = parse(listed)
    (entry, *_) = after.pools["workers"].nodes
    assert membership.former(entry, after, recorded_by(RAW, ["n1", "n2"])) == expected


def test_another_lifetime_of_tokens_is_told_to_change_none_that_exists() -> None:
    (told,) = warnings(parse({**RAW, "token": {"ttlMinutes": 30}}), recorded_by(RAW, []), KEYS)
    assert told.startswith("token.ttlMinutes was 60 and is now 30: this applies to tokens created")


def test_a_node_that_leaves_by_a_key_of_the_past_is_told() -> None:
    after, record = parse(nodes(("n2", "10.0.0.2"))), recorded_by(RAW, ["n1", "n2"])
    assert list(warnings(after, record, KEYS)) == []
    (told,) = warnings(after, record, {None: "SHA256:b"})
    assert told.startswith(
        "n1 leaves in this run, over SSH with the key of the last run (SHA256:a)"
    )
    assert "remove n1 in a run with its key, or set force: true for it" in told
    # Once its removal has succeeded, or another node has taken its machine over.
    removed = recorded_by(nodes(("n2", "10.0.0.2")), ["n2"], record)
    assert list(warnings(after, removed, {None: "SHA256:b"})) == []
    told_of_renamed = warnings(parse(RENAMED), record, {None: "SHA256:b"})
    assert not any("leaves in this run, over SSH" in line for line in told_of_renamed)


RENAMED = nodes(("n9", "10.0.0.1"), ("n2", "10.0.0.2"))


def former(raw: dict[str, Any], record: Record) -> tuple[str, ...]:
    settings = parse(raw)
    return membership.former(settings.pools["workers"].nodes[0], settings, record)


def test_what_a_machine_was_is_what_the_stack_has_of_it() -> None:
    """However often a run fails, or ends without outputs."""
    first = recorded_by(RAW, ["n1", "n2"])
    failed = replace(recorded_by(RENAMED, ["n2"], first), files=first.files)
    assert former(RENAMED, failed) == ("n1",)
    # Renamed once more, and back.
    assert former(nodes(("n8", "10.0.0.1"), ("n2", "10.0.0.2")), failed) == ("n1",)
    assert former(RAW, failed) == ()
    # What no outputs know.
    assert former(RENAMED, replace(Record(), files=first.files)) == ("n1",)
    done = recorded_by(RENAMED, ["n2", "n9"], failed)
    assert former(RENAMED, done) == ()
    # A refresh may have moved them to the new name, although the machine has refused it.
    assert former(RAW, done) == ("n9",)


def test_of_a_machine_that_was_given_up_nothing_is_taken_over() -> None:
    """Its files go without a connection; those of the node that came after it do not."""
    settings = nodes(("n3", "10.0.0.1"), ("n2", "10.0.0.2"))
    before = recorded_by(RAW, ["n1", "n2"])
    record = replace(
        before,
        nodes={**before.nodes, "n1": replace(before.nodes["n1"], gone=True)},
        files={**before.files, "n5": before.files["n1"]},
    )
    assert former(settings, record) == ("n5",)


def test_files_that_a_refresh_gave_to_a_refused_name_are_still_a_nodes_own() -> None:
    first = recorded_by(RAW, ["n1", "n2"])
    refused = recorded_by(RENAMED, ["n2"], first)
    record = replace(refused, nodes={**refused.nodes, "n1": first.nodes["n1"]})
    assert former(RAW, record) == ("n9",)
    assert former(nodes(("n1", "10.0.0.7"), ("n2", "10.0.0.2")), record) == ("n9",)
    given_up = parse(changed(nodes=[{"name": "n1", "address": "10.0.0.1", "force": True}]))
    (entry,) = given_up.pools["workers"].nodes
    assert membership.files(entry, given_up, record) == (of_node("n9").urn,)


def test_a_node_at_the_address_of_one_that_left_keeps_its_own_files() -> None:
    """An old node moves to the address; there is nothing to take over."""
    moved = nodes(("n2", "10.0.0.1"))
    assert former(moved, recorded_by(RAW, ["n1", "n2"])) == ()


def test_what_the_stack_still_has_of_a_node_is_remembered() -> None:
    first = recorded_by(RAW, ["n1", "n2"])
    alone = parse(nodes(("n2", "10.0.0.2")))
    leaving = membership.document(alone, first)["nodes"]
    assert leaving["n1"] == {"address": "10.0.0.1", "join": "1"}
    gone = parse(changed(nodes=[{"name": "n1", "address": "10.0.0.1", "force": True}]))
    assert membership.document(gone, first)["nodes"]["n1"]["gone"]
    left = replace(first, files={"n2": first.files["n2"]}, joins={"n2": "1"})
    assert "n1" not in membership.document(alone, left)["nodes"]


def test_a_join_that_the_gate_has_not_proven_yet_is_no_join() -> None:
    """A run with --target writes a record of today's settings, and keeps the last gate's word."""
    record = outputs(join="1@10.0.0.2", address="10.0.0.2")
    record["nodes"] = [{"name": "n1", "address": "10.0.0.1", "join": "1"}]
    assert not membership.has_joined("n1", "1@10.0.0.2", record_of(record, n1="1"))
