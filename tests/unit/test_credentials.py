"""The files that the settings name are read and checked, and none of their content is shown."""

import base64
import hmac
import struct
import subprocess
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from credentials import Credentials
from credentials.host_key import keys_in
from credentials.known_hosts import KnownHosts, names
from credentials.private_key import fingerprint, for_engine, for_openssh, problem_of
from settings.model import Settings
from settings.parsing import Secret, parse
from settings.problem import Problem
from stack.reading import read_credentials, warnings_of_agent
from tests.unit.admission.test_verification import Signed
from tests.unit.certificates import authority

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIi"
RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAAExample"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a kubeconfig, an SSH key and a known_hosts file that fit."""
    ca = authority(days=1)
    kubeconfig = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [
            {
                "name": "k",
                "cluster": {
                    "server": "https://10.0.0.9:6443",
                    "certificate-authority-data": base64.b64encode(ca).decode(),
                },
            }
        ],
        "users": [{"name": "u", "user": {"token": "s3cret"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    key = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    (tmp_path / "key.pub").write_bytes(
        key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    )
    (tmp_path / "known_hosts").write_text(f"10.0.0.1 {ED25519}\n10.0.0.2 {RSA}\n")
    return tmp_path


def loaded_from(settings: Settings) -> tuple[Credentials | None, list[Problem]]:
    problems: list[Problem] = []
    credentials = read_credentials(settings, problems)
    return (None if problems else credentials), problems


def load(
    files: Path, address: str = "10.0.0.1", *, kubeconfig: str = "kubeconfig", key: str = "key"
) -> tuple[Credentials | None, list[Problem]]:
    settings = parse(
        {
            "kubeconfigPath": str(files / kubeconfig),
            "ssh": {
                "privateKeyPath": str(files / key),
                "knownHostsPath": str(files / "known_hosts"),
            },
            "pools": {"w": {"nodes": [{"name": "a", "address": address}]}},
        }
    )
    return loaded_from(settings)


def test_what_fits_is_loaded(files: Path) -> None:
    loaded, problems = load(files)
    assert problems == []
    assert loaded is not None
    assert loaded.server == "https://10.0.0.9:6443"
    assert loaded.ca_certificate.startswith("-----BEGIN CERTIFICATE-----")
    assert loaded.host_keys == {"a": ED25519}


def test_a_node_at_the_api_servers_address_is_told(files: Path) -> None:
    (files / "known_hosts").write_text(f"10.0.0.9 {ED25519}\n")
    loaded, problems = load(files, "10.0.0.9")
    assert loaded is None
    assert 'pools.w.nodes[0].address "10.0.0.9" is the API server\'s' in only(problems)


def test_a_control_plane_host_that_is_a_node_has_one_key(files: Path) -> None:
    (files / "known_hosts").write_text(f"10.0.0.1 {ED25519}\n")
    machine = {"name": "a", "address": "10.0.0.1"}
    settings = parse(
        {
            "kubeconfigPath": str(files / "kubeconfig"),
            "ssh": {"knownHostsPath": str(files / "known_hosts")},
            "controlPlane": {"hosts": [machine]},
            "pools": {"w": {"nodes": [machine]}},
        }
    )
    loaded, problems = loaded_from(settings)
    assert problems == []
    assert loaded is not None
    assert loaded.host_keys == {"a": ED25519}


def only(problems: list[Problem]) -> str:
    assert len(problems) == 1
    return str(problems[0])


def test_a_ca_file_that_holds_the_ca_s_key_is_refused_and_not_shown(files: Path) -> None:
    document = yaml.safe_load((files / "kubeconfig").read_text())
    (cluster,) = (entry["cluster"] for entry in document["clusters"])
    ca = base64.b64decode(cluster["certificate-authority-data"])
    cluster["certificate-authority-data"] = base64.b64encode(
        ca + (files / "key").read_bytes()
    ).decode()
    (files / "kubeconfig").write_text(yaml.safe_dump(document))
    loaded, problems = load(files)
    assert loaded is None
    assert "holds a private key; give only the certificate" in only(problems)


def test_a_host_without_a_key_is_refused(files: Path) -> None:
    assert "hostKey is missing, and 10.0.0.3 is not in" in only(load(files, "10.0.0.3")[1])


def test_an_rsa_host_key_is_refused_with_what_to_do(files: Path) -> None:
    said = only(load(files, "10.0.0.2")[1])
    assert "is of the type ssh-rsa" in said
    assert "ssh-keyscan -t ed25519 10.0.0.2" in said


def test_a_hashed_known_hosts_entry_is_found(files: Path) -> None:
    salt = b"saltsaltsaltsaltsalt"
    digest = base64.b64encode(hmac.digest(salt, b"10.0.0.1", "sha1")).decode()
    entry = f"|1|{base64.b64encode(salt).decode()}|{digest} {ED25519}\n"
    (files / "known_hosts").write_text(entry)
    loaded, problems = load(files)
    assert problems == []
    assert loaded is not None
    assert loaded.host_keys == {"a": ED25519}


def test_a_hash_of_an_address_is_of_the_form_in_which_it_was_typed() -> None:
    salt, typed = b"saltsaltsaltsaltsalt", b"fd00:0::1"
    digest = base64.b64encode(hmac.digest(salt, typed, "sha1")).decode()
    known = KnownHosts(f"|1|{base64.b64encode(salt).decode()}|{digest} {ED25519}\n")
    assert known.keys(names("FD00:0::1", 22)) == [ED25519]
    assert known.keys(names("fd00::2", 22)) == []


def test_a_key_may_be_folded() -> None:
    assert list(keys_in(ED25519.replace(" ", "\n"))) == [ED25519]


@pytest.mark.parametrize("own", [{}, {"hostKey": ED25519}])
def test_a_revoked_host_key_is_refused(files: Path, own: dict[str, str]) -> None:
    (files / "known_hosts").write_text(f"@revoked * {ED25519}\n10.0.0.1 {ED25519}\n")
    _, problems = load_pools(files, {"w": {"nodes": [{"name": "a", "address": "10.0.0.1", **own}]}})
    assert "hostKey is revoked in knownHostsPath" in only(problems)


def load_pools(
    files: Path, pools: dict[str, Any], **ssh: Any
) -> tuple[Credentials | None, list[Problem]]:
    settings = parse(
        {
            "kubeconfigPath": str(files / "kubeconfig"),
            "ssh": {"knownHostsPath": str(files / "known_hosts"), **ssh},
            "pools": pools,
        }
    )
    return loaded_from(settings)


def test_each_key_file_is_read_once_and_each_host_gets_its_own(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = files / "other"
    other.write_bytes((files / "key").read_bytes())
    read: list[str] = []
    whole = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path, *args: (read.append(path.name), whole(path, *args))[1]
    )
    (files / "known_hosts").write_text(f"10.0.0.* {ED25519}\n")
    own = {"ssh": {"privateKeyPath": str(other)}}
    nodes = [
        {"name": f"n{i}", "address": f"10.0.0.{i}", **(own if i > 5 else {})} for i in range(1, 9)
    ]
    loaded, problems = load_pools(files, {"w": {"nodes": nodes}}, privateKeyPath=str(files / "key"))
    assert problems == []
    assert loaded is not None
    assert sorted(read) == ["key", "known_hosts", "kubeconfig", "other"]
    assert loaded.key(str(other)) is not loaded.key(str(files / "key"))
    assert loaded.key(None) is None
    assert "PRIVATE KEY" not in repr(loaded)


def test_a_pools_key_file_is_named_where_it_is_wrong(files: Path) -> None:
    pool = {"ssh": {"privateKeyPath": str(files / "key.pub")}, "nodes": []}
    said = only(load_pools(files, {"w": pool})[1])
    assert said.startswith("pools.w.ssh.privateKeyPath")
    assert "AAAA" not in said


def test_a_bastions_key_comes_from_known_hosts_too(files: Path) -> None:
    (files / "known_hosts").write_text(f"10.0.0.1 {ED25519}\n[jump.example.org]:222 {OTHER}\n")
    nodes = {"w": {"nodes": [{"name": "a", "address": "10.0.0.1"}]}}
    bastion = {"address": "jump.example.org", "port": 222}
    loaded, problems = load_pools(files, nodes, bastion=bastion)
    assert problems == []
    assert loaded is not None
    assert loaded.bastion_keys == {"jump.example.org:222": OTHER}


def test_a_bastion_without_a_key_is_refused_where_it_is_named(files: Path) -> None:
    node = {"name": "a", "address": "10.0.0.1"}
    pool = {"ssh": {"bastion": {"address": "10.0.0.8"}}, "nodes": [node]}
    said = only(load_pools(files, {"w": pool})[1])
    assert said.startswith("pools.w.ssh.bastion.hostKey is missing, and 10.0.0.8 is not in")


def test_a_missing_file_is_named(files: Path) -> None:
    said = only(load(files, kubeconfig="nowhere")[1])
    assert said.endswith('nowhere" cannot be read: No such file or directory')


def test_a_public_key_in_place_of_a_private_one_is_refused_without_its_content(
    files: Path,
) -> None:
    said = only(load(files, key="key.pub")[1])
    assert 'key.pub" is a public key; give the private one' in said
    assert "AAAA" not in said


KEYS: dict[str, tuple[str, ...]] = {
    "ed25519": ("-t", "ed25519"),
    "RSA, PKCS #1": ("-t", "rsa", "-b", "2048", "-m", "PEM"),
    "RSA, PKCS #8": ("-t", "rsa", "-b", "2048", "-m", "PKCS8"),
    "ECDSA, SEC 1": ("-t", "ecdsa", "-m", "PEM"),
    "ECDSA 521, PKCS #8": ("-t", "ecdsa", "-b", "521", "-m", "PKCS8"),
}


def made_key(files: Path, *words: str, passphrase: str = "") -> Path:
    made = files / "made"
    subprocess.run(["ssh-keygen", "-q", "-N", passphrase, "-f", str(made), *words], check=True)
    return made


@pytest.mark.parametrize("words", KEYS.values(), ids=KEYS)
def test_a_key_in_each_form_that_the_engine_reads_is_taken(
    files: Path, words: tuple[str, ...]
) -> None:
    made = made_key(files, *words)
    for before, end in (("", "\n"), ("a comment\n", "\r\n")):
        text = before + made.read_text()
        made.write_bytes(text.replace("\n", end).encode())
        loaded, problems = load(files, key="made")
        assert problems == []
        assert loaded is not None
        assert for_openssh(text).startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


@pytest.mark.parametrize("words", KEYS.values(), ids=KEYS)
def test_a_key_with_a_passphrase_is_told_to_have_one(files: Path, words: tuple[str, ...]) -> None:
    made = made_key(files, *words, passphrase="secret")
    assert 'made" has a passphrase, which nobody' in only(load(files, key="made")[1])
    problems: list[Problem] = []
    secret = Secret(made.read_text(), pulumi.Output.secret(made.read_text()))
    settings = parse({"kubeconfigPath": str(files / "kubeconfig")})
    read_credentials(settings, problems, private_key=secret)
    assert only(problems).startswith("the secret key sshPrivateKey has a passphrase")


CIPHERS = ("aes256-cbc", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "3des-cbc")


@pytest.mark.parametrize("cipher", CIPHERS)
def test_a_passphrase_is_told_whatever_cipher_it_is_for(files: Path, cipher: str) -> None:
    made_key(files, "-t", "ed25519", "-Z", cipher, passphrase="secret")
    assert 'made" has a passphrase, which nobody' in only(load(files, key="made")[1])


def test_a_key_on_a_security_key_is_told_to_be_there(files: Path) -> None:
    def field(text: bytes) -> bytes:
        return struct.pack(">I", len(text)) + text

    public = field(b"sk-ssh-ed25519@openssh.com") + field(bytes(32)) + field(b"ssh:")
    private = bytes(8) + public + b"\1" + field(bytes(64)) + field(b"") + field(b"comment")
    private += bytes(range(1, 1 + -len(private) % 8))
    blob = b"openssh-key-v1\0" + field(b"none") * 2 + field(b"") + struct.pack(">I", 1)
    data = base64.encodebytes(blob + field(public) + field(private)).decode()
    text = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{data}-----END OPENSSH PRIVATE KEY-----\n"
    (files / "sk").write_text(text)
    assert 'sk" is kept on a security key (FIDO)' in only(load(files, key="sk")[1])


@pytest.mark.parametrize("name", ["key", "known_hosts"])
def test_a_comment_in_another_encoding_does_no_harm(files: Path, name: str) -> None:
    path = files / name
    path.write_bytes(b"# Zo\xe9's\n" + path.read_bytes())
    assert load(files)[1] == []
    path.write_bytes(path.read_text(errors="replace").encode("utf-16"))
    assert "it is not a text file" in " ".join(map(str, load(files)[1]))


@pytest.mark.parametrize("name", ["ssh.privateKeyPath", "kubeconfigPath", "ssh.knownHostsPath"])
@pytest.mark.parametrize("form", ["on one line", "in base64", "without its ends"])
def test_a_key_in_one_line_in_the_place_of_its_path_is_not_quoted(
    files: Path, form: str, name: str
) -> None:
    lines = (files / "key").read_text().splitlines()
    key = {
        "on one line": " ".join(lines),
        "in base64": base64.b64encode((files / "key").read_bytes()).decode(),
        "without its ends": "".join(lines[1:-1]),
    }[form]
    raw: dict[str, Any] = {"kubeconfigPath": str(files / "kubeconfig"), "ssh": {}}
    where, _, last = name.rpartition(".")
    (raw[where] if where else raw)[last] = key
    nodes = [{"name": "a", "address": "10.0.0.1", "hostKey": ED25519}]
    said = only(loaded_from(parse(raw | {"pools": {"w": {"nodes": nodes}}}))[1])
    assert said.startswith(f"{name} ")
    assert key[40:60] not in said


def test_a_path_of_nobody_is_told(files: Path) -> None:
    path = "~nobody-of-this-name/key"
    said = only(load_pools(files, {}, privateKeyPath=path)[1])
    assert said == f'ssh.privateKeyPath "{path}" cannot be read: there is no such user'


def test_a_key_of_putty_is_told_to_be_one(files: Path) -> None:
    (files / "key.ppk").write_text("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n")
    assert "puttygen" in only(load(files, key="key.ppk")[1])


def test_a_key_of_a_type_that_ssh_does_not_take_is_refused(files: Path) -> None:
    key = x25519.X25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (files / "x25519").write_bytes(text)
    assert "ssh-keygen -t ed25519" in only(load(files, key="x25519")[1])


def test_something_else_than_a_kubeconfig_is_reported_without_its_content(files: Path) -> None:
    (files / "kubeconfig").write_text("token: s3cret\n")
    said = only(load(files)[1])
    assert "kubeconfigPath has no current context" in said
    assert "s3cret" not in said


def test_a_kubeconfig_that_verifies_no_server_is_refused(files: Path) -> None:
    document = yaml.safe_load((files / "kubeconfig").read_text())
    document["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    (files / "kubeconfig").write_text(yaml.safe_dump(document))
    assert "sets insecure-skip-tls-verify, so anybody" in only(load(files)[1])


def edited(files: Path, **changes: Any) -> dict[str, Any]:
    """Change the cluster of the kubeconfig, or its user where it is `user`."""
    document: dict[str, Any] = yaml.safe_load((files / "kubeconfig").read_text())
    document["users"][0]["user"] = changes.pop("user", {"token": "s3cret"})
    cluster = document["clusters"][0]["cluster"] | changes
    document["clusters"][0]["cluster"] = {k: v for k, v in cluster.items() if v is not None}
    (files / "kubeconfig").write_text(yaml.safe_dump(document))
    return document


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"server": "https://127.0.0.1:6443"}, "https://127.0.0.1:6443 is this machine itself"),
        ({"server": "https://localhost:6443"}, "is this machine itself"),
        ({"server": "https://[::1]:6443"}, "is this machine itself"),
        ({"server": "https://0.0.0.0:6443"}, "is this machine itself"),
        ({"server": "https://[::]:6443"}, "is this machine itself"),
        ({"server": "https://[::ffff:127.0.0.1]:6443"}, "is this machine itself"),
        ({"server": "https://localhost.:6443"}, "is this machine itself"),
        ({"server": "https://localhost.localdomain:6443"}, "is this machine itself"),
        ({"proxy-url": "http://proxy:3128"}, "through a proxy"),
        ({"tls-server-name": "kubernetes"}, "for another name"),
    ],
)
def test_a_server_that_machines_do_not_reach_needs_one_that_they_do(
    files: Path, changes: dict[str, str], reason: str
) -> None:
    edited(files, **changes)
    said = only(load(files)[1])
    assert said.startswith("cluster.server is missing, and the kubeconfig does not tell machines")
    assert reason in said
    raw = {
        "kubeconfigPath": str(files / "kubeconfig"),
        "cluster": {"server": "https://10.0.0.8:6443"},
    }
    loaded, problems = loaded_from(parse(raw))
    assert problems == []
    assert loaded is not None
    assert loaded.server == "https://10.0.0.8:6443"


@pytest.mark.parametrize("given", [{}, {"cluster": {"server": "https://10.0.0.8:6443"}}])
def test_credentials_are_sent_to_https_only(files: Path, given: dict[str, Any]) -> None:
    edited(files, server="http://10.0.0.9:8080")
    raw = {"kubeconfigPath": str(files / "kubeconfig"), **given}
    assert "names a server that is no https URL" in only(loaded_from(parse(raw))[1])


REFERENCES: list[dict[str, Any]] = [
    {"certificate-authority": "ca.crt", "certificate-authority-data": None},
    {"user": {"tokenFile": "token"}},
    {
        "user": {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "bin/plugin",
                "interactiveMode": "Never",
            }
        }
    },
]


@pytest.mark.parametrize("changes", REFERENCES, ids=["CA", "token", "plugin"])
def test_relative_paths_count_where_pulumis_provider_finds_them_too(
    files: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """It reads the kubeconfig's text alone, and runs in the project's directory."""
    (files / "ca.crt").write_bytes(authority(days=9))
    (files / "token").write_text("t\n")
    document = edited(files, **changes)
    said = only(load(files)[1])
    assert "as a relative path, which Pulumi's Kubernetes provider does not look for" in said
    assert "kubectl config view --flatten" in said
    monkeypatch.chdir(files)
    assert load(files)[1] == []
    problems: list[Problem] = []
    text = yaml.safe_dump(document)
    secret = Secret(text, pulumi.Output.secret(text))
    read_credentials(parse({}), problems, kubeconfig=secret)
    assert "as a relative path" in only(problems)


def test_a_plugin_that_the_provider_would_look_for_in_path_is_refused(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    entry = {**REFERENCES[2]["user"]["exec"], "command": "./plugin"}
    edited(files, user={"exec": entry})
    assert "gives command of exec as a relative path" in only(load(files)[1])


def test_a_list_of_kubeconfigs_is_told_to_be_merged(files: Path) -> None:
    raw = {"kubeconfigPath": f"{files}/kubeconfig:{files}/other"}
    assert "is a list of files; give one with all" in only(loaded_from(parse(raw))[1])


@pytest.mark.parametrize("name", ["tokenFile", "client-key", "kubeconfigPath"])
def test_a_secret_in_the_place_of_its_path_is_not_quoted(files: Path, name: str) -> None:
    key = (files / "key").read_text()
    certificate = {"client-certificate": str(files / "known_hosts")}
    edited(files, user={**(certificate if name == "client-key" else {}), name: key})
    path = str(files / "kubeconfig")
    if name == "kubeconfigPath":
        path = (files / "kubeconfig").read_text()
    said = only(loaded_from(parse({"kubeconfigPath": path}))[1])
    assert not any(line in said for line in key.splitlines()[1:-1])
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ({}, "names no credentials for its user"),
        ({"token": 1}, "is not text; put it in quotes"),
        (
            {"client-certificate": "/nowhere", "client-key": "/x"},
            "as client-certificate that can't be read",
        ),
        ({"token": "t", "as-groups": ["system:masters"]}, "without as"),
    ],
)
def test_who_can_not_ask_the_api_server_is_told_before_anything_is_touched(
    files: Path, user: dict[str, Any], reason: str
) -> None:
    edited(files, user=user)
    said = only(load(files)[1])
    assert said.startswith("kubeconfigPath ")
    assert reason in said


def test_an_expired_ca_is_reported(files: Path) -> None:
    document = yaml.safe_load((files / "kubeconfig").read_text())
    expired = base64.b64encode(authority(days=-1)).decode()
    document["clusters"][0]["cluster"]["certificate-authority-data"] = expired
    (files / "kubeconfig").write_text(yaml.safe_dump(document))
    assert "CA expired on" in only(load(files)[1])


def test_a_bundle_may_keep_a_ca_that_has_expired(files: Path) -> None:
    document = yaml.safe_load((files / "kubeconfig").read_text())
    bundle = base64.b64encode(authority(days=-1) + authority(days=9)).decode()
    document["clusters"][0]["cluster"]["certificate-authority-data"] = bundle
    (files / "kubeconfig").write_text(yaml.safe_dump(document))
    assert load(files)[1] == []


def test_a_servers_certificate_is_no_ca(files: Path) -> None:
    ca = Signed("kubernetes")
    server = Signed("kube-apiserver", ca, ca=False)
    path = files / "ca.crt"
    for pem, right in ((server.pem, False), (server.pem + ca.pem, True), (ca.pem, True)):
        path.write_bytes(pem)
        raw = {"kubeconfigPath": str(files / "kubeconfig"), "cluster": {"caPath": str(path)}}
        problems = loaded_from(parse(raw))[1]
        assert (problems == []) == right
    path.write_bytes(server.pem)
    assert "cluster.caPath or the kubeconfig's CA holds no CA's certificate" in only(
        loaded_from(parse(raw))[1]
    )


def test_neither_a_path_nor_a_secret_is_reported() -> None:
    settings = parse({})
    _, problems = loaded_from(settings)
    assert "are both missing; set one of them" in only(problems)


def test_a_private_key_in_the_place_of_its_path_is_refused_and_not_quoted(files: Path) -> None:
    pool = {"ssh": {"privateKeyPath": (files / "key").read_text()}, "nodes": []}
    message = only(load_pools(files, {"w": pool})[1])
    assert message == ("pools.w.ssh.privateKeyPath is the content of a file; give the file's path")


def test_a_keys_fingerprint_is_the_one_that_ssh_keygen_prints(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    shown = subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True)
    assert fingerprint(key.read_text()) == shown.stdout.split()[1]
    assert fingerprint("no key") is None


def test_an_ed25519_key_has_a_short_form_for_the_engine_and_one_for_openssh(
    tmp_path: Path,
) -> None:
    path = tmp_path / "key"
    for kind, shorter in (("ed25519", True), ("ecdsa", False)):
        path.unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], input=b"y", check=True
        )
        key = path.read_text()
        short = for_engine(key)
        assert (len(short) < len(key) / 3) is shorter
        assert fingerprint(short) == fingerprint(key)
        path.write_text(for_openssh(short))
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-f", str(path)], capture_output=True, text=True, check=True
        ).stdout
        assert shown.split()[1] == fingerprint(key)
    assert for_engine("nonsense") == for_openssh("nonsense") == "nonsense"


PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: f"\ufeff{text}",
        lambda text: PARAMETERS + text,  # as `openssl ecparam -genkey` prints it
        lambda text: "".join(f"  {line}\n" for line in text.splitlines()),
        lambda text: " ".join(text.splitlines()),  # as a variable of the environment has it
        lambda text: text.replace("\n", "\r"),
    ],
    ids=["byte order mark", "parameters", "indented", "one line", "CR"],
)
@pytest.mark.parametrize("kind", ["ecdsa", "ed25519"])
def test_a_key_is_handed_on_in_a_form_that_go_reads(tmp_path: Path, kind: str, change: Any) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True)
    key = path.read_text()
    assert problem_of(change(key)) is None
    assert for_engine(change(key)).startswith("-----BEGIN PRIVATE KEY-----\n")
    assert fingerprint(for_engine(change(key))) == fingerprint(key)


def test_the_first_key_of_a_file_counts_as_for_go_and_openssh(tmp_path: Path) -> None:
    for name, form in (("one", "PEM"), ("two", "RFC4716")):
        command = ["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-m", form, "-f", tmp_path / name]
        subprocess.run(command, check=True)
    one, two = (tmp_path / "one").read_text(), (tmp_path / "two").read_text()
    assert fingerprint(one + two) == fingerprint(one)
    assert fingerprint(two + one) == fingerprint(two)


@pytest.mark.parametrize("curve", [ec.SECP224R1(), ec.SECP256K1()])
def test_a_curve_that_ssh_does_not_know_is_told(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert "is of a type that SSH does not take" in (problem_of(text) or "")


def test_an_rsa_key_that_is_too_short_for_ssh_is_told() -> None:
    made = subprocess.run(["openssl", "genrsa", "768"], capture_output=True, text=True, check=True)
    assert "ssh-keygen -t ed25519" in (problem_of(made.stdout) or "")


def test_a_key_whose_public_half_is_another_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", path], check=True)
    head, *lines, tail = path.read_text().splitlines()
    data = bytearray(base64.b64decode("".join(lines)))
    at = data.rindex(b"ecdsa-sha2-nistp256") + len("ecdsa-sha2-nistp256") + 4 + 8 + 4 + 65 + 4 + 9
    data[at] ^= 1  # in the private half
    text = "\n".join([head, base64.b64encode(data).decode(), tail, ""])
    assert problem_of(text) == "is not an SSH private key"


def blob(*parts: bytes) -> str:
    return base64.b64encode(
        b"".join(struct.pack(">I", len(part)) + part for part in parts)
    ).decode()


@pytest.mark.parametrize(
    "key",
    [
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        ED25519[:-8],
        f"ssh-ed25519 {blob(b'ssh-ed25519', bytes(31))}",
        f"ssh-ed25519 {blob(b'ecdsa-sha2-nistp256', b'nistp256', bytes(65))}",
        f"ecdsa-sha2-nistp256 {ED25519.split()[1]}",
        "ssh-ed25519 not/base64!",
        f"{ED25519}\u200b",
    ],
)
def test_a_host_key_that_is_cut_or_of_another_type_is_told(files: Path, key: str) -> None:
    nodes = [{"name": "a", "address": "10.0.0.7", "hostKey": key}]
    said = only(load_pools(files, {"w": {"nodes": nodes}})[1])
    assert said.startswith("pools.w.nodes[0].hostKey is cut, or not a key of the type that it")
    assert said.endswith("ssh-keyscan -t ed25519 10.0.0.7")


def test_the_next_key_of_a_file_is_taken_where_one_is_cut(files: Path) -> None:
    (files / "known_hosts").write_text(f"10.0.0.1 {ED25519[:-8]}\n10.0.0.1 {OTHER}\n")
    loaded, problems = load(files)
    assert problems == []
    assert loaded is not None
    assert loaded.host_keys == {"a": OTHER}


@pytest.mark.parametrize(
    ("has", "told"),
    [
        ("", ["pools.w.nodes[0] and 1 more have no SSH key in the settings"]),
        ("own key", ["pools.w.nodes[1] has no SSH key in the settings"]),
        ("stack's key", []),
        ("agent", []),
    ],
)
def test_that_there_is_neither_a_key_nor_an_agent_is_told(
    files: Path, monkeypatch: pytest.MonkeyPatch, has: str, told: list[str]
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    if has == "agent":
        monkeypatch.setattr("ssh.agent.trouble", lambda: "")
    nodes: list[dict[str, Any]] = [
        {"name": name, "address": f"10.0.0.{number}", "hostKey": ED25519}
        for number, name in enumerate("ab", 1)
    ]
    if has == "own key":
        nodes[0]["ssh"] = {"privateKeyPath": str(files / "key")}
    raw = {"kubeconfigPath": str(files / "kubeconfig"), "pools": {"w": {"nodes": nodes}}}
    settings, text = parse(raw), (files / "key").read_text()
    secret = Secret(text, pulumi.Output.secret(text)) if has == "stack's key" else None
    credentials = read_credentials(settings, [], private_key=secret)
    found = list(warnings_of_agent(settings, credentials))
    assert [line.partition(", and no agent")[0] for line in found] == told


def test_a_preview_needs_no_credentials_of_an_administrator(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = yaml.safe_load((files / "kubeconfig").read_text())
    users = (
        {"users": []},
        {"users": [{"name": "u", "user": {}}]},
        {"users": [{"name": "u", "user": {"tokenFile": "/nowhere/token"}}]},
    )
    for dry, expected in ((False, 1), (True, 0)):
        monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda dry=dry: dry)
        for user in users:
            (files / "kubeconfig").write_text(yaml.safe_dump({**kubeconfig, **user}))
            _, problems = load(files)
            assert len(problems) == expected, (user, problems)
    (files / "kubeconfig").write_text("[no kubeconfig]")
    assert len(load(files)[1]) == 1  # what is wrong everywhere


SCANNED = f"""# 10.0.0.7:22 SSH-2.0-OpenSSH_9.2p1
10.0.0.7 {RSA}
# 10.0.0.7:22 SSH-2.0-OpenSSH_9.2p1
10.0.0.7 {ED25519}
"""
HOST_KEYS = {
    "as the host has it": ED25519,
    "with a comment": f"{ED25519} ssh-key-2024-01-01\n",
    "after tabs": f"\t{ED25519.replace(' ', chr(9))}",
    "a line of known_hosts": f"10.0.0.7 {ED25519}",
    "a line with a port": f"[10.0.0.7]:2222,n7 {ED25519}",
    "a hashed line": f"|1|c2FsdA==|aGFzaA== {ED25519}",
    "a host that is named like a type": f"ssh-gw {ED25519}",
    "all that ssh-keyscan prints": SCANNED,
    "several files": f"{RSA}\n{ED25519}\n{OTHER}\n",
}
NO_HOST_KEYS = {
    "a fingerprint": "SHA256:Zm9v",
    "its line": "256 SHA256:Zm9v root@n7 (ED25519)",
    "without its type": ED25519.split()[1],
    "a path": "/etc/ssh/ssh_host_ed25519_key.pub",
    "a private key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\n",
    "its data": "b3BlbnNzaC1rZXktdjE",
    "an authority": f"@cert-authority * {ED25519}",
    "in quotes": f'"{ED25519}"',
    "a blank": " ",
}


@pytest.mark.parametrize("given", HOST_KEYS.values(), ids=HOST_KEYS)
def test_a_host_key_is_taken_as_tools_print_it(files: Path, given: str) -> None:
    nodes = [{"name": "a", "address": "10.0.0.7", "hostKey": given}]
    loaded, problems = load_pools(files, {"w": {"nodes": nodes}})
    assert problems == []
    assert loaded is not None
    assert loaded.host_keys == {"a": ED25519}


@pytest.mark.parametrize("given", NO_HOST_KEYS.values(), ids=NO_HOST_KEYS)
def test_what_is_no_host_key_is_told_and_not_quoted(files: Path, given: str) -> None:
    nodes = [{"name": "a", "address": "10.0.0.7", "hostKey": given}]
    said = only(load_pools(files, {"w": {"nodes": nodes}})[1])
    assert said == (
        "pools.w.nodes[0].hostKey is not a host's key; give it as this prints it:"
        " ssh-keyscan -t ed25519 10.0.0.7"
    )
