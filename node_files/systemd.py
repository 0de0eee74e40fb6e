"""The kubelet's unit and the file of arguments that it reads."""

import re

from node_files import versions
from node_files.model import Node

# What needs no quoting for systemd's EnvironmentFile, nor for the splitting of $KUBELET_ARGS.
PLAIN_ARGUMENT = re.compile(r"\A[A-Za-z0-9_./:=,@+\[\]-]+\Z")

# Wants and After, not Requires: a restart of the runtime must not stop the kubelet.
UNIT = """\
[Unit]
Description=kubelet: the Kubernetes node agent
Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/
Wants=network-online.target {runtime}
After=network-online.target {runtime}
StartLimitIntervalSec=0

[Service]
{service}
[Install]
WantedBy=multi-user.target
"""
# An empty value takes away what a package's unit and its other drop-ins say.
DROP_IN = """\
[Unit]
Wants=network-online.target {runtime}
After=network-online.target {runtime}
StartLimitIntervalSec=0

[Service]
EnvironmentFile=
ExecStart=
{service}"""
RUNTIME_UNITS = {
    "containerd": "containerd.service",
    "crio": "crio.service",
    "cri-dockerd": "cri-docker.service",  # which wants docker.service itself
}
# Kubelets since 1.32 tell systemd that they live (pkg/kubelet/watchdog); all tell when they have
# started (READY=1 in cmd/kubelet/app/server.go), which with rotateCertificates waits for no
# certificate. Until then a watchdog would stop a kubelet that starts slowly, hence Type=notify.
WATCHDOG_SINCE = "1.32"


def arguments(node: Node) -> tuple[str, ...]:
    """Return the kubelet's command-line arguments: only what its configuration can't hold.

    Raises:
        ValueError: a flag is none that the version takes beside the program's own, or an argument
            has a character that would need quoting on its way to the kubelet.
    """
    for name, problem in versions.flag_problems(node.flags, node.version):
        raise ValueError(f"the kubelet flag {name} {problem}")
    paths = node.paths
    listed = [
        f"--hostname-override={node.name}",
        f"--node-ip={','.join(node.addresses)}",
        f"--config={paths.config}",
        f"--kubeconfig={paths.kubeconfig}",
        f"--bootstrap-kubeconfig={paths.bootstrap_kubeconfig}",
        f"--cert-dir={paths.certificates}",
        f"--root-dir={paths.root}",
    ]
    if node.labels:
        labels = ",".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
        listed.append(f"--node-labels={labels}")
    if "containerRuntimeEndpoint" not in versions.fields(node.version):
        listed.append(f"--container-runtime-endpoint={node.runtime_endpoint}")
    listed += [f"--{name}={value}" for name, value in sorted(node.flags.items())]
    for argument in listed:
        if not PLAIN_ARGUMENT.match(argument):
            raise ValueError(
                f"the kubelet argument {argument!r} has a character other than letters, digits"
                " and _ . / : = , @ + - [ ]; give a value without it"
            )
    return tuple(listed)


def arguments_file(node: Node) -> str:
    """Return the EnvironmentFile that sets KUBELET_ARGS, an argument a line."""
    return "".join(
        ('KUBELET_ARGS="\\\n', *(f"{argument} \\\n" for argument in arguments(node)), '"\n')
    )


def unit(node: Node) -> str:
    """Return the text of kubelet.service, or of the drop-in for the one of the node's package."""
    template = DROP_IN if node.unit_drop_in else UNIT
    return template.format(runtime=RUNTIME_UNITS[node.runtime], service=_service(node))


def _service(node: Node) -> str:
    lines = [
        f"EnvironmentFile={node.paths.arguments}",
        f"ExecStart={node.paths.kubelet} $KUBELET_ARGS",
        "Restart=always",
        "RestartSec=5",
    ]
    if node.work_in_root:
        lines.insert(0, f"WorkingDirectory={node.paths.root}")
    if node.watchdog_s:
        lines += ["Type=notify", f"WatchdogSec={node.watchdog_s}"]
    return "".join(f"{line}\n" for line in lines)
