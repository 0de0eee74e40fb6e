"""Sends to the machines of a stack over OpenSSH, with the keys that the engine's commands use."""

import tempfile
from pathlib import Path

from credentials import Credentials
from credentials.host_key import HostKeys
from credentials.private_key import for_openssh
from node_files import Delivery
from settings.model import Machine
from ssh.open_ssh import OpenSsh, run, within

# By what OpenSSH prints.
REMEDIES = {
    "Host key verification failed.": "its host key is not the pinned one; if the machine was"
    " reinstalled, correct hostKey or the known_hosts file"
}


class Sender:
    """Reaches machines; its private files go when the program ends."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._ssh: OpenSsh | None = None

    async def send(self, machine: Machine, delivery: Delivery) -> None:
        """Run the delivery's command on the machine.

        Raises:
            ValueError: the machine can't be reached, or the command failed; says why.
        """
        ssh = await self._open()
        words = ssh.command(machine, delivery.command)
        answer = await run(machine.host.name, words, delivery.stdin)
        if answer.problem:
            why = REMEDIES.get(answer.problem, answer.problem)
            raise ValueError(f"{machine.host.name} ({machine.host.address}): {why}")

    async def _open(self) -> OpenSsh:
        secret = self._credentials.private_key
        text = await secret.future() if secret is not None else None
        # Nothing is awaited from here on: this is done once.
        if self._ssh is None:
            self._directory = tempfile.TemporaryDirectory(prefix="kubelet-tls-bootstrap-")
            keys = HostKeys(
                hosts=self._credentials.host_keys, bastions=self._credentials.bastion_keys
            )
            key = None if text is None else for_openssh(text)
            self._ssh = within(Path(self._directory.name), keys, key)
        return self._ssh
