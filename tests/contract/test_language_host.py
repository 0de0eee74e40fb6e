"""What programs rely on in the language host, shown by the real engine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import language_pb2_grpc

from tests.contract import driver
from tests.contract.engine import LANGUAGE_HOST, PROJECT, STACK, Stack

pytestmark = pytest.mark.contract


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """An empty project whose virtual environment is that of the tests."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/venv").symlink_to(sys.prefix)
    return Stack(tmp_path)


def settings(**options: object) -> dict[str, object]:
    return {"runtime": {"name": "python", "options": {"virtualenv": "venv", **options}}}


SURROUNDINGS = """
import os, sys
import pulumi
config = pulumi.Config()
pulumi.export("seen", {
    "name": __name__,
    "argv": sys.argv,
    "directory": os.getcwd(),
    "first": sys.path[0],
    "prefix": sys.prefix,
    "virtualenv": os.environ.get("VIRTUAL_ENV"),
    "path": os.environ["PATH"].split(os.pathsep)[0],
    "pythonpath": os.environ.get("PYTHONPATH"),
    "stdin": sys.stdin.read(),
    "project": pulumi.get_project(),
    "stack": pulumi.get_stack(),
    "organization": pulumi.get_organization(),
    "root": pulumi.get_root_directory(),
    "preview": pulumi.runtime.is_dry_run(),
    "default": config.require_int("number"),
    "variable": os.environ["FOR_THE_PROGRAM"],
})
pulumi.export("plain", config.require("plain"))
pulumi.export("hidden", config.require_secret("hidden"))
"""


def test_a_program_finds_its_surroundings_and_configuration(stack: Stack):
    config = {"number": {"type": "integer", "default": 7}}
    stack.write(SURROUNDINGS, config=config, **settings())
    stack.select()
    stack.run("config", "set", "plain", "a b")
    stack.run("config", "set", "--secret", "hidden", "s3cret")
    done = stack.up(FOR_THE_PROGRAM="yes")
    assert done.status == 0, done.said
    assert "s3cret" not in done.said
    found = stack.outputs()
    assert (found["plain"], found["hidden"]) == ("a b", "[secret]")
    assert stack.outputs("--show-secrets")["hidden"] == "s3cret"
    venv = str(stack.project / "venv")
    assert found["seen"] == {
        "name": "__main__",
        "argv": ["."],
        "directory": str(stack.project),
        "first": ".",
        "prefix": venv,
        "virtualenv": venv,
        "path": f"{venv}/bin",
        "pythonpath": os.environ.get("PYTHONPATH"),
        "stdin": "",
        "project": PROJECT,
        "stack": STACK,
        "organization": "organization",
        "root": str(stack.project),
        "preview": False,
        "default": 7,
        "variable": "yes",
    }


def test_main_may_be_below_the_project(stack: Stack):
    stack.write("", main="below", **settings())
    (stack.project / "below").mkdir()
    program = 'import os, pulumi, module\npulumi.export("at", [os.getcwd(), module.NAME])'
    (stack.project / "below/__main__.py").write_text(program)
    (stack.project / "below/module.py").write_text('NAME = "beside"')
    stack.select()
    done = stack.up()
    assert done.status == 0, done.said
    assert stack.outputs() == {"at": [str(stack.project / "below"), "beside"]}


def test_preview_and_update_run_in_interpreters_of_their_own(stack: Stack):
    program = """
import os
import pulumi
with open("runs", "a") as runs:
    print(os.getpid(), pulumi.runtime.is_dry_run(), file=runs)
"""
    stack.write(program, **settings())
    stack.select()
    done = stack.run("up", "--yes", "--stack", STACK)
    assert done.status == 0, done.said
    runs = [line.split() for line in (stack.project / "runs").read_text().splitlines()]
    assert [run[1] for run in runs] == ["True", "False"]
    assert runs[0][0] != runs[1][0]


def test_what_a_program_prints_and_logs_is_shown_and_fails_nothing(stack: Stack):
    program = """
import sys
import pulumi
print("to stdout")
print("to stderr", file=sys.stderr)
pulumi.log.info("an info")
pulumi.log.warn("a warning")
"""
    stack.write(program, **settings())
    stack.select()
    done = stack.up()
    assert done.status == 0, done.said
    shown = done.said.partition("Diagnostics:")[2]
    for line in ("to stdout", "to stderr", "an info", "warning: a warning"):
        assert shown.count(line) == 1, done.said


FAILURES = [
    (
        "import pulumi\ndef broken():\n    return {}['key']\nbroken()",
        ["error: Program failed with an unhandled exception:", "KeyError: 'key'", "in broken"],
        ["exit code", "runpy", "run_in_stack"],
    ),
    (
        "import pulumi\nraise pulumi.RunError('say this only')",
        ["error: say this only", "program exited with non-zero exit code: 1"],
        ["Traceback"],
    ),
    (
        "import sys\nsys.exit(3)",
        ["program exited with non-zero exit code: 3"],
        ["Traceback"],
    ),
    ("import sys\nsys.exit('enough')", ["enough", "non-zero exit code: 1"], ["Traceback"]),
    ("x = = 1", ["SyntaxError", "error: Program failed with an"], ["exit code"]),
    (
        "import nonsuch",
        ["ModuleNotFoundError: No module named 'nonsuch'"],
        ["exit code", "unable to find"],
    ),
    (
        "import pulumi\npulumi.Config().require('missing')",
        ["error: Missing required configuration variable 'tiny:missing'"],
        ["Traceback"],
    ),
    (
        "import pulumi\npulumi.Output.from_input(1).apply(lambda x: 1 / 0)",
        ["ZeroDivisionError"],
        ["exit code"],
    ),
    (
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        ["program exited with non-zero exit code: -1"],
        ["Traceback"],
    ),
]


@pytest.mark.parametrize(("program", "shown", "hidden"), FAILURES)
def test_a_program_that_fails_says_what_and_no_more(stack: Stack, program, shown, hidden):
    stack.write(program, **settings())
    stack.select()
    done = stack.up()
    assert done.status != 0, done.said
    for text in shown:
        assert text in done.said, done.said
    for text in hidden:
        assert text not in done.said, done.said


def test_a_directory_without_a_program_is_named(stack: Stack):
    stack.write("", **settings())
    stack.select()
    (stack.project / "__main__.py").unlink()
    done = stack.up()
    assert done.status != 0
    assert "unable to find main python program `__main__.py` in `" in done.said, done.said
    assert "exit code" not in done.said


PATIENT = """
import os, time
import pulumi
try:
    open("started", "w").write(str(os.getpid()))
    time.sleep(60)
finally:
    open("ended", "w").close()
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + PATIENT


@pytest.mark.parametrize(("program", "cleanly"), [(PATIENT, True), (STUBBORN, False)])
def test_a_cancelled_program_is_interrupted_and_killed_if_it_goes_on(
    stack: Stack, program, cleanly
):
    stack.write(program, **settings())
    stack.select()
    process = stack.start("up", "--yes", "--skip-preview", "--stack", STACK)
    try:
        started = stack.project / "started"
        wait_until(lambda: started.exists() and started.read_text(), 30)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode != 0, said
    pid = int(started.read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 15)
    assert (stack.project / "ended").exists() == cleanly


def test_refresh_and_destroy_can_run_the_program(stack: Stack):
    stack.write("import pulumi\nprint('it runs')", **settings())
    stack.select()
    assert stack.up().status == 0
    for operation in ("refresh", "destroy"):
        options = ("--yes", "--skip-preview", "--run-program", "--stack", STACK)
        done = stack.run(operation, *options)
        assert done.status == 0, done.said
        assert "it runs" in done.said


@pytest.fixture
def host() -> Iterator["subprocess.Popen[str]"]:
    """A language host that no engine has started."""
    process = subprocess.Popen(
        [driver.plugin(LANGUAGE_HOST), "127.0.0.1:1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.kill()
    process.wait()


def test_the_host_tells_its_port_first_and_then_its_version(host: "subprocess.Popen[str]"):
    assert host.stdout is not None
    port = int(host.stdout.readline())
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    stub = language_pb2_grpc.LanguageRuntimeStub(channel)
    version = stub.GetPluginInfo(Empty(), timeout=10).version
    assert version.removeprefix("v").split(".")[0] == "3"


def wait_until(ready, limit_s: float) -> None:
    """Wait until something is so, or fail at the limit."""
    end = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.05)
