"""The kubelet's unit, and the file of arguments that the unit reads."""

import re

from node_files import versions
from node_files.model import Node
from node_files.registration import NODE_LABELS, labels_of_kubelet

# In the place of a node's own name and addresses, where they are not known or don't matter.
NODE_NAME, NODE_IP = "@NODE_NAME@", "@NODE_IP@"
# Characters that need no quoting in systemd's EnvironmentFile or when it splits $KUBELET_ARGS.
# systemd expands no file patterns there.
PLAIN_ARGUMENT = re.compile(r"\A[A-Za-z0-9_./:=,@+*?\[\]()<>~%-]+\Z")

# Wants and After, not Requires: restarting the runtime must not stop the kubelet.
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
# An empty value clears what the package's unit and its other drop-ins set.
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
    "cri-dockerd": "cri-docker.service",  # which itself wants docker.service
}
# Kubelets ping systemd's watchdog since 1.32 (pkg/kubelet/watchdog). All of them tell systemd when
# they have started (READY=1 in cmd/kubelet/app/server.go); with rotateCertificates that does not
# wait for a certificate. Before READY the watchdog would stop a kubelet that starts slowly, hence
# Type=notify.
WATCHDOG_SINCE = "1.32"


def arguments(node: Node) -> tuple[str, ...]:
    """Return the kubelet's command-line arguments: only what its configuration can't hold.

    Raises:
        ValueError: the version does not take a flag, the program sets it itself, or an argument
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
    if given := labels_of_kubelet(node.labels):
        labels = ",".join(f"{key}={value}" for key, value in sorted(given.items()))
        listed.append(f"{NODE_LABELS}{labels}")
    if "containerRuntimeEndpoint" not in versions.fields(node.version):
        listed.append(f"--container-runtime-endpoint={node.runtime_endpoint}")
    listed += [f"--{name}={value}" for name, value in sorted(node.flags.items())]
    for argument in listed:
        if not PLAIN_ARGUMENT.match(argument):
            raise ValueError(
                f"the kubelet argument {argument!r} has characters other than letters, digits"
                " and _ . / : = , @ + - * ? [ ] ( ) < > ~ %; give a value without them"
            )
    return tuple(listed)


def arguments_file(node: Node) -> str:
    """Return the EnvironmentFile that sets KUBELET_ARGS, one argument per line."""
    return "".join(
        ('KUBELET_ARGS="\\\n', *(f"{argument} \\\n" for argument in arguments(node)), '"\n')
    )


def unit(node: Node) -> str:
    """Return the text of kubelet.service, or of our drop-in for the unit of the package."""
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
