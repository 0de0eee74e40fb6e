"""Runs one Pulumi program: the engine's request on stdin, the engine's address as the argument.

A file that the program's own interpreter runs: it imports nothing of the lab.
"""

import asyncio
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

INTERRUPTED = 130
BAIL = 32
NO_SDK = """
It looks like the Pulumi SDK has not been installed. Have you run pip install?
If you are running in a virtualenv, you must run pip install -r requirements.txt from inside \
the virtualenv."""


def main() -> int:
    """Return the exit status: 32 if an error of the program has been shown with its trace."""
    try:
        import pulumi  # noqa: PLC0415 - an environment without it is not the program's error
        from pulumi.runtime.proto import language_pb2  # noqa: PLC0415
    except ImportError:
        print(traceback.format_exc() + NO_SDK, file=sys.stderr)
        return 1
    request = language_pb2.RunRequest()
    request.ParseFromString(sys.stdin.buffer.read())
    settings = pulumi.runtime.Settings(
        project=request.project,
        stack=request.stack,
        parallel=request.parallel,
        dry_run=request.dryRun,
        monitor=request.monitor_address,
        engine=sys.argv[1],
        organization=request.organization,
        root_directory=request.info.root_directory,
    )
    pulumi.runtime.configure(settings)
    pulumi.runtime.set_all_config(dict(request.config), list(request.configSecretKeys))
    program = request.info.entry_point or "."
    sys.argv = [program, *request.args]
    del sys.path[0]  # this file's own directory
    # A program that fails leaves futures behind that nobody waits for; warnings would be noise.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=max(request.parallel, 1) * 4)
    loop.set_default_executor(executor)
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: run(program)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except KeyboardInterrupt:
        # The engine has ended the deployment and said why.
        os._exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - whatever the program raises is shown as it is
        pulumi.log.error(told(error, program))
        return BAIL
    finally:
        executor.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def run(program: str) -> Any:
    """Run the program as Python runs a directory or a file."""
    return runpy.run_path(program, run_name="__main__")


def told(error: Exception, program: str) -> str:
    """Return what is shown of an exception: its trace from the program's first line on."""
    if isinstance(error, ImportError) and not is_program(Path(program)):
        where = Path(program).absolute()
        return f"unable to find main python program `__main__.py` in `{where}`"
    frames = traceback.extract_tb(error.__traceback__)
    main_file = Path(program, "__main__.py") if Path(program).is_dir() else Path(program)
    own = [Path(frame.filename).absolute() == main_file.absolute() for frame in frames]
    limit = own.index(True) - len(frames) if True in own else None
    trace = "".join(traceback.format_exception(error, limit=limit))
    return f"Program failed with an unhandled exception:\n{trace}"


def is_program(path: Path) -> bool:
    """Return whether there is a program at a path."""
    return path.is_file() or (path / "__main__.py").is_file()


if __name__ == "__main__":
    sys.exit(main())
