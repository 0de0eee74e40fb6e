"""Makes machines and joins them to a cluster, in one program: docs/components.md explains it.

It runs on the lab (docs/lab.md), whose machines stand in for those of a cloud. In the checkout, and
not after `make up`, with which node-1 belongs to the stack `dev` (`python -m lab down --disks` ends
that):

    make .venv/installed
    .venv/bin/python -m lab up
    eval "$(.venv/bin/python -m lab env)"
    cd examples/one-program
    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    pulumi stack init try
    pulumi up                          # makes node-1, and joins it
    pulumi config set machines 2
    pulumi up                          # makes node-2, and touches nothing of node-1
    pulumi destroy
"""

import pulumi
from pulumi_command import local

import kubelet_tls_bootstrap as ktb

LAB = "../../.lab"
ADDRESSES = ("10.98.0.11", "10.98.0.12")


def machine(name: str, address: str) -> ktb.NodeArgs:
    """Make a machine, and return it as a node.

    In its place stands what your cloud has, such as `aws.ec2.Instance`: its address and the key of
    its sshd are known once it is made.
    """
    vm = local.Command(
        f"{name}-vm",
        create=f"echo {address}; ssh-keygen -F {address} -f {LAB}/known_hosts",
    )
    lines = vm.stdout.apply(str.splitlines)
    return {
        "name": name,
        "address": lines[0],
        # NAME TYPE KEY
        "hostKey": lines[-1].apply(lambda line: line.partition(" ")[2]),
    }


async def main() -> None:
    """Declare all resources, and wait until the machines have joined."""
    count = pulumi.Config().require_int("machines")
    settings: ktb.SettingsArgs = {
        "cluster": {
            "name": "lab",
            "caPath": f"{LAB}/ca.crt",
            "serviceCidr": "10.97.0.0/16",
            "dnsAddresses": ["10.97.0.10"],
        },
        "ssh": {
            "user": "root",
            "privateKeyPath": f"{LAB}/id_ed25519",
            "knownHostsPath": f"{LAB}/known_hosts",
        },
        "controlPlane": {"manage": True, "hosts": [{"name": "cp-1", "address": "10.98.0.10"}]},
        # What only machines in containers on a cgroup v1 host need.
        "kubelet": {
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "localStorageCapacityIsolation": False,
        },
        "pools": {
            "workers": {
                "nodes": [machine(f"node-{index + 1}", ADDRESSES[index]) for index in range(count)]
            }
        },
    }
    async with ktb.fleet(settings) as fleet:
        # Whatever else the program declares stands in here, or before.
        pulumi.export("nodes", dict(fleet.nodes))


pulumi.run(main)
