"""Panics of the cryptography library: errors of its Rust code, which no `except Exception` catches.

Hostile bytes may cause one (PanicException, a BaseException). Nothing else is to end for that.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

# What ends a program or a task on purpose, and every error that is no panic.
OTHERS = (Exception, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)


@contextmanager
def no_panic() -> Iterator[None]:
    """Raise a ValueError in place of a panic; let all else pass.

    Raises:
        ValueError: the library has panicked; names the kind of the error.
    """
    try:
        yield
    except OTHERS:
        raise
    except BaseException as panic:  # noqa: BLE001 - there is no other name for it
        raise ValueError(f"it can't be read ({type(panic).__name__})") from None
