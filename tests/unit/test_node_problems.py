"""What a join says of a kubelet's journal: the cause, and nothing else's."""

import subprocess
from pathlib import Path

import pytest

SERVER = "https://api.example.com:6443"
SCRIPTS = ("common.sh", "kubelet.sh", "join.sh")
X509 = "tls: failed to verify certificate: x509: "
POST = f'failed to run Kubelet: cannot create certificate signing request: Post "{SERVER}/apis/x": '
WATCH = f'"Failed to watch" err="failed to list *v1.Node: Get \\"{SERVER}/api/v1/nodes\\": '
CSRS = "certificatesigningrequests.certificates.k8s.io is forbidden: User "

NAME = "does not hold the name or address in that URL; add it to the API server's certificate"
TIME = "is not valid at this machine's time, "
CA = "presents a certificate that the CA in /etc/ca.crt did not sign"
TOKEN = "does not accept the token (401)"
DNS = "this machine can't resolve the name in"
NETWORK = "does not answer this machine; check the network"

# What a kubelet writes, and the cause.
CAUSES = {
    f"{POST}{X509}certificate is valid for 10.96.0.1, 10.0.2.15, not 10.0.0.10": NAME,
    f"{POST}{X509}certificate is valid for kubernetes, kubernetes.default, not api": NAME,
    f"{WATCH}{X509}cannot validate certificate for 10.0.0.9 because it doesn't contain any IP"
    ' SANs"': NAME,
    f"{WATCH}{X509}certificate relies on legacy Common Name field, use SANs instead": NAME,
    f"{WATCH}{X509}certificate is not valid for any names, but wanted to match api": NAME,
    f"{POST}x509: certificate is valid for 10.96.0.1, not 10.0.0.10": NAME,
    f"{POST}{X509}certificate has expired or is not yet valid: current time 2020-01-01T00:00:00Z"
    " is before 2026-01-01T00:00:00Z": TIME,
    f"{POST}x509: certificate has expired or is not yet valid": TIME,
    f"{WATCH}{X509}certificate signed by unknown authority": CA,
    f'{POST}{X509}certificate signed by unknown authority (possibly because of "crypto/rsa:'
    ' verification error" while trying to verify candidate authority certificate "kubernetes")': CA,
    f"{POST}{X509}unhandled critical extension": "presents a certificate that the kubelet does not",
    f"{POST}http: server gave HTTP response to HTTPS client": "does not speak HTTPS",
    "failed to run Kubelet: cannot create certificate signing request: Unauthorized": TOKEN,
    "cannot create certificate signing request: the server has asked for the client to provide"
    " credentials (post certificatesigningrequests.certificates.k8s.io)": TOKEN,
    f'failed to run Kubelet: {CSRS}"system:anonymous" cannot create resource': (
        "the token did not reach the API server"
    ),
    f'failed to run Kubelet: {CSRS}"system:bootstrap:abcdef" cannot create resource': (
        "the ClusterRoleBinding kubelet-bootstrap is missing"
    ),
    f'{CSRS}"system:node:node-1" cannot create resource "certificatesigningrequests"': (
        "kube-apiserver needs Node in --authorization-mode"
    ),
    f"{POST}dial tcp: lookup api.example.com on 10.0.0.2:53: no such host": DNS,
    f"{POST}dial tcp: lookup api.example.com on 10.0.0.2:53: server misbehaving": DNS,
    f"{POST}dial tcp: lookup api.example.com: read udp 10.0.0.5:1->10.0.0.2:53: i/o timeout": DNS,
    f"{POST}dial tcp 10.0.0.9:6443: connect: connection refused": NETWORK,
    f"{POST}net/http: TLS handshake timeout": NETWORK,
    f"{POST}dial tcp 10.0.0.9:6443: connect: network is unreachable": NETWORK,
    f"{POST}proxyconnect tcp: dial tcp 10.0.0.3:3128: connect: connection refused": "NO_PROXY",
    '"command failed" err="failed to run Kubelet: validate service connection: validate CRI v1'
    ' runtime API for endpoint \\"unix:///run/containerd/containerd.sock\\": rpc error: code ='
    ' Unimplemented desc = unknown service runtime.v1.RuntimeService"': "disabled_plugins",
    '"command failed" err="failed to run Kubelet: validate service connection: validate CRI v1'
    ' runtime API for endpoint \\"unix:///run/crio/crio.sock\\": rpc error: dial unix'
    ' /run/crio/crio.sock: connect: connection refused"': "the container runtime does not answer",
    # Not about the API server.
    '"RunPodSandbox from runtime service failed" err="rpc error: code = Unknown desc = failed to'
    ' pull image \\"registry.local/pause:3.10\\": Head \\"https://registry.local/v2/\\": '
    f'{X509}certificate signed by unknown authority"': "",
    '"PullImage from image service failed" err="unexpected status code 401 Unauthorized"': "",
    '"Probe failed" probeType="Liveness" output="dial tcp 10.1.0.3:80: connection refused"': "",
    '"Status from runtime service failed" err="rpc error: code = Unavailable desc = connection'
    ' error: desc = \\"transport: Error while dialing: dial unix'
    ' /run/containerd/containerd.sock: connect: connection refused\\""': "",
    '"Failed to get metadata" err="Get \\"http://169.254.169.254/latest\\": i/o timeout"': "",
}


def problem(line: str, client: Path, shell: tuple[str, ...] = ("dash",)) -> str:
    """Return what the join would say of an error of its kubelet."""
    texts = [(Path("node_files") / name).read_text() for name in SCRIPTS]
    script = "".join(texts).replace('\n"$@"\n', "\n")
    done = subprocess.run(
        [*shell, "-c", f'{script}errors() {{ printf "%s\\n" "$line"; }}\nproblem 0'],
        env={
            "PATH": "/usr/bin:/bin",
            "line": f"E1124 10:00:00.0 1 x.go:1] {line}",
            "server": SERVER,
            "ca": "/etc/ca.crt",
            "client": str(client),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("line", CAUSES)
def test_the_cause_that_is_told_is_the_one_in_the_journal(line: str, tmp_path: Path) -> None:
    told = problem(line, tmp_path / "client.pem")
    assert CAUSES[line] in told
    assert bool(told) == bool(CAUSES[line])


@pytest.mark.parametrize(
    "line", ["Unauthorized", f"{WATCH}remote error: tls: unknown certificate authority"]
)
def test_a_kubelet_with_a_certificate_presents_no_token(line: str, tmp_path: Path) -> None:
    client = tmp_path / "client.pem"
    client.write_text("certificate and key\n")
    told = problem(line, client, ("busybox", "sh"))
    assert f"does not accept the certificate in {client} (401)" in told
    assert "token" not in told
