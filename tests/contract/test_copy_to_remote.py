"""What programs rely on in remote.CopyToRemote."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from lab.plugins.property_values import UNKNOWN, Secret
from tests.contract.driver import PluginError, Provider, Resource
from tests.contract.ssh_server import SshServer

pytestmark = pytest.mark.contract

TOKEN = "command:remote:CopyToRemote"
# The engine's marks of an asset and an archive.
SIGNATURE = "4dabf18193072939515e22adb298388d"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"


@pytest.fixture
def copy(command_provider: Provider) -> Resource:
    return command_provider.resource(TOKEN)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a file at each of two levels."""
    found = tmp_path / "source"
    (found / "below").mkdir(parents=True)
    (found / "text").write_text("text")
    (found / "below/bytes").write_bytes(b"\xff\x00")
    return found


def text_asset(text: str) -> dict[str, str]:
    return {SIGNATURE: ASSET, "text": text, "hash": hashlib.sha256(text.encode()).hexdigest()}


def file_asset(path: Path) -> dict[str, str]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {SIGNATURE: ASSET, "path": str(path), "hash": digest}


def archive(path: Path | str) -> dict[str, str]:
    return {SIGNATURE: ARCHIVE, "path": str(path), "hash": "some"}


def tree(path: Path) -> dict[str, bytes]:
    files = sorted(found for found in path.rglob("*") if found.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def inputs(machine: SshServer, source: Any, target: Any, **changed: Any) -> dict[str, Any]:
    return {
        "connection": machine.connection(),
        "source": source,
        "remotePath": str(target),
        **changed,
    }


def test_a_file_becomes_the_remote_path_and_directories_above_are_made(
    copy: Resource, machine: SshServer, directory: Path, tmp_path: Path
):
    target = tmp_path / "to/deep/file"
    identity, state = copy.up(inputs(machine, file_asset(directory / "below/bytes"), target))
    assert target.read_bytes() == b"\xff\x00"
    assert len(identity) == 8
    assert isinstance(state["connection"], Secret)
    assert state["remotePath"] == str(target)
    assert state["source"]["hash"] == hashlib.sha256(b"\xff\x00").hexdigest()


def test_a_file_replaces_a_file_and_goes_into_a_directory(
    copy: Resource, machine: SshServer, directory: Path, tmp_path: Path
):
    target = tmp_path / "to"
    target.mkdir()
    (target / "text").write_text("something that was longer before")
    copy.up(inputs(machine, file_asset(directory / "text"), target))
    assert tree(target) == {"text": b"text"}


def test_a_text_becomes_a_file_but_no_directory(copy: Resource, machine: SshServer, tmp_path: Path):
    target = tmp_path / "to/file"
    copy.up(inputs(machine, text_asset("é\n"), target))
    assert target.read_text() == "é\n"
    with pytest.raises(PluginError, match="is a directory; when using a text asset"):
        copy.up(inputs(machine, text_asset("x"), target.parent))


@pytest.mark.parametrize("end", ["", "/"])
def test_a_directory_goes_in_by_its_name_or_with_a_slash_without_it(
    copy: Resource, machine: SshServer, directory: Path, tmp_path: Path, end
):
    expected = "" if end else "source/"
    target = tmp_path / "to/here"
    for _ in range(2):  # what is there is written over
        copy.up(inputs(machine, archive(f"{directory}{end}"), target))
        assert tree(target) == {f"{expected}below/bytes": b"\xff\x00", f"{expected}text": b"text"}


def test_a_directory_is_not_put_over_a_file(
    copy: Resource, machine: SshServer, directory: Path, tmp_path: Path
):
    (tmp_path / "file").write_text("x")
    with pytest.raises(PluginError, match=r"^failed to create remote directory"):
        copy.up(inputs(machine, archive(directory), tmp_path / "file"))
    (tmp_path / "to").mkdir()
    (tmp_path / "to/source").write_text("x")
    with pytest.raises(PluginError, match="source exists but is not a directory"):
        copy.up(inputs(machine, archive(directory), tmp_path / "to"))


def test_what_cannot_be_read_or_written_is_named(
    copy: Resource, machine: SshServer, tmp_path: Path
):
    missing = {SIGNATURE: ASSET, "path": "/no/file", "hash": "x"}
    with pytest.raises(PluginError, match=r"^open /no/file: no such file or directory$"):
        copy.up(inputs(machine, missing, tmp_path / "x"))
    with pytest.raises(PluginError, match=r"^failed to create parent directories for /proc/x/y"):
        copy.up(inputs(machine, text_asset("x"), "/proc/x/y"))


def test_only_a_changed_content_or_path_is_copied_again(
    copy: Resource, machine: SshServer, tmp_path: Path
):
    target = tmp_path / "file"
    old = copy.check(inputs(machine, text_asset("old"), target))
    identity, state = copy.create(old)
    target.write_text("changed by hand")
    before = machine.connections
    state = copy.update(identity, state, {**old, "triggers": ["x"]}, old_inputs=old)
    assert (machine.connections, state["triggers"]) == (before, ["x"])
    new = copy.check(inputs(machine, text_asset("new"), target))
    state = copy.update(identity, state, new, old_inputs=old)
    assert target.read_text() == "new"
    moved = copy.check(inputs(machine, text_asset("new"), tmp_path / "moved"))
    copy.update(identity, state, moved, old_inputs=new)
    assert (tmp_path / "moved").read_text() == "new"
    assert machine.connections == before + 2


def test_delete_leaves_the_file(copy: Resource, machine: SshServer, tmp_path: Path):
    copy.delete(*copy.up(inputs(machine, text_asset("x"), tmp_path / "file")))
    assert (tmp_path / "file").exists()


def test_a_preview_copies_nothing(copy: Resource, machine: SshServer, tmp_path: Path):
    checked = copy.check(inputs(machine, text_asset("x"), tmp_path / "file"))
    before = machine.connections
    identity, state = copy.create(checked, preview=True)
    assert (identity, state["source"]) == ("", UNKNOWN)
    assert copy.update("id", checked, checked, preview=True)["remotePath"] == state["remotePath"]
    assert (machine.connections, list(tmp_path.iterdir())) == (before, [])


def test_a_diff_names_what_changes(copy: Resource, machine: SshServer):
    old = copy.check(inputs(machine, text_asset("x"), "/a"))

    def found(**changed: Any) -> tuple[dict[str, str], list[str]]:
        new = copy.check({**inputs(machine, text_asset("x"), "/a"), **changed})
        difference = copy.diff("id", old, new, old_inputs=old)
        return difference.detailed, difference.replaces

    assert found() == ({}, [])
    assert found(source=text_asset("y")) == ({"source": "UPDATE"}, [])
    assert found(remotePath="/b") == ({"remotePath": "UPDATE"}, [])
    assert found(triggers=["x"]) == ({"triggers": "ADD_REPLACE"}, ["triggers"])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({SIGNATURE: ASSET, "uri": "http://x", "hash": "x"}, "asset must be a path-based file"),
        (
            {SIGNATURE: ARCHIVE, "assets": {"a": text_asset("x")}, "hash": "x"},
            "archive must be a path to a file or directory",
        ),
        # Even in a preview, where it may not be known yet: so it is in the official one.
        (UNKNOWN, "either asset or archive must be set"),
    ],
)
def test_check_refuses_what_it_cannot_copy(copy: Resource, machine: SshServer, source, reason):
    failures = copy.failures(inputs(machine, source, "/x"))
    assert any(reason in said for _, said in failures)


def test_check_names_each_input_that_is_missing(copy: Resource):
    missing = [path for path, _ in copy.failures({})]
    assert missing == ["connection", "source", "remotePath", "asset"]
