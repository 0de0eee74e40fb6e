"""A bundle is read back as it was written, whatever its files hold."""

import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import node_files
from node_files import Cluster, File, Node
from node_files.acl import shown_entries, shown_mode
from node_files.bundle_text import BundleText, read_bundle
from tests.unit.test_node_files import CASES, CLUSTER


def known(cluster: Cluster, node: Node) -> BundleText:
    """What is read of what the state has."""
    return read_bundle(node_files.known(cluster, node), node_files.shared(cluster, node))


text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize("name", CASES)
def test_a_bundle_is_read_back_as_its_files(name: str) -> None:
    found = known(CLUSTER, CASES[name])
    wanted = {file.path: file for file in node_files.files(CLUSTER, CASES[name])}
    assert {path: file.content for path, file in found.files.items()} == {
        path: file.content for path, file in wanted.items()
    }
    assert {(f.mode, f.owner, f.group, f.effect) for f in found.files.values()} == {
        (f.mode, f.owner, f.group, f.effect.value) for f in wanted.values()
    }
    assert f"node {CASES[name].name}" in found.words
    # As earlier releases had it in the state.
    earlier = read_bundle(node_files.bundle(CLUSTER, CASES[name]))
    assert (earlier.words, earlier.files) == (found.words, found.files)


@given(text)
def test_no_text_in_a_file_is_taken_for_anything_else(value: str) -> None:
    cluster = replace(CLUSTER, ca_certificate=value)
    found = known(cluster, CASES["default"])
    path = CASES["default"].paths.ca
    assert found.files[path].content.removesuffix("\n") == value.removesuffix("\n")
    assert len(found.files) == 4


def test_the_extras_of_a_file_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    file = File(path="/a", mode="0600", content="x\n", acl=("u:kube:r",), selinux_type="etc_t")
    # By its name, since the package's attribute of that name is the function.
    monkeypatch.setattr(sys.modules["node_files.bundle"], "files", lambda *_: (file, file, file))
    found = known(CLUSTER, CASES["default"])
    assert found.files["/a"].extras == ("acl u:kube:r", "selinux etc_t")
    assert found.files["/a"].content == "x\n"


@pytest.mark.parametrize(
    "stdin", ["", "[secret]", "x\n#data\n| a\nend\n", "bundle 1\nnode n\nend\n"]
)
def test_what_is_no_bundle_is_refused(stdin: str) -> None:
    with pytest.raises(ValueError, match="stdin is not a bundle"):
        read_bundle(stdin)


ACLS = [
    ("0600", (), (), 0o600),
    ("0600", ("u:kube:r",), ("user:kube:r--",), 0o640),
    ("0640", ("g:ops:rw", "user:kube:r-x"), ("group:ops:rw-", "user:kube:r-x"), 0o670),
]


@pytest.mark.parametrize(("mode", "acl", "entries", "shown"), ACLS)
def test_entries_of_an_acl_are_what_getfacl_and_stat_show(
    mode: str, acl: tuple[str, ...], entries: tuple[str, ...], shown: int
) -> None:
    assert shown_entries(acl) == entries
    assert shown_mode(mode, acl) == shown
