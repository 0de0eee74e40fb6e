"""Builds the programs of `lab/toolchain.py` from the Go modules in `lab/toolchain/`."""

import functools
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from lab import go, memory
from lab.cache import copy_program
from lab.errors import LabError
from lab.memory import GIB
from lab.processes import last_lines, run_logged
from lab.progress import step
from lab.toolchain import KUBELETS, MODULES, ProgramSet, program_sets


def builders(cache: Path, log: Path, *, thorough: bool) -> list[Callable[[], Path]]:
    """Return a function that finds or builds a set, for each that may be built side by side."""
    sets = [programs for programs in program_sets() if not programs.last]
    return [
        functools.partial(ensure, programs, cache, log, thorough=thorough, beside=len(sets))
        for programs in sets
    ]


def ensure_last(kubelets: Iterable[str], cache: Path, log: Path, *, thorough: bool) -> None:
    """Find or build, one after another, what is not built beside anything else.

    Args:
        kubelets: minor versions of older kubelets. Each takes up to 1.5 GB of memory.
        cache, log, thorough: as for `ensure`.
    """
    sets = [programs for programs in program_sets() if programs.last]
    for programs in (*sets, *(KUBELETS[version] for version in sorted(kubelets))):
        ensure(programs, cache, log, thorough=thorough)


def compilers(cores: int, memory_bytes: int, beside: int) -> int:
    """Return how many compilers each build may run: one for each GiB of its share, at least one.

    Go would run one for each core, whatever memory they take.
    """
    return max(1, min(cores, memory_bytes // GIB // beside))


def ensure(
    programs: ProgramSet, cache: Path, log: Path, *, thorough: bool, beside: int = 1
) -> Path:
    """Return the directory of a program set; builds it where it is missing or damaged.

    Args:
        programs: which.
        cache: the cache's directory.
        log: a directory for the build's log.
        thorough: compare checksums, not only sizes.
        beside: how many builds run side by side, with this one.
    """

    def build(directory: Path) -> None:
        log_file = log / f"build-{programs.name}.log"
        binary = directory / programs.name
        scratch = directory / "scratch"
        scratch.mkdir()
        compiler = go.ensure_go(cache)
        with step(
            f"building {programs.name} from Go modules", lambda: last_lines(log_file, 1)[:80]
        ):
            overlay = _overlay(programs, compiler, scratch)
            parallel = compilers(os.cpu_count() or 1, memory.available(), beside)
            flags = ["-v", f"-p={parallel}", "-trimpath", "-buildvcs=false", *overlay]
            flags += ["-ldflags", programs.ldflags]
            try:
                run_logged(
                    [compiler, "build", *flags, "-o", binary, programs.package],
                    log_file,
                    # Even after a build that is killed, the next one removes it.
                    env={**go.environment(), "GOTMPDIR": str(scratch)},
                    cwd=MODULES / programs.name,
                )
            except LabError:
                problem = go.known_problem(log_file.read_text(errors="replace"))
                if problem is None:
                    raise
                raise problem from None
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        for file in programs.files():
            copy_program(binary, directory / file)
        binary.unlink()

    return programs.entry(cache).ensure(build, thorough=thorough)


def _overlay(programs: ProgramSet, compiler: Path, scratch: Path) -> list[str]:
    """Return the flag that puts the files which a main package embeds beside it."""
    if programs.embeds is None:
        return []
    module, files = programs.embeds
    package = MODULES / programs.name
    source = go.download(compiler, module, package, go.FLAGS)
    replace = {str(package / Path(file).name): str(source / file) for file in files}
    overlay = scratch / "overlay.json"
    overlay.write_text(json.dumps({"Replace": replace}))
    return ["-overlay", str(overlay)]
