"""The container image of every machine: a static busybox, made without a registry.

Tests run it in pods, and containerd uses it as each pod's sandbox. The format is that of
`docker save`, which `ctr images import` reads.
"""

import hashlib
import io
import json
import tarfile

NAME = "docker.io/lab/busybox:1"
# Only those of busybox's tools that the tests and people in `kubectl exec` use.
APPLETS = [
    "cat",
    "date",
    "echo",
    "env",
    "false",
    "grep",
    "head",
    "hostname",
    "id",
    "ip",
    "kill",
    "ls",
    "mkdir",
    "nc",
    "ping",
    "printf",
    "ps",
    "pwd",
    "rm",
    "sed",
    "sh",
    "sleep",
    "tail",
    "test",
    "touch",
    "true",
    "uname",
    "wget",
]


def archive(busybox: bytes) -> bytes:
    """Return the image as a tar, the same bytes for the same busybox."""
    layer = _tar(
        {"bin/busybox": busybox, "etc/passwd": b"root:x:0:0:root:/:/bin/sh\n"},
        {f"bin/{applet}": "busybox" for applet in APPLETS},
    )
    # It sleeps, so that it also works as the sandbox; a pod may set another command.
    return pack(NAME, layer, {"Cmd": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"]})


def pack(name: str, layer: bytes, settings: dict[str, object]) -> bytes:
    """Return an image of one layer as a tar, the same bytes for the same layer."""
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha256(layer)}"]},
            "history": [{"created_by": "lab"}],
        },
        sort_keys=True,
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    return _tar(
        {
            "layer.tar": layer,
            "config.json": config,
            "manifest.json": json.dumps(manifest).encode(),
        },
        {},
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _tar(files: dict[str, bytes], links: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
        for name, target in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(member)
    return stream.getvalue()
