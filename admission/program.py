"""Runs other programs to their end."""

import asyncio


async def run(*command: str, timeout_s: float) -> tuple[int, str, str]:
    """Run a program, and return its exit status and what it printed to stdout and stderr.

    Raises:
        ValueError: it is not on PATH, or has not ended in time.
    """
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    except FileNotFoundError:
        raise ValueError(f"{command[0]} is not on PATH; install it") from None
    try:
        output, errors = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        raise ValueError(f"{command[0]} did not end within {timeout_s:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(), errors.decode(errors="replace")


def last_error(errors: str) -> str:
    """Return the last line that a program printed to stderr."""
    lines = errors.strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else "it gave no reason"
