"""Whose plugins the engine of the lab uses: the official ones where they are installed."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from lab.errors import LabError
from lab.layout import CHECKOUT

PLUGINS = CHECKOUT / "lab/plugins/bin"
PROVIDERS = ("random", "command", "kubernetes")
LANGUAGE_HOST = "pulumi-language-python"


def has_official_plugins(path: str, pulumi_home: Path) -> bool:
    """Return whether the language host and all providers are on `path` or in `pulumi_home`."""
    language = shutil.which(LANGUAGE_HOST, path=path) or shutil.which(
        LANGUAGE_HOST, path=str(pulumi_home / "bin")
    )
    return language is not None and all(
        shutil.which(f"pulumi-resource-{name}", path=path)
        or any(pulumi_home.glob(f"plugins/resource-{name}-v*/pulumi-resource-{name}"))
        for name in PROVIDERS
    )


def own_plugins(environ: Mapping[str, str]) -> bool:
    """Return whether the lab uses its own plugins, by `LAB_PLUGINS` or by what is installed.

    Its own are a language host and the providers `command` and `random`, in `lab/plugins/`, and
    the official provider `kubernetes`, which the toolchain builds.

    Raises:
        LabError: `LAB_PLUGINS` has another value, or asks for plugins that are not installed.
    """
    wanted = environ.get("LAB_PLUGINS", "")
    home = Path(environ.get("PULUMI_HOME") or Path(environ.get("HOME", "/root")) / ".pulumi")
    # A shell that has the lab's environment already has our launchers on its PATH.
    path = os.pathsep.join(
        part for part in environ.get("PATH", "").split(os.pathsep) if Path(part) != PLUGINS
    )
    official = has_official_plugins(path, home)
    if wanted not in ("", "own", "official"):
        raise LabError(f"LAB_PLUGINS={wanted!r} is not a choice", "set own or official, or nothing")
    if wanted == "official" and not official:
        raise LabError(
            f"LAB_PLUGINS=official, but {LANGUAGE_HOST} and the providers "
            f"{', '.join(PROVIDERS)} are not all on PATH or in {home}",
            "install them (pulumi plugin install resource NAME VERSION), or use LAB_PLUGINS=own",
        )
    return wanted == "own" or not official
