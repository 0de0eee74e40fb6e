"""The files of a node as text for people: what `./ktb render` prints."""

from collections.abc import Iterator

from node_files import Directory, File, bootstrap_kubeconfig, files
from node_files.bundle import directories
from stack.file import StackFile, StackNode

# Apart from this, the file is exactly what the node gets.
TOKEN = ("<token-id>", "<token-secret>")


def render(stack: StackFile, entry: StackNode) -> str:
    """Return each directory and each whole file that the node gets, with mode and owner."""
    node = entry.node
    head = f"{node.name} of the pool {entry.pool}: Kubernetes {node.version}"
    listed = "\n".join(f"{directory.path}/  {_meta(directory)}" for directory in directories(node))
    return "\n".join([head, "", listed, "", *_files(stack, entry)])


def _files(stack: StackFile, entry: StackNode) -> Iterator[str]:
    for file in files(stack.cluster, entry.node):
        yield f"==> {file.path}  {_meta(file)} <==\n{file.content}"
    kubeconfig = bootstrap_kubeconfig(stack.cluster, entry.node, *TOKEN)
    note = "only while it joins"
    yield f"==> {kubeconfig.path}  {_meta(kubeconfig)}, {note} <==\n{kubeconfig.content}"


def _meta(entry: File | Directory) -> str:
    return f"{entry.mode} {entry.owner}:{entry.group}"
