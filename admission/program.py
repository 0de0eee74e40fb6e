"""Runs other programs to their end."""

import asyncio
import json
from collections.abc import Iterator
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

    What wraps a program, and the profile of a login shell, may print something before and after,
    lines of JSON too: the last object or list counts, or the last text if there is none.

    Raises:
        ValueError: there is none.
    """
    try:
        return json.loads(text)
    except ValueError:
        pass
    found = list(_documents(text))
    if not found:
        raise ValueError("what it printed holds no JSON")
    return next((each for each in reversed(found) if not isinstance(each, str)), found[-1])


def _documents(text: str) -> Iterator[Any]:
    """Yield each document that begins and ends with a line."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        try:
            if not text.startswith(("{", "[", '"')):
                raise ValueError
            found, end = decoder.raw_decode(text)
        except ValueError:
            text = text.partition("\n")[2]
            continue
        rest, _, text = text[end:].partition("\n")
        if not rest.strip():
            yield found
