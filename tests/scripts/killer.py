"""Programs that stand before a script's own, and kill it at the k-th one that it starts.

They are POSIX sh and read nothing but their directory, so that the same ones kill on a real
machine. `cp` dies half way through the copy, as on a disk that fails; the others before they act.
"""

from pathlib import Path

# Those by which the script changes something. Two of a pipeline could not be told apart.
PROGRAMS = (
    *("chmod", "chown", "cp", "ln", "mkdir", "mv", "rm", "rmdir"),
    *("setfacl", "sync", "systemctl"),
)

# The whole process group dies: the script, what limits its time, and the program itself. One whose
# own time is limited is in a group of its own (`timeout` makes one), so the script's goes first.
KILLER = """\
#!/bin/sh
# Kills whoever started this if it is call number `at`; counts in `count`.
here=${0%/*} name=${0##*/}
read -r count <"$here/count"
read -r at <"$here/at"
count=$((count + 1))
echo "$count" >"$here/count"
if [ "$count" -eq "$at" ]; then
    if [ "$name" = cp ]; then
        case $1 in -*) shift ;; esac
        head -c 20 "$1" >"$2"
    fi
    read -r _ parent _ script _ </proc/$PPID/stat
    if [ "$parent" = '(timeout)' ]; then
        read -r _ _ _ _ group _ </proc/"$script"/stat
        kill -KILL "-$group"
    fi
    kill -KILL 0
fi
PATH=${PATH#"$here:"}
exec "$name" "$@"
"""


def write_programs(directory: Path) -> None:
    """Write them into a directory, which is to come first in PATH."""
    directory.mkdir()
    for name in PROGRAMS:
        (directory / name).write_text(KILLER)
        (directory / name).chmod(0o755)


def arm(directory: Path, at: int) -> None:
    """Have the `at`-th program that is started from now on kill its script."""
    (directory / "count").write_text("0\n")
    (directory / "at").write_text(f"{at}\n")
