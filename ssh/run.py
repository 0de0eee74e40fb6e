"""Runs a program of this computer for a host, and reads no more of it than is good.

A host may be anybody's by now: what it prints is limited, and only printable text becomes an error.
"""

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

TIME_LIMIT_S = 90
OUTPUT_LIMIT, ERROR_LIMIT = 4 * 2**20, 2**16  # bytes
LINES, LINE_LENGTH = 20, 300
TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")

# By what ssh and the commands there print.
HOPELESS = {
    r"^Host key verification failed": "its host key is not the pinned one; if the machine was"
    " reinstalled, correct hostKey or the known_hosts file",
    r"^Unable to negotiate .*no matching host key type": "it has no host key of the pinned one's"
    " type; correct hostKey or the known_hosts file",
    r"^(\S+: )?Permission denied \(": "it accepts none of the SSH keys for this user; correct"
    " ssh.user, privateKeyPath or the secret sshPrivateKey, or load the key into the SSH agent",
    r"Too many authentication failures": "the SSH agent has more keys than it lets try; give"
    " privateKeyPath, or load fewer keys",
}
REMEDIES = HOPELESS | {
    r"^channel \d+: open failed: administratively prohibited": "its bastion forbids forwarding;"
    " set AllowTcpForwarding there",
    r"^channel \d+: open failed: ": "its bastion does not reach it; check that it runs, its"
    " address, the port and the firewalls between",
    r"^ssh: Could not resolve hostname": "its name can't be resolved here; correct sshAddress, or"
    " the DNS of this computer",
    r"^ssh: .*: Connection refused": "Connection refused: nothing listens there for SSH; start"
    " sshd, or correct the address or ssh.port",
    r"^(ssh: .*: )?(Connection|Operation) timed out": (
        "it does not answer over SSH; check that it runs, its address, the port and the firewalls"
        " between"
    ),
    r"^\"?System is (booting up|going down)": "it is starting or stopping; run again once it is up",
    r"^sudo: (a password|a terminal|no tty|sorry, you must have a tty)": "sudo asks for a password"
    " or a terminal; allow the user to run commands without one (NOPASSWD, !requiretty), or log in"
    " as root",
    r" is not in the sudoers file| is not allowed to execute ": "the user may not run commands with"
    " sudo; allow that (NOPASSWD), or log in as root",
    r"\bsudo: (command )?not found": "sudo is missing there; install it, or log in as root without"
    " ssh.sudo",
    r"\btimeout: (command )?not found": "timeout is missing there; install coreutils",
    r"^This account is (currently )?not available": "the user has no login shell; give it one, or"
    " correct ssh.user",
    r"^Please login as the user ": "this user may not log in there; set ssh.user to the one of the"
    " machine's image, and ssh.sudo",
}
BASTION = "its bastion: "
# What ssh adds if the one to its bastion has failed, which has told why.
OF_BASTION = re.compile(r"^(kex_exchange_identification|Connection closed by UNKNOWN port)")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a host's command printed, or why it printed nothing."""

    host: str
    output: str = ""
    problem: str = ""
    status: int = 0

    @property
    def hopeless(self) -> bool:
        """Whether another attempt would end in the same way."""
        return self.problem.removeprefix(BASTION) in HOPELESS.values()


# Removes the private directory even if the program that wants it removed is gone: Ctrl-C ends the
# program at once, and what is in there may be a key. TERM ends the command.
_CLEAN_UP = (
    'd=$1; shift; exec 3<&0; "$@" <&3 3<&- & p=$!; exec 3<&-; trap "kill $p" HUP INT TERM; s=0;'
    ' wait "$p" || s=$?; while kill -0 "$p" 2>/dev/null; do s=0; wait "$p" || s=$?; done;'
    ' rm -rf "$d"; exit "$s"'
)


def cleaning_up(directory: Path, words: Sequence[str]) -> list[str]:
    """Return a command that runs another one and then removes a directory, whatever happens."""
    return ["sh", "-c", _CLEAN_UP, "ssh", str(directory), *words]


async def run(
    name: str,
    words: Sequence[str],
    stdin: str,
    *,
    limit_s: float = TIME_LIMIT_S,
    directory: Path | None = None,
) -> Answer:
    """Run a program on this computer for a host, with this text on its stdin, in a directory."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=pipe, stdout=pipe, stderr=pipe, cwd=directory
        )
    except FileNotFoundError:
        return Answer(host=name, problem=f"{words[0]} is not on PATH; install it")
    try:
        output, errors = await asyncio.wait_for(_talk(process, stdin.encode()), limit_s)
    except TimeoutError:
        return Answer(host=name, problem=f"no answer within {limit_s:.0f} s")
    finally:
        await _end(process)
    status = process.returncode or 0
    if status != 0:
        # A shell that refuses a user says so on stdout.
        known = _remedy(_lines(output.decode(errors="replace")))
        problem = _problem(errors.decode(errors="replace")) or known or f"exit status {status}"
        return Answer(host=name, problem=problem, status=status)
    return Answer(host=name, output=output.decode(errors="replace"))


async def _talk(process: asyncio.subprocess.Process, stdin: bytes) -> tuple[bytes, bytes]:
    # None of them is None: each has a pipe.
    found = await asyncio.gather(
        _start(cast(asyncio.StreamReader, process.stdout), OUTPUT_LIMIT),
        _start(cast(asyncio.StreamReader, process.stderr), ERROR_LIMIT),
        _write(cast(asyncio.StreamWriter, process.stdin), stdin),
    )
    await process.wait()
    return found[0], found[1]


async def _write(stream: asyncio.StreamWriter, data: bytes) -> None:
    # A command need not read all of it.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(data)
        await stream.drain()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.close()
        await stream.wait_closed()


async def _start(stream: asyncio.StreamReader, limit: int) -> bytes:
    """Return the beginning of what comes, and read the rest of it to no purpose."""
    found = bytearray()
    while data := await stream.read(2**16):
        found += data[: limit - len(found)]
    return bytes(found)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


def _problem(errors: str) -> str:
    """Return what to tell: from the last line on that begins with `error: `, or the last line."""
    lines = _lines(errors)
    if remedy := _remedy(lines):
        return remedy
    begins = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    told = lines[begins[-1] :][:LINES] if begins else lines[-1:]
    return "\n".join(told).removeprefix("error: ")


def _remedy(lines: Sequence[str]) -> str:
    """Return what to tell if one of the lines is known; empty: none is."""
    for known, remedy in REMEDIES.items():
        for number, line in enumerate(lines):
            if re.search(known, line):
                is_of_bastion = known in HOPELESS and any(map(OF_BASTION.match, lines[number:]))
                return f"{BASTION}{remedy}" if is_of_bastion else remedy
    return ""


def _lines(text: str) -> list[str]:
    return [_printable(line) for line in text.strip().splitlines()]


def _printable(line: str) -> str:
    text = "".join(c if c.isprintable() else "?" for c in line[: 2 * LINE_LENGTH])
    # The engine reads <{%...%}> as a colour, and panics at one that it does not know.
    text = text.replace("<{", "< {").replace("%}", "% }")
    return TOKEN.sub("<token>", text)[:LINE_LENGTH]
