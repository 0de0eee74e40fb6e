"""Sends to the machines of a stack over OpenSSH, with the keys that the engine's commands use."""

from credentials import Credentials
from credentials.host_key import HostKeys
from node_files import Delivery
from settings.model import Machine
from ssh.open_ssh import OpenSsh


class Sender:
    """Reaches machines."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._host_keys = HostKeys(hosts=credentials.host_keys, bastions=credentials.bastion_keys)

    async def send(self, machine: Machine, delivery: Delivery) -> None:
        """Run the delivery's command on the machine.

        Raises:
            ValueError: the machine can't be reached, or the command failed; says why.
        """
        keys: dict[str | None, str] = {}
        for path in (None, *machine.ssh.private_key_paths):
            if (key := self._credentials.key(path)) is not None:
                keys[path] = str(await key.future())
        ssh = OpenSsh(host_keys=self._host_keys, private_keys=keys)
        answer = await ssh.reach(
            machine, delivery.command, delivery.stdin, limit_s=delivery.limit_s
        )
        if answer.problem:
            host = machine.host
            raise ValueError(f"{host.name} ({host.reached_at}): {answer.problem}")
