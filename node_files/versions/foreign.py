"""What else people write among a kubelet's fields: its flags, and keys of other tools.

Installers have sections of their own for the kubelet (Talos, nodeadm, RKE, k3s, kops, KubeKey,
kubeadm's nodeRegistration), and each key there has another setting here.
"""

import re
from collections.abc import Mapping

from node_files.versions import table

_FIELDS_IN_IT = "put the fields that it holds in its place"
_LEAVE_IT_OUT = "leave it out"
_FLAGS, _NAME = "the setting is flags", "the setting is the node's name"
# By the letters of the key, in lower case.
_REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(("labels", "nodelabel", "nodelabels"), "the setting is labels"),
    **dict.fromkeys(("taints", "nodetaint", "nodetaints"), "the setting is taints"),
    "registerwithtaints": "the setting is taints",
    "containerruntimeendpoint": "the setting is runtimeEndpoint",
    **dict.fromkeys(("extraargs", "kubeletextraargs", "kubeletarg", "kubeletargs"), _FLAGS),
    **dict.fromkeys(("flags", "v", "vmodule"), _FLAGS),
    **dict.fromkeys(("config", "extraconfig", "kubeletextraconfig", "spec"), _FIELDS_IN_IT),
    **dict.fromkeys(("kubelet", "kubeletconfig", "kubeletconfiguration"), _FIELDS_IN_IT),
    **dict.fromkeys(("hostnameoverride", "name", "nodename", "registerwithfqdn"), _NAME),
    **dict.fromkeys(("metadata", "imagepullpolicy", "ignorepreflighterrors"), _LEAVE_IT_OUT),
    **dict.fromkeys(("extramounts", "extrabinds", "skipnoderegistration"), _LEAVE_IT_OUT),
    **dict.fromkeys(("containermanager", "containerruntime"), "the setting is runtime"),
    **dict.fromkeys(
        ("podmanifestpath", "disablemanifestsdirectory"), "the setting is paths.manifests"
    ),
    **dict.fromkeys(("image", "kubernetesversion"), "the setting is kubernetesVersion"),
    "bootstrapkubeconfig": "the setting is paths.bootstrapKubeconfig",
    "certdir": "the setting is paths.certificates",
    "clusterdnsserver": "the setting is cluster.dnsAddresses",
    "credentialproviderconfig": "use image-credential-provider-config in flags",
    "crisocket": "the setting is runtimeEndpoint",
    "defaultruntimeseccompprofileenabled": "the field is seccompDefault",
    "generateservingcertificate": _LEAVE_IT_OUT,
    "infracontainerimage": "set the sandbox image in the container runtime",
    "insecurekubeletreadonlyportenabled": "the field is readOnlyPort",
    "kubeconfig": "the setting is paths.kubeconfig",
    "kubeconfigpath": "the setting is paths.kubeconfig",
    "loglevel": "the field is logging.verbosity",
    "nodeexternalip": "the setting is certificateAddresses",
    "nodeip": "the settings are address and addresses",
    "podmaxpids": "the field is podPidsLimit",
    "rootdir": "the setting is paths.root",
}


def remedy(name: str) -> str | None:
    """Return what to do with a key of another tool, or None if nothing is known of it."""
    return _REMEDIES.get(re.sub("[_-]", "", name).lower())


def remedy_of_flag(name: str, version: str) -> str | None:
    """Return the same of a flag, however its words are joined."""
    words = re.sub("(?<=[a-z0-9])(?=[A-Z])", "-", name.removeprefix("--"))
    flag = table.flags(version).get(words.replace("_", "-").lower())
    if flag is None:
        return None
    return f"the field is {flag.field}" if flag.field else _FLAGS
