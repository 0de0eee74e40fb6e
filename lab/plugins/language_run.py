"""Runs one Pulumi program: the request on stdin, the engine's address as the argument."""

import asyncio
import logging
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pulumi
import pulumi.runtime
from pulumi.runtime.proto import language_pb2

BAIL = 32


def main() -> int:
    """Return the exit status: 32 where an error of the program has been told with its trace."""
    request = language_pb2.RunRequest()
    request.ParseFromString(bytes.fromhex(sys.stdin.read()))
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            project=request.project,
            stack=request.stack,
            parallel=request.parallel,
            dry_run=request.dryRun,
            monitor=request.monitor_address,
            engine=sys.argv[1],
            organization=request.organization,
            root_directory=request.info.root_directory,
        )
    )
    pulumi.runtime.set_all_config(dict(request.config), list(request.configSecretKeys))
    program = Path(request.info.program_directory, request.info.entry_point or ".")
    sys.argv = [str(program)]
    sys.path.insert(0, str(program if program.is_dir() else program.parent))
    # A program that fails leaves futures behind that nobody waits for, which is no news.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    workers = max(request.parallel, 1) * 4
    loop.set_default_executor(ThreadPoolExecutor(max_workers=workers))
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: run(program)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:  # noqa: BLE001 - whatever the program raises is shown as it is
        pulumi.log.error("Program failed with an unhandled exception:\n" + traceback.format_exc())
        return BAIL
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def run(program: Path) -> None:
    runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    sys.exit(main())
