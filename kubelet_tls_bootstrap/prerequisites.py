"""What a program's stack and its environment must have besides the settings that it gives itself.

What drains a node runs in a `pulumi destroy` too, which runs no program: it has the stack's file.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi

from settings import parsing
from settings.outputs import CLUSTER_FROM
from settings.problem import Problem

PYTHON, USUAL_PYTHON = "KUBELET_TLS_BOOTSTRAP_PYTHON", Path(".venv/bin/python")
CLUSTER, FROM, POOLS = "cluster", "from", "pools"
BOTH = (parsing.KUBECONFIG_PATH, parsing.KUBECONFIG)
SET_PATH = f"pulumi config set {parsing.KUBECONFIG_PATH} PATH"
SET_SECRET = f"pulumi config set --secret {parsing.KUBECONFIG} <FILE"


def problems(settings: Mapping[str, Any], config: pulumi.Config) -> Iterator[Problem]:
    """Yield what the engine's programs would not find, or would take for something else."""
    yield from _of_kubeconfig(settings, config)
    cluster = settings.get(CLUSTER)
    # It may be anything; `stack.given` and the settings' checks refuse what is none.
    if isinstance(cluster, Mapping) and cluster.get(FROM) is not None:
        yield Problem(
            CLUSTER_FROM,
            "is no setting that a program can give: give cluster.server and the like as Outputs"
            f" of a StackReference, and the kubeconfig in the stack's file: {SET_SECRET}",
        )
    yield from _of_own_keys(config)
    if PYTHON not in os.environ and not USUAL_PYTHON.exists():
        yield Problem(
            PYTHON,
            f"is not in the environment of pulumi, and {USUAL_PYTHON} does not exist: the"
            " engine could not start what approves certificates and drains nodes. Set it to"
            " the path of the Python interpreter that has the package kubelet-tls-bootstrap,"
            " or call the program's virtual environment .venv",
        )


def _of_kubeconfig(settings: Mapping[str, Any], config: pulumi.Config) -> Iterator[Problem]:
    if parsing.KUBECONFIG_PATH in settings:
        yield Problem(
            parsing.KUBECONFIG_PATH,
            "is no setting that a program can give: what drains a node in a `pulumi destroy`,"
            f" which runs no program, needs it too. Set it in the stack's file: {SET_PATH}",
        )
    elif not any(parsing.is_set(config, key) for key in BOTH):
        yield Problem(
            parsing.KUBECONFIG_PATH,
            f"and the secret key {parsing.KUBECONFIG} are both missing in the stack's file; set one"
            f" of them: {SET_PATH}, or {SET_SECRET}",
        )


def _of_own_keys(config: pulumi.Config) -> Iterator[Problem]:
    own = parsing.plain(config).get(CLUSTER)
    names_a_stack = isinstance(own, Mapping) and FROM in own
    for key, misleads in ((POOLS, parsing.is_set(config, POOLS)), (CLUSTER, names_a_stack)):
        if misleads:
            yield Problem(
                f"{config.name}:{key}",
                "is in the stack's file, where what drains a node takes it for a setting of this"
                " kind; give this key of your program another name",
            )
