"""The environment in which plain `pulumi` and `kubectl` mean the lab."""

import os
import shlex
from collections.abc import Mapping

from lab import network
from lab.layout import CHECKOUT, Layout
from lab.plugin_choice import PLUGINS, own_plugins
from lab.toolchain import Toolchain

# Known to all: the lab's stack settings are committed with the salt that belongs to it.
PASSPHRASE = "lab"  # noqa: S105


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
        # Where one machine fails, the others go on: as --continue-on-error in each command.
        "PULUMI_CONTINUE_ON_ERROR": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "KUBECONFIG": str(layout.kubeconfig),
        "NO_PROXY": ",".join(no_proxy),
    }


def exports(variables: Mapping[str, str]) -> str:
    """Return the variables as lines for `eval` in a POSIX shell."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
