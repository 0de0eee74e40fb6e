"""How much memory this machine has left for new processes."""

from pathlib import Path

GIB = 1024**3


def available(meminfo: str | None = None) -> int:
    """Return the bytes that new processes can have, in memory or in swap (proc_meminfo(5))."""
    lines = (meminfo or Path("/proc/meminfo").read_text()).splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines}
    return (sizes["MemAvailable:"] + sizes["SwapFree:"]) * 1024
