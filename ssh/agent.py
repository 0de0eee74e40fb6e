"""Whether the SSH agent of this computer could log in anywhere.

Source: draft-miller-ssh-agent, "Requesting a list of keys".
"""

import os
import socket
import struct

SOCKET = "SSH_AUTH_SOCK"
REQUEST, ANSWER = b"\0\0\0\1\x0b", 12  # SSH_AGENTC_REQUEST_IDENTITIES, SSH_AGENT_IDENTITIES_ANSWER
LIMIT_S = 2
HEAD = struct.Struct(">IBI")  # the length, the kind, how many keys


def trouble() -> str:
    """Return why no agent helps; "": one holds keys."""
    path = os.environ.get(SOCKET)
    if not path:
        return f"no agent runs here ({SOCKET} is not set)"
    try:
        with socket.socket(socket.AF_UNIX) as agent:
            agent.settimeout(LIMIT_S)
            agent.connect(path)
            agent.sendall(REQUEST)
            with agent.makefile("rb") as stream:
                _, kind, count = HEAD.unpack(stream.read(HEAD.size))
    except (OSError, struct.error):
        return f"no agent answers here ({SOCKET} is {path})"
    return "" if kind == ANSWER and count else "the agent holds no keys (ssh-add -l lists them)"
