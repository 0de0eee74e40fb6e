"""The environment in which plain `pulumi` and `kubectl` mean the lab."""

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from lab import network
from lab.errors import LabError
from lab.layout import CHECKOUT, Layout
from lab.toolchain import Toolchain

PLUGINS = CHECKOUT / "lab/plugins/bin"
PROVIDERS = ("random", "command", "kubernetes")
LANGUAGE_HOST = "pulumi-language-python"
# Known to all: the lab's stack settings are committed with the salt that belongs to it.
PASSPHRASE = "lab"  # noqa: S105


def has_official_plugins(path: str, pulumi_home: Path) -> bool:
    """Tell whether the language host and all providers are on `path` or in `pulumi_home`."""
    language = shutil.which(LANGUAGE_HOST, path=path) or shutil.which(
        LANGUAGE_HOST, path=str(pulumi_home / "bin")
    )
    return language is not None and all(
        shutil.which(f"pulumi-resource-{name}", path=path)
        or any(pulumi_home.glob(f"plugins/resource-{name}-v*/pulumi-resource-{name}"))
        for name in PROVIDERS
    )


def own_plugins(environ: Mapping[str, str]) -> bool:
    """Tell whether the lab's own plugins are to be used, by `LAB_PLUGINS` or by what is there.

    Raises:
        LabError: `LAB_PLUGINS` is no such choice, or asks for what is not installed.
    """
    wanted = environ.get("LAB_PLUGINS", "")
    home = Path(environ.get("PULUMI_HOME") or Path(environ.get("HOME", "/root")) / ".pulumi")
    # A shell that has the lab's environment already has our launchers on its PATH.
    path = os.pathsep.join(
        part for part in environ.get("PATH", "").split(os.pathsep) if Path(part) != PLUGINS
    )
    official = has_official_plugins(path, home)
    if wanted not in ("", "own", "official"):
        raise LabError(f"LAB_PLUGINS={wanted!r} is no choice", "use own, official, or unset it")
    if wanted == "official" and not official:
        raise LabError(
            f"LAB_PLUGINS=official, but {LANGUAGE_HOST} and the providers "
            f"{', '.join(PROVIDERS)} are not all on PATH or in {home}",
            "install them (pulumi plugin install resource NAME VERSION), or use LAB_PLUGINS=own",
        )
    return wanted == "own" or not official


def variables(
    layout: Layout, toolchain: Toolchain, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the variables to set, with PATH and NO_PROXY made from those of `environ`."""
    directories = [*toolchain.path, *([PLUGINS] if own_plugins(environ) else [])]
    directories.append(CHECKOUT / ".venv/bin")
    ours = [str(directory) for directory in dict.fromkeys(directories)]
    rest = [part for part in environ.get("PATH", "").split(os.pathsep) if part not in ours]
    no_proxy = [part for part in environ.get("NO_PROXY", "").split(",") if part]
    if str(network.SUBNET) not in no_proxy:
        no_proxy.append(str(network.SUBNET))
    return {
        "PATH": os.pathsep.join([*ours, *rest]),
        "PULUMI_BACKEND_URL": f"file://{layout.pulumi}",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "KUBECONFIG": str(layout.kubeconfig),
        "NO_PROXY": ",".join(no_proxy),
    }


def exports(variables: Mapping[str, str]) -> str:
    """Return the variables as lines for `eval` in a POSIX shell."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
