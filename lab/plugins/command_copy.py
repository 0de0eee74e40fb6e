"""A file, a text or a directory, copied to another machine by SFTP."""

import asyncio
import os
import posixpath
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from lab.plugins import command_ssh
from lab.plugins.provider import Operation, PluginError

DIRECTORY = asyncssh.FILEXFER_TYPE_DIRECTORY


def copy(inputs: dict[str, Any], operation: Operation) -> None:
    """Copy `source` to `remotePath`.

    A directory is copied into the remote one under its name, or only its content if the source ends
    with `/`. A file is copied into the directory at that path if there is one, or else to the path
    itself. Missing parents are created. The machine sets the modes.

    Raises:
        PluginError: the machine can't be reached, or does not take it.
    """
    source = inputs["source"]
    tree = _read(Path(source["path"])) if source.get("path") else None
    asyncio.run(_copy(inputs, tree, operation))


@dataclass(frozen=True)
class _Tree:
    """What is to be copied: a file's content, or the files and directories of a directory."""

    content: bytes | None
    below: "Mapping[str, _Tree]" = field(default_factory=dict)


def _read(path: Path) -> _Tree:
    try:
        if not path.is_dir():
            return _Tree(path.read_bytes())
        return _Tree(None, {entry.name: _read(entry) for entry in sorted(path.iterdir())})
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise PluginError(f"open {error.filename}: {reason}") from None


async def _copy(inputs: dict[str, Any], tree: _Tree | None, operation: Operation) -> None:
    source, target = inputs["source"], inputs["remotePath"]
    async with AsyncExitStack() as stack:
        client = await command_ssh.dial(inputs["connection"], operation, stack)
        try:
            sftp = await stack.enter_async_context(client.start_sftp_client())
            if tree is None:
                await _write_text(sftp, source.get("text") or "", target)
            else:
                await _copy_tree(sftp, tree, source["path"], target)
        except (asyncssh.Error, OSError) as error:
            raise PluginError(_go_words(error)) from None


async def _copy_tree(sftp: asyncssh.SFTPClient, tree: _Tree, source: str, target: str) -> None:
    there = await _kind(sftp, target)
    inside = posixpath.join(target, posixpath.basename(source.rstrip("/")))
    if tree.content is None:
        if there is None:
            await _make_directories(sftp, target, f"failed to create remote directory {target}")
        if not source.endswith("/"):
            await _make_directory(sftp, inside)
            target = inside
        await _copy_below(sftp, tree, target)
        return
    if there is None:
        await _make_parents(sftp, target)
    await _write(sftp, tree.content, inside if there == DIRECTORY else target)


async def _copy_below(sftp: asyncssh.SFTPClient, tree: _Tree, target: str) -> None:
    for name, entry in tree.below.items():
        path = posixpath.join(target, name)
        if entry.content is None:
            await _make_directory(sftp, path)
            await _copy_below(sftp, entry, path)
        else:
            await _write(sftp, entry.content, path)


async def _write_text(sftp: asyncssh.SFTPClient, text: str, target: str) -> None:
    if await _kind(sftp, target) == DIRECTORY:
        raise PluginError(
            f"remote path {target} is a directory; when using a text asset, remotePath must be a "
            "file path"
        )
    await _make_parents(sftp, target)
    await _write(sftp, text.encode(), target)


async def _write(sftp: asyncssh.SFTPClient, content: bytes, target: str) -> None:
    try:
        async with sftp.open(target, "wb") as file:
            await file.write(content)
    except asyncssh.SFTPError as error:
        raise PluginError(f"failed to create remote file {target}: {_go_words(error)}") from None


async def _make_parents(sftp: asyncssh.SFTPClient, target: str) -> None:
    parent = posixpath.dirname(target) or "."
    await _make_directories(sftp, parent, f"failed to create parent directories for {target}")


async def _make_directories(sftp: asyncssh.SFTPClient, path: str, failed: str) -> None:
    try:
        await sftp.makedirs(path, exist_ok=True)
    except asyncssh.SFTPError as error:
        raise PluginError(f"{failed}: {_go_words(error)}") from None


async def _make_directory(sftp: asyncssh.SFTPClient, path: str) -> None:
    kind = await _kind(sftp, path)
    if kind == DIRECTORY:
        return
    if kind is not None:
        raise PluginError(f"remote path {path} exists but is not a directory")
    try:
        await sftp.mkdir(path)
    except asyncssh.SFTPError as error:
        raise PluginError(f"failed to create remote directory {path}: {_go_words(error)}") from None


async def _kind(sftp: asyncssh.SFTPClient, path: str) -> int | None:
    """Return the type of what is at a path; None if there is nothing."""
    try:
        return (await sftp.stat(path)).type
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        return None
    except asyncssh.SFTPError as error:
        if "Not a directory" in error.reason:
            return None
        raise PluginError(f"failed to stat remote path {path}: {_go_words(error)}") from None


def _go_words(error: Exception) -> str:
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return "file does not exist"
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return "permission denied"
    if isinstance(error, asyncssh.SFTPError):
        return f'sftp: "{error.reason}"'
    return str(error)
