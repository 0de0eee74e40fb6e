"""What programs rely on in local.Command."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lab.plugins.property_values import UNKNOWN, Secret
from tests.contract import driver
from tests.contract.driver import Engine, PluginError, Provider, Resource

pytestmark = pytest.mark.contract

TOKEN = "command:local:Command"


@pytest.fixture
def command(command_provider: Provider) -> Resource:
    return command_provider.resource(TOKEN)


def test_create_runs_in_a_shell_and_keeps_both_streams(command: Resource):
    inputs = {"create": "cat; echo out; sleep 1; echo err >&2", "stdin": "in\n"}
    identity, state = command.up(inputs)
    assert state == {**inputs, "stdout": "in\nout", "stderr": "err"}
    assert identity.startswith(command.name)
    assert len(identity) == len(command.name) + 8


@pytest.mark.parametrize(
    ("inputs", "printed"),
    [
        ({"create": "echo $0 $#"}, "/bin/sh 0"),
        ({"create": "pwd", "dir": "/usr"}, "/usr"),
        ({"create": "echo $A", "environment": {"A": "b c"}}, "b c"),
        ({"create": "print(6 * 7)", "interpreter": ["python3", "-c"]}, "42"),
        ({"create": "echo x", "interpreter": []}, "x"),
        ({"create": "printf 'a\\n\\n'"}, "a\n"),
        ({"create": "cat; echo end"}, "end"),
        ({"create": "true", "stdin": "x" * 1_000_000}, ""),
        ({"create": "head -c 300000 /dev/zero | tr '\\0' a"}, "a" * 300_000),
    ],
)
def test_a_command_runs_as_its_inputs_say(command: Resource, inputs, printed):
    # What is logged in one line of more than 64 KiB hangs the official provider.
    _, state = command.up({"logging": "none", **inputs})
    assert state["stdout"] == printed


def test_nothing_to_create_is_created(command: Resource):
    assert command.up({})[1] == {"stdout": "", "stderr": ""}


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        (
            {"create": "echo out; sleep 1; echo 'a\t\"b\" é \\' >&2; exit 3"},
            'exit status 3: running "echo out; sleep 1; echo \'a\\t\\"b\\" é \\\\\' >&2; exit 3":\n'
            'out\na\t"b" é \\\n',
        ),
        ({"create": "kill -9 $$"}, 'signal: killed: running "kill -9 $$":\n'),
        ({"create": "kill -TERM $$"}, 'signal: terminated: running "kill -TERM $$":\n'),
        ({"create": "x", "dir": "/no"}, 'chdir /no: no such file or directory: running "x":\n'),
        (
            {"create": "x", "interpreter": ["/no/sh"]},
            'fork/exec /no/sh: no such file or directory: running "x":\n',
        ),
        (
            {"create": "x", "interpreter": ["nonsuch"]},
            'exec: "nonsuch": executable file not found in $PATH: running "x":\n',
        ),
    ],
)
def test_a_failure_tells_the_reason_the_command_and_all_output(command: Resource, inputs, error):
    with pytest.raises(PluginError) as raised:
        command.up({"logging": "none", **inputs})
    assert str(raised.value) == error
    assert raised.value.identity == ""  # nothing is in the state


def test_output_that_is_no_text_fails(command: Resource):
    with pytest.raises(PluginError, match="string field contains invalid UTF-8"):
        command.up({"create": "printf '\\377'", "logging": "none"})


def test_a_failure_does_not_tell_what_stdin_and_environment_hold(command: Resource):
    inputs = {"create": "exit 1", "stdin": Secret("s3cret"), "environment": {"A": "s3cret"}}
    with pytest.raises(PluginError) as raised:
        command.up(inputs)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("changed", "printed"),
    [
        ({"update": "echo u $PULUMI_COMMAND_STDOUT $PULUMI_COMMAND_STDERR"}, "u c e"),
        ({"stdin": "x"}, "c"),
        ({"update": "echo [$PULUMI_COMMAND_STDOUT]", "addPreviousOutputInEnv": False}, "[]"),
    ],
)
def test_update_runs_update_or_else_create_with_the_last_output(
    command: Resource, changed, printed
):
    inputs = {"create": "echo c; echo e >&2"}
    identity, state = command.up(inputs)
    new = {**inputs, **changed}
    updated = command.update(identity, state, new, old_inputs=inputs)
    assert updated["stdout"] == printed
    assert {name: updated[name] for name in new} == new


def test_update_with_nothing_to_run_keeps_the_output(command: Resource):
    identity, state = command.up({"create": "echo c"})
    assert command.update(identity, state, {}) == {"stdout": "c", "stderr": ""}


def test_delete_runs_with_what_the_state_holds(command: Resource, tmp_path: Path):
    inputs = {
        "create": "echo c",
        "delete": 'echo "$A $PULUMI_COMMAND_STDOUT" > deleted; cat >> deleted',
        "dir": str(tmp_path),
        "environment": {"A": "b"},
        "stdin": "in",
    }
    command.delete(*command.up(inputs))
    assert (tmp_path / "deleted").read_text() == "b c\nin"


def test_a_failed_delete_fails_and_none_is_no_failure(command: Resource):
    identity, state = command.up({"create": "true", "delete": "echo why; exit 7"})
    with pytest.raises(PluginError, match=r'^exit status 7: running "echo why; exit 7":\nwhy\n$'):
        command.delete(identity, state)
    command.delete(*command.up({"create": "true"}))


def test_a_preview_runs_nothing(command: Resource, tmp_path: Path):
    inputs = {"create": f"touch {tmp_path}/made", "stdin": UNKNOWN}
    _, state = command.create(inputs, preview=True)
    assert state == {**inputs, "stdout": UNKNOWN, "stderr": UNKNOWN}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "known"),
    [
        ({}, True),
        ({"stdin": "new"}, True),  # as the official one has it, though create runs again
        ({"stdin": UNKNOWN}, False),
        ({"delete": "echo e"}, False),
        ({"create": UNKNOWN}, False),
    ],
)
def test_a_preview_of_an_update_knows_the_output_unless_an_input_that_was_there_changes(
    command: Resource, changed, known
):
    inputs = {"create": "echo c", "delete": "echo d"}
    identity, state = command.up(inputs)
    foreseen = command.update(
        identity, state, {**inputs, **changed}, old_inputs=inputs, preview=True
    )
    assert foreseen["stdout"] == ("c" if known else UNKNOWN)


OLD: dict[str, Any] = {
    "create": "a",
    "delete": "d",
    "triggers": [1, "b"],
    "environment": {"a": "b", "c": "d"},
}


@pytest.mark.parametrize(
    ("changed", "kinds", "replaces"),
    [
        ({}, {}, []),
        ({"create": "b"}, {"create": "UPDATE"}, []),
        ({"delete": None}, {"delete": "DELETE"}, []),
        ({"stdin": "x"}, {"stdin": "ADD"}, []),
        ({"stdin": UNKNOWN}, {"stdin": "ADD"}, []),
        ({"create": Secret("a")}, {"create": "UPDATE"}, []),
        ({"environment": {"a": "x"}}, {"environment.a": "UPDATE", "environment.c": "DELETE"}, []),
        ({"environment": {**OLD["environment"], "e-f": "x"}}, {'environment["e-f"]': "ADD"}, []),
        # Of items, the SDK's own replaceOnChanges makes the replacement.
        ({"triggers": [1, "c"]}, {"triggers[1]": "UPDATE"}, []),
        ({"triggers": [1, "b", "c"]}, {"triggers[2]": "ADD"}, []),
        ({"triggers": [UNKNOWN, "b"]}, {"triggers[0]": "UPDATE"}, []),
        ({"triggers": None}, {"triggers": "DELETE_REPLACE"}, ["triggers"]),
        ({"version": "1.2.1", "__internal": "x"}, {}, []),
    ],
)
def test_a_diff_names_each_input_that_changes(command: Resource, changed, kinds, replaces):
    state = {**OLD, "stdout": "", "stderr": ""}
    new = {name: value for name, value in {**OLD, **changed}.items() if value is not None}
    found = command.diff("it1", state, new, old_inputs=OLD)
    assert found.detailed == kinds
    assert found.replaces == replaces
    assert found.changes == ("DIFF_SOME" if kinds else "DIFF_NONE")
    assert not found.delete_first


def test_new_triggers_replace(command: Resource):
    found = command.diff("it1", {"create": "a"}, {"create": "a", "triggers": [1]}, [], {})
    assert found.replaces == ["triggers"]


def test_what_is_ignored_is_as_in_the_state(command: Resource):
    state = {"create": "a", "stdin": "old", "stdout": "", "stderr": ""}
    old, new = {"create": "a", "stdin": "old"}, {"create": "b", "stdin": "new"}
    assert command.diff("it1", state, new, ["stdin"], old).detailed == {"create": "UPDATE"}


@pytest.mark.parametrize(
    ("inputs", "path", "reason"),
    [
        ({"create": 1}, "create", "must be a 'string'; got 'float64' instead"),
        ({"create": ["x"]}, "create", "must be a 'string'; got '[]interface {}' instead"),
        ({"triggers": "x"}, "triggers", "must be a '[]interface {}'; got 'string' instead"),
        ({"addPreviousOutputInEnv": "x"}, "addPreviousOutputInEnv", "must be a 'bool'; got"),
        ({"interpreter": "sh"}, "interpreter", "must be a '[]string'; got 'string' instead"),
        ({"environment": {"a": 1}}, "environment[a] value", "must be a 'string'; got 'float64'"),
        ({"nonsuch": 1}, "nonsuch", "Unrecognized field 'nonsuch' on 'local.CommandInputs'"),
    ],
)
def test_check_names_what_has_the_wrong_type(command: Resource, inputs, path, reason):
    [(found, said)] = command.failures(inputs)
    assert found == path
    assert reason in said


def test_check_keeps_secrets_and_unknowns_and_drops_nothing_else_but_nulls(command: Resource):
    inputs = {
        "create": UNKNOWN,
        "stdin": Secret("x"),
        "environment": {"a": Secret("b")},
        "triggers": [1, {"b": Secret("c")}, UNKNOWN],
    }
    assert command.check({**inputs, "delete": None}) == inputs


def test_secret_inputs_stay_secret_in_the_state(command: Resource):
    _, state = command.up({"create": Secret("echo 1"), "stdin": Secret("x")})
    assert (state["create"], state["stdin"]) == (Secret("echo 1"), Secret("x"))
    assert state["stdout"] == "1"


@pytest.mark.parametrize(
    ("logging", "shown"),
    [
        (None, ["out", "err", "rest"]),
        ("stdoutAndStderr", ["out", "err", "rest"]),
        ("stdout", ["out", "rest"]),
        ("stderr", ["err"]),
        ("none", []),
    ],
)
def test_output_is_shown_line_by_line_as_logging_says(
    command_provider: Provider, engine: Engine, logging, shown
):
    command = command_provider.resource(TOKEN, f"logging-{logging}")
    create = "echo out; sleep 0.2; echo err >&2; sleep 0.2; printf rest"
    command.up({"create": create} | ({"logging": logging} if logging else {}))
    logged = wait_for(lambda: [line for line in engine.logged if line.urn == command.urn], shown)
    assert [line.message for line in logged] == shown
    assert {(line.severity, line.status) for line in logged} <= {("INFO", True)}


def test_a_refresh_finds_what_the_state_says(command: Resource):
    inputs = {"create": "echo 1"}
    identity, state = command.up(inputs)
    assert command.read(identity, state, inputs) == (identity, state, inputs)


def test_cancel_ends_what_runs(engine: Engine):
    provider = driver.start("command", engine)
    provider.configure({})
    said: list[str] = []

    def create() -> None:
        try:
            provider.resource(TOKEN).up({"create": "exec sleep 60"})
        except PluginError as error:
            said.append(str(error))

    thread = threading.Thread(target=create)
    thread.start()
    time.sleep(1)
    provider.cancel()
    thread.join(10)
    provider.close()
    assert said == ['signal: killed: running "exec sleep 60":\n']


def test_a_command_gets_the_plugins_own_variables_and_no_others(
    command: Resource, monkeypatch: pytest.MonkeyPatch
):
    _, state = command.up({"create": "env", "logging": "none"})
    names = {line.partition("=")[0] for line in state["stdout"].splitlines()}
    ours = set(driver.environment(SSH_AUTH_SOCK=None))
    # `PWD` and the like are the shell's, `LC_CTYPE` is Python's own.
    assert names - ours <= {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}


def test_the_provider_takes_secrets_and_previews(command_provider: Provider):
    answer = command_provider.configure({})
    assert (answer.acceptSecrets, answer.supportsPreview) == (True, True)


def wait_for(find: Any, count: list[str]) -> Any:
    """What is logged comes by a call of its own, which may be under way yet."""
    for _ in range(50):
        if len(find()) >= len(count):
            break
        time.sleep(0.02)
    return find()


def test_many_commands_run_side_by_side(command_provider: Provider):
    commands = [command_provider.resource(TOKEN, f"side-{number}") for number in range(40)]
    started = time.monotonic()
    threads = [
        threading.Thread(target=each.up, args=({"create": "sleep 1", "logging": "none"},))
        for each in commands
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 10


def test_what_is_printed_may_hold_any_text(command: Resource):
    text = "zero \0 bell \a tab \t é 漢 𝄞 \u200b"
    _, state = command.up({"create": "cat", "stdin": text, "logging": "none"})
    assert state["stdout"] == text
    with pytest.raises(PluginError) as raised:
        command.up({"create": "exit 1 # \a é 漢 𝄞 \u200b \x7f", "logging": "none"})
    quoted = json.dumps("exit 1 # ")[:-1] + "\\a é 漢 𝄞 \\u200b \\x7f" + '"'
    assert str(raised.value) == f"exit status 1: running {quoted}:\n"
