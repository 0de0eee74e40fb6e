"""The lab's command line.

up          find or build the programs, make the image, start the control plane and the nodes
reinstall   give a node's machine a new disk, as an installation of its system does
down        stop everything; disks and stack stay, and the next `up` continues with them
toolchain   only build the programs (pulumi, kubectl and what the machines run)
status      show what runs; the exit status is 0 only if everything that should run does
env         print shell lines: eval "$(python -m lab env)" makes pulumi and kubectl use the lab
kubectl     kubectl on the lab's cluster
ssh         a shell, or a command, on a machine
logs        a machine's journal, or one unit's; its console if it does not answer
"""

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

from lab import environment, kubelets, ssh
from lab.cluster import Lab
from lab.errors import LabError
from lab.fleet import DEFAULT_NODES
from lab.status import report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start what is missing")
    up.add_argument(
        "--nodes", type=int, help=f"at least this many nodes (default {DEFAULT_NODES} at first)"
    )
    up.add_argument(
        "--kubelet",
        action="append",
        default=[],
        metavar="NODE=VERSION",
        help=f"also this node, with a kubelet of this version ({', '.join(kubelets.VERSIONS)})",
    )
    up.add_argument(
        "--approver", action="store_true", help="also load the approver's image on the nodes"
    )
    again = commands.add_parser("reinstall", help="give a node's machine a new disk")
    again.add_argument("machine", metavar="NODE")
    again.add_argument("--keep-host-key", action="store_true", help="with the SSH host key it has")
    down = commands.add_parser("down", help="stop everything that the lab started")
    down.add_argument("--disks", action="store_true", help="also remove the machines and the stack")
    down.add_argument("--purge", action="store_true", help="also remove the cache")
    programs = commands.add_parser("toolchain", help="build the programs that are missing")
    programs.add_argument("--all", action="store_true", help="also the older kubelets")
    commands.add_parser("status", help="show what runs")
    commands.add_parser("env", help="print the environment as shell lines")
    kubectl = commands.add_parser("kubectl", help="kubectl on the lab", add_help=False)
    kubectl.add_argument("args", nargs=argparse.REMAINDER)
    shell = commands.add_parser("ssh", help="a shell or a command on a machine")
    shell.add_argument("machine")
    shell.add_argument("args", nargs=argparse.REMAINDER, metavar="COMMAND")
    logs = commands.add_parser("logs", help="a machine's journal")
    logs.add_argument("machine", nargs="?", default="cp-1")
    logs.add_argument("unit", nargs="?")
    return parser


def _become(command: Sequence[str], variables: Mapping[str, str] | None = None) -> NoReturn:
    environ = {**os.environ, **(variables or {})}
    os.execvpe(command[0], list(command), environ)  # noqa: S606 # it replaces this process


def _logs(lab: Lab, name: str, unit: str | None) -> None:
    machine = lab.fleet.machine(name)
    if machine.supervisor() and ssh.answers(machine.address):
        journal = ["journalctl", "--no-pager", *(["--unit", unit] if unit else [])]
        command = lab.ssh_command(name)
        _become([*command, "--", *journal])
    print(machine.console.read_text(errors="replace") if machine.console.exists() else "")


def _run(lab: Lab, args: argparse.Namespace) -> int:
    match args.command:
        case "up":
            lab.up(args.nodes, kubelets.asked_for(args.kubelet))
            if args.approver:
                lab.load_approver()
        case "reinstall":
            lab.reinstall(args.machine, keep_host_key=args.keep_host_key)
        case "down":
            lab.down(disks=args.disks, purge=args.purge)
        case "toolchain":
            lab.toolchain(everything=args.all)
        case "status":
            text, well = report(lab)
            print(text)
            return 0 if well else 1
        case "env":
            print(environment.exports(lab.env()))
        case "kubectl":
            _become(["kubectl", *args.args], lab.env())
        case "ssh":
            command = lab.ssh_command(args.machine)
            _become([*command, "--", *args.args] if args.args else command)
        case "logs":
            _logs(lab, args.machine, args.unit)
    return 0


def _stop(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    """Run the command line; return the exit status."""
    parser = _parser()
    args, rest = parser.parse_known_args()
    if rest:
        # argparse does not pass options on to a command that takes the rest of the line.
        if args.command not in ("kubectl", "ssh"):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        args.args = sys.argv[sys.argv.index(args.command) + 1 :]
        if args.command == "ssh":
            args.args.remove(args.machine)
    signal.signal(signal.SIGTERM, _stop)
    try:
        return _run(Lab(), args)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
