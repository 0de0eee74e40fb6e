"""The fleet benchmark's own arithmetic: whose process is whose, what /proc says, and the table."""

import pytest

from tests.bench.fleet import machines, meter
from tests.bench.fleet.meter import CLUSTER, COMMANDS, PROGRAM, PROVIDERS, Measured, Usage
from tests.bench.fleet.report import Row, table
from tests.bench.fleet.stack import State

STAT = "42 (a) name) S 1 42 42 0 -1 4194560 9 0 0 0 150 50 7 7 20 0 3 0 12345 999 10 1 1 1\n"


@pytest.mark.parametrize(
    ("command_line", "expected"),
    [
        ("/cache/bin/kube-apiserver --secure-port=6443", CLUSTER),
        ("/cache/simulator --host-key /tmp/host", CLUSTER),
        ("python -u /project/lab/plugins/language_run.py 127.0.0.1:1", PROGRAM),
        ("/opt/pulumi/pulumi-language-python 127.0.0.1:1", PROGRAM),
        ("/cache/bin/pulumi-resource-kubernetes 127.0.0.1:1", PROVIDERS),
        ("python -c … /project command_provider 127.0.0.1:1", PROVIDERS),
        ("python -m admission leave node-1 --stack fleet", COMMANDS),
        ("kubectl drain node-1", COMMANDS),
        ("pulumi config get kubeconfigPath", COMMANDS),
        ("setpriv --pdeathsig KILL /cache/etcd", None),
        ("python -m tests.bench.fleet.inside", None),
        ("", None),
    ],
)
def test_a_process_has_the_role_that_its_command_line_says(
    command_line: str, expected: str | None
) -> None:
    assert meter.role(command_line.split(" ")) == expected


def test_a_shell_that_is_about_to_become_the_gate_counts_as_the_gate() -> None:
    assert meter.role(["/bin/sh", "-c", "exec .venv/bin/python -m admission gate"]) == COMMANDS


def test_a_name_with_a_parenthesis_does_not_shift_the_fields_of_a_process() -> None:
    process = meter.read_stat(STAT)
    assert process.identity == (42, 12345)
    assert process.cpu_s == 200 / meter.TICKS_A_SECOND
    assert process.memory_bytes == 10 * meter.PAGE_BYTES


def test_no_two_machines_have_one_address() -> None:
    addresses = [machines.address(number) for number in range(machines.MOST)]
    assert addresses[0] == "10.99.0.1"
    assert len({*addresses, machines.CONTROL_PLANE_ADDRESS}) == machines.MOST + 1


def row(*, changed: int, nodes: int) -> Row:
    measured = Measured(
        status=0,
        wall_s=1.25,
        usage={PROGRAM: Usage(cpu_s=2.04, peak_bytes=150_400_000)},
        written_bytes=1_260_000,
    )
    return Row(
        step="some run",
        changed=changed,
        nodes=nodes,
        measured=measured,
        connections=2 * changed,
        state=State(resources=40, size_bytes=1000),
    )


def test_a_row_divides_by_the_nodes_that_the_run_is_about_and_that_there_are() -> None:
    assert list(table([row(changed=5, nodes=10)]))[2] == (
        "| some run | 5 | 1.2 |  | 2.0 s, 150 MB |  |  |  | 1.3 | 2.0 | 40 | 100 |"
    )


def test_a_row_without_nodes_divides_by_nothing() -> None:
    assert list(table([row(changed=0, nodes=0)]))[2].endswith("| 1.3 | 0.0 | 40 |  |")
