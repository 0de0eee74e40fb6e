"""Runs other programs to their end."""

import asyncio
import json
from typing import Any


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


def document(text: str) -> Any:
    """Return the JSON document in what a program printed, which may begin on any line.

    What wraps a program, and the profile of a login shell, may print something before and after.

    Raises:
        ValueError: there is none.
    """
    try:
        return json.loads(text)
    except ValueError:
        pass
    lines, decoder = text.splitlines(keepends=True), json.JSONDecoder()
    for number, line in enumerate(lines):
        if line.lstrip().startswith(("{", "[", '"')):
            rest = "".join(lines[number:]).lstrip()
            try:
                found, end = decoder.raw_decode(rest)
            except ValueError:
                continue
            if not rest[end:].partition("\n")[0].strip():
                return found
    raise ValueError("what it printed holds no JSON")
