"""A gate makes Nodes of a real API server follow the settings, beside what others have there.

The kubelet is impersonated. The gate proves no join here: nobody listens on port 10250.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from admission.objects.node_attributes import RECORD, SEAL
from tests.contract.kubernetes_provider.cluster import Cluster, running
from tests.hostile.vector import AUTHENTICATED, Requester

pytestmark = pytest.mark.contract

CHECKOUT = Path(__file__).resolve().parents[2]
NODE = "/api/v1/nodes/node-1"
ADDRESS = "127.0.0.2"
KUBELET = Requester("system:node:node-1", ("system:nodes", *AUTHENTICATED))
FLAGS = (
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    "--enable-bootstrap-token-auth=true",
)
SKIPPED = (
    "version", "rights", "clock", "token", "client-approval", "signer", "token-cleaner",
    "kubelet-verification",
)  # fmt: skip
THEIRS = {"key": "example.org/theirs", "effect": "NoExecute"}
ROLE = "node-role.kubernetes.io/worker"
LIMIT_S = 30
