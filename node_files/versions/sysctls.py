"""Which sysctls a kubelet takes in allowedUnsafeSysctls: those of a pod's namespaces.

Sources: pkg/kubelet/sysctl/allowlist.go, and namespace.go there until 1.28 and in
component-helpers/node/util/sysctl since.
"""

import re

from node_files.versions import table

_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"\A({_SEGMENT}[./])*{_SEGMENT}\Z")
_SYSCTL = re.compile(rf"\A({_SEGMENT}[./])*([a-z0-9][-_a-z0-9]*)?[a-z0-9*]\Z")
_NAMES = {
    "kernel.sem", "kernel.shm", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced", "kernel.msg", "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni",
}  # fmt: skip
_SWAP = str.maketrans("./", "/.")


def problem(text: str, version: str, *, pattern: bool = True) -> str | None:
    """Return why a kubelet with this entry of allowedUnsafeSysctls does not start, or None.

    With `pattern` false it must be a name, as in defaultPodSysctls.
    """
    if not (_SYSCTL if pattern else _NAME).match(text) or len(text) > 253:
        also = ", or a pattern such as net.ipv4.*" if pattern else ""
        return f'"{text}" is not a sysctl such as net.core.somaxconn{also}'
    name = normalized(text).partition("*")[0]
    if _namespaced(name, version):
        return None
    return (
        f'"{text}" is of the whole machine, not of a pod; set it on the machine, in /etc/sysctl.d'
    )


def normalized(text: str) -> str:
    """Return a sysctl's name with dots, as both it and the kubelet may be written with slashes."""
    first = re.search("[./]", text)
    return text.translate(_SWAP) if first and first[0] == "/" else text


def _namespaced(name: str, version: str) -> bool:
    at = table.number(version)
    if name.startswith(("net.", "fs.mqueue.")):
        return True
    if at < table.number("1.29"):
        return name == "kernel.sem" or name.startswith(("kernel.shm", "kernel.msg"))
    newer = name.startswith("user.") or name == "kernel.domainname"
    return name in _NAMES or (newer and at >= table.number("1.37"))
