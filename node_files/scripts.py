"""How a script of this program runs on a machine: its command, and the text on stdin.

A command is a short constant. It reads a script from stdin up to a marker and runs it with the
rest of stdin as input. So the errors of pulumi-command, which print the whole command, stay
readable, and the machine's process list shows none of the values.
"""

import functools
import shlex
from importlib import resources

MARKER = "#data"
# Never asks for a password, since nobody could answer. stdin is passed on to the command.
SUDO = "sudo -n "

# The line feed comes from printf: some login shells refuse one between quotes.
_RUNNER = (
    'n=$(printf "\\n."); n=${n%.}; s=; while IFS= read -r l; do'
    f' case $l in "{MARKER}") break;; esac; s=$s$l$n; done; eval "$s"'
)


def command(limit_s: int, action: str) -> str:
    """Return the command that runs an action of the script on stdin for at most `limit_s` seconds.

    It is one program with its arguments, so SUDO can go before it.
    """
    words = ("timeout", "-k", "10", str(limit_s), "sh", "-c", _RUNNER, "node_files", action)
    return shlex.join(words)


@functools.cache
def script(package: str, *names: str) -> str:
    """Return a package's script, joined from one or more files, and the marker.

    Comments and indentation are left out of what is sent. So a script must not have quoted text or
    a here-document with lines that begin with a space or `#`.
    """
    texts = (resources.files(package).joinpath(name).read_text() for name in names)
    lines = "".join(texts).splitlines()
    kept = [line.lstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join([*kept, MARKER, ""])
