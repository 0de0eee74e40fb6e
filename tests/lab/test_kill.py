"""The node script is killed at many steps on a real machine, and meets a full disk.

tests/scripts kills it at every step, on a machine of fakes.

Runs after the story of `test_join`, or alone, and leaves the nodes as they were.
"""

import json
from pathlib import Path

import pytest

from tests.lab.project import Project
from tests.lab.test_failures import PREFIX
from tests.lab.test_files import ARGUMENTS, CONFIG, STATE, bundle, install, max_pods
from tests.scripts import killer
from tests.unit.node_machine import INSTALL

pytestmark = pytest.mark.lab

NODE = "node-2"
UNIT = "/etc/systemd/system/kubelet.service"
HERE = "/run/kill"

# Goes to and fro between two bundles, killed a few steps later each time, until one run ends. After
# each, every file is the old or the new one; the next run ends, all is new, and the kubelet is too.
DRIVER = """\
cd /run/kill
files='/var/lib/kubelet/config.yaml /etc/kubernetes/kubelet.env /etc/systemd/system/kubelet.service'
run() { PATH=${2:-}$PATH sh -c "$(cat install)" <"$1" >out 2>&1; }
started() { systemctl show --property ExecMainStartTimestampMonotonic --value kubelet; }
same() { cmp -s "$1" "$2${1##*/}"; }
left() {
    find /etc/kubernetes /etc/systemd/system /var/lib/kubelet-tls-bootstrap /var/lib/kubelet/*.* \\
        -name '*.kubelet-tls-bootstrap' -o -name stage -o -name restart
}
say() { echo "$at: $*"; }
for to in a b a; do
    run $to || { cat out; exit 1; }
    for file in $files; do cp "$file" "$to${file##*/}"; done
done
from=a to=b at=0 status=137
while [ "$status" -ne 0 ]; do
    at=$((at + 7)) status=0 before=$(started)
    echo 0 >bin/count
    echo "$at" >bin/at
    run "$to" /run/kill/bin: || status=$?
    for file in $files; do same "$file" "$from" || same "$file" "$to" || say "half $file"; done
    case $status in 0 | 137) ;; *) say "ended with $status: $(cat out)" ;; esac
    run "$to" || say "the next run failed: $(cat out)"
    grep -q '"repaired":\\[\\]' out || say "$(cat out)"
    for file in $files; do same "$file" "$to" || say "not new: $file"; done
    [ "$(started)" -gt "$before" ] || say 'the kubelet was not restarted'
    [ -z "$(left)" ] || say "left: $(left)"
    last=$to to=$from from=$last
done
echo "killed until step $((at - 7)), last $last"
"""


@pytest.fixture(scope="module", autouse=True)
def joined(project: Project) -> None:
    project.up()


def send(project: Project, path: str, text: str) -> None:
    """Write a file on the node."""
    directory = str(Path(path).parent)
    command = f"umask 077; mkdir -p {directory}; cat >{path}; chmod 700 {path}"
    project.run(".venv/bin/python", "-m", "lab", "ssh", NODE, command, stdin=text)


def changed(text: str) -> str:
    """The bundle with another value in each of three files."""
    other = text.replace("\n| kind: Kubelet", "\n| maxPods: 55\n| kind: Kubelet").replace(
        "\n| --config=", "\n| --v=1 \\\n| --config="
    )
    other = other.replace("\n| Description=kubelet:", "\n| Description=The kubelet:")
    assert len(other) - len(text) == len("| maxPods: 55\n") + len("| --v=1 \\\n") + len("The ")
    return other


@pytest.mark.long
def test_the_script_is_killed_at_every_step(project: Project) -> None:
    text = bundle(project, NODE)
    send(project, f"{HERE}/a", text)
    send(project, f"{HERE}/b", changed(text))
    send(project, f"{HERE}/install", INSTALL)
    for name in killer.PROGRAMS:
        send(project, f"{HERE}/bin/{name}", killer.KILLER)
    send(project, f"{HERE}/driver", DRIVER)
    said = project.ssh(NODE, f"sh {HERE}/driver").strip()
    print(said)
    assert said.startswith("killed until step ")
    assert "\n" not in said
    steps = int(said.split()[3].rstrip(","))
    assert steps > 40

    install(project, NODE, text)
    project.kubectl("wait", f"node/{NODE}", "--for=condition=Ready", "--timeout=60s")
    assert max_pods(project, NODE) == 110
    project.pulumi("preview", "--expect-no-changes")


def test_a_full_disk_leaves_the_old_files(project: Project) -> None:
    text = bundle(project, NODE)
    other = changed(text)
    command = (".venv/bin/python", "-m", "lab", "ssh", NODE, INSTALL)
    look = f"cat {ARGUMENTS}; find /etc/kubernetes -type f ! -name filler | sort"
    before = project.ssh(NODE, look)
    project.ssh(
        NODE,
        "set -e; cp -a /etc/kubernetes /run/saved; mount -t tmpfs -o size=64k,mode=755 tmpfs"
        " /etc/kubernetes; cp -a /run/saved/. /etc/kubernetes/;"
        " cat /dev/zero >/etc/kubernetes/filler 2>/dev/null || true",
    )
    try:
        refused = project.run(*command, stdin=other, check=False)
        assert "\ndisk: /etc/kubernetes/pki has 0 KiB free, but " in refused.stderr
        assert project.ssh(NODE, look) == before
        assert "maxPods" not in project.ssh(NODE, f"cat {CONFIG}")

        unchecked = other.replace("\ngeneration 1\n", "\ngeneration 1\nskip disk\n")
        failed = project.run(*command, stdin=unchecked, check=False)
        assert failed.returncode != 0
        assert "No space left on device" in failed.stderr
        assert project.ssh(NODE, look) == before

        project.ssh(NODE, "rm /etc/kubernetes/filler")
        report = json.loads(project.run(*command, stdin=unchecked).stdout)
        assert report["changed"] == [ARGUMENTS, UNIT]
        assert report["kubelet"] == "restarted"
        assert report["skipped"] == ["disk"]
    finally:
        project.ssh(NODE, "umount /etc/kubernetes; rm -rf /run/saved")
    install(project, NODE, text)
    assert project.ssh(NODE, look) == before
    project.kubectl("wait", f"node/{NODE}", "--for=condition=Ready", "--timeout=60s")
    project.pulumi("preview", "--expect-no-changes")


def test_a_full_disk_below_our_own_list_changes_nothing(project: Project) -> None:
    other = changed(bundle(project, NODE))
    command = (".venv/bin/python", "-m", "lab", "ssh", NODE, INSTALL)
    look = f"cat {ARGUMENTS} {CONFIG} {UNIT}; ls -A -I filler {STATE}; cat {STATE}/manifest"
    before = project.ssh(NODE, look)
    original, settings = project.settings(), project.settings()
    settings["config"].setdefault(f"{PREFIX}kubelet", {})["registryBurst"] = 13
    project.ssh(
        NODE,
        f"set -e; cp -a {STATE} /run/saved; mount -t tmpfs -o size=128k,mode=700 tmpfs {STATE};"
        f" cp -a /run/saved/. {STATE}/; cat /dev/zero >{STATE}/filler 2>/dev/null || true",
    )
    try:
        failed = project.run(*command, stdin=other, check=False)
        assert failed.returncode != 0
        assert f"can't write in {STATE}" in failed.stderr
        # What `pulumi up` brings finds no place either.
        project.write_settings(settings)
        done = project.up(check=False)
        assert done.returncode != 0
        assert f"can't write in {STATE}, nothing was changed; free some space" in done.stdout
        assert project.ssh(NODE, look) == before
    finally:
        project.write_settings(original)
        project.ssh(NODE, f"umount {STATE}; rm -rf /run/saved")
    project.up()
    assert project.ssh(NODE, look) == before
