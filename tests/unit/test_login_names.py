"""Whom the settings let log in: ssh itself is asked who it would be."""

import subprocess

import pytest

from settings.parsing import parse
from settings.problem import SettingsError

TAKEN = [
    "root", "ops", "_svc", "first.last", "Admin", "ops@corp.example.org", "CORP\\ops", "user-1",
    "1ops", "müller", "a" * 256, "John Doe", "CORP\\John M Doe",
]  # fmt: skip
REFUSED = [
    "", "-oProxyCommand=x", "a -b", " a", "a ", " ", "a\tb", "a\nb", "a'b", 'a"b', "a`b",
    "$USER", "a;b", "a|b",
    "a(b", "CORP\\",
]  # fmt: skip


@pytest.mark.parametrize("user", TAKEN)
def test_a_user_as_whom_ssh_logs_in_is_taken(user: str) -> None:
    settings = parse({"ssh": {"user": user, "bastion": {"address": "j", "user": user}}})
    assert settings.ssh.user == user
    command = ["ssh", "-F", "none", "-G", f"{user}@10.0.0.1"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert f"user {user}\n" in told
    assert "hostname 10.0.0.1\n" in told


@pytest.mark.parametrize("user", REFUSED)
def test_a_user_as_whom_ssh_does_not_log_in_is_refused(user: str) -> None:
    with pytest.raises(SettingsError) as found:
        parse({"ssh": {"user": user, "bastion": {"address": "j", "user": user}}})
    paths = [str(problem).split()[0] for problem in found.value.problems]
    assert sorted(paths) == ["ssh.bastion.user", "ssh.user"]
