"""Each command line that a process of this machine, and so of the lab's, is started with.

The kernel's process connector tells each exec; `/proc/PID/cmdline` then tells its arguments. A
process that ends within the moment between the two is missed, so `missed` counts those.
Message layouts: linux/cn_proc.h, linux/connector.h and linux/netlink.h.
"""

import os
import socket
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

NETLINK_CONNECTOR = 11
CN_IDX_PROC, CN_VAL_PROC = 1, 1
PROC_CN_MCAST_LISTEN = 1
PROC_EVENT_EXEC = 2
NETLINK_HEADER = struct.Struct("=IHHII")
CONNECTOR_HEADER = struct.Struct("=IIIIHH")
EXEC_EVENT = struct.Struct("=IIQII")  # what, cpu, timestamp, pid, tgid


class CommandLines:
    """Records command lines from `__enter__` to `__exit__` in a thread of its own."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.missed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)

    def __enter__(self) -> Self:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.settimeout(0.5)
        self._socket.bind((0, CN_IDX_PROC))
        body = struct.pack("=I", PROC_CN_MCAST_LISTEN)
        connector = CONNECTOR_HEADER.pack(CN_IDX_PROC, CN_VAL_PROC, 0, 0, len(body), 0) + body
        length = NETLINK_HEADER.size + len(connector)
        self._socket.send(NETLINK_HEADER.pack(length, 3, 0, 0, os.getpid()) + connector)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _record(self) -> None:
        start = NETLINK_HEADER.size + CONNECTOR_HEADER.size
        while not self._stop.is_set():
            try:
                message = self._socket.recv(4096)
            except TimeoutError:
                continue
            except OSError:  # ENOBUFS: the kernel dropped events
                self.missed += 1
                continue
            event = message[start : start + EXEC_EVENT.size]
            if len(event) < EXEC_EVENT.size:
                continue
            what, _, _, pid, _ = EXEC_EVENT.unpack(event)
            if what != PROC_EVENT_EXEC:
                continue
            try:
                self.seen.add(Path(f"/proc/{pid}/cmdline").read_bytes())
            except OSError:
                self.missed += 1
