"""Secret content under a path, for programs and libraries that read files only."""

import contextlib
import os
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def private_file(content: bytes) -> Iterator[str]:
    """Give a path to content that no disk has, which ends with this process however that ends.

    Other processes of this user can read it while it is there. Where the system has no such files
    (Linux has) it is one in the temporary directory, with mode 0600.
    """
    descriptor = _without_a_disk()
    if descriptor is None:
        with tempfile.NamedTemporaryFile(prefix="kubelet-tls-bootstrap-") as file:
            file.write(content)
            file.flush()
            yield file.name
        return
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


def rewrite(path: str, content: bytes) -> None:
    """Put other content in the place of what `private_file` has given a path to."""
    with open(path, "wb") as file:  # noqa: PTH123 - a link that is followed, as for other processes
        file.write(content)


def _without_a_disk() -> int | None:
    try:
        return os.memfd_create("kubelet-tls-bootstrap")
    except (AttributeError, OSError):  # not Linux, or it is forbidden
        return None
