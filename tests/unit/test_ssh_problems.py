"""What is told of an SSH connection or a command that has failed."""

import asyncio
import sys

import pytest

from ssh.run import Answer, run

REFUSED = "accepts none of the SSH keys for this user"
SILENT = "does not answer over SSH; check that it runs"
SUDO = "sudo asks for a password or a terminal"
UNREACHED = "its bastion does not reach it"
CLOSED = "kex_exchange_identification: Connection closed by remote host\n"
UNKNOWN = "Connection closed by UNKNOWN port 65535\n"
AT = "ssh: connect to host 10.0.0.5 port 22: "

# What is printed to stderr, and what is told.
PRINTED = {
    f"{AT}Connection refused": "nothing listens there for SSH; start sshd",
    f"{AT}Connection timed out": SILENT,
    f"{AT}Operation timed out": SILENT,
    f"{AT}No route to host": f"{AT}No route to host",
    f"{AT}Network is unreachable": f"{AT}Network is unreachable",
    "ssh: Could not resolve hostname node-1: Name or service not known": "can't be resolved here",
    "Host key verification failed.": "its host key is not the pinned one",
    f"Host key verification failed.\n{CLOSED}": "its bastion: its host key is not the pinned one",
    "Unable to negotiate with 10.0.0.5 port 22: no matching host key type found. Their offer:"
    " ssh-rsa": "it has no host key of the pinned one's type",
    "root@10.0.0.5: Permission denied (publickey).": f"it {REFUSED}",
    "sign_and_send_pubkey: no mutual signature supported\nroot@h: Permission denied (publickey).": (
        f"it {REFUSED}"
    ),
    f"jump@10.0.0.2: Permission denied (publickey).\n{UNKNOWN}": f"its bastion: it {REFUSED}",
    "Received disconnect from 10.0.0.5 port 22:2: Too many authentication failures\n"
    "Disconnected from 10.0.0.5 port 22": "the SSH agent has more keys",
    "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\n"
    + UNKNOWN: UNREACHED,
    "channel 0: open failed: connect failed: No route to host\nstdio forwarding failed\n"
    + CLOSED: UNREACHED,
    "channel 0: open failed: administratively prohibited: open failed\nstdio forwarding failed\n"
    + UNKNOWN: "its bastion forbids forwarding",
    '"System is booting up. Unprivileged users are not permitted to log in yet."\n'
    "Connection closed by 10.0.0.5 port 22": "it is starting or stopping",
    "sudo: a password is required": SUDO,
    "sudo: sorry, you must have a tty to run sudo": SUDO,
    "sudo: no tty present and no askpass program specified": SUDO,
    "ubuntu is not in the sudoers file.  This incident will be reported.": "may not run commands",
    "Sorry, user u is not allowed to execute '/usr/bin/timeout' as root on n.": "may not run",
    "bash: line 1: sudo: command not found": "sudo is missing there",
    "sh: 1: timeout: not found": "timeout is missing there; install coreutils",
    # Not SSH's own.
    "error: node-1 has not joined\n  E1 dial tcp: connect: Connection refused": (
        "node-1 has not joined\n  E1 dial tcp: connect: Connection refused"
    ),
    "error: cp: can't write /etc/x: Permission denied (os error 13)": "cp: can't write /etc/x",
}


def ended(status: int, *, stdout: str = "", stderr: str = "") -> Answer:
    program = (
        "import sys; o, e, s = sys.argv[1:];"
        " sys.stdout.write(o); sys.stderr.write(e); sys.exit(int(s))"
    )
    return asyncio.run(run("n", [sys.executable, "-c", program, stdout, stderr, str(status)], ""))


@pytest.mark.parametrize("printed", PRINTED)
def test_the_cause_is_told_and_what_to_do(printed: str) -> None:
    answer = ended(255, stderr=f"{printed}\n")
    assert answer.problem.startswith(PRINTED[printed]) or PRINTED[printed] in answer.problem
    assert ("accepts none" in answer.problem) == (REFUSED in PRINTED[printed])


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ("This account is currently not available.\n", "the user has no login shell"),
        ('Please login as the user "ubuntu" rather than the user "root".\n\n', "set ssh.user to"),
        ("= c29tZXRoaW5nIGVsc2U=\n", "exit status 142"),
        ("", "exit status 142"),
    ],
)
def test_what_a_shell_that_refuses_says_on_stdout_is_told(printed: str, told: str) -> None:
    assert told in ended(142, stdout=printed).problem


def test_a_key_that_is_refused_is_not_tried_again_at_a_bastion_either() -> None:
    denied = "u@h: Permission denied (publickey).\n"
    assert ended(255, stderr=denied).hopeless
    assert ended(255, stderr=denied + UNKNOWN).hopeless
    assert not ended(255, stderr=f"{AT}Connection refused\n").hopeless
