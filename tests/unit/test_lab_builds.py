"""What the lab builds, where it need not, and what it says when a build fails."""

import json
from pathlib import Path

import pytest

from lab import builds, go, memory, preflight, toolchain
from lab.errors import LabError
from lab.layout import Layout
from lab.plugin_choice import LANGUAGE_HOST, PROVIDERS

PROVIDER = toolchain.KUBERNETES_PROVIDER


def program(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing installed but what a test puts into `bin`."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LAB_PLUGINS", raising=False)
    return tmp_path


def test_all_that_is_not_installed_is_built_and_the_provider_last(machine: Path) -> None:
    sets = toolchain.program_sets()
    assert sets == (toolchain.KUBERNETES, toolchain.ETCD, toolchain.PULUMI, PROVIDER)
    assert [programs for programs in sets if programs.last] == [PROVIDER]
    assert len(builds.builders(machine, machine, thorough=False)) == 3


def test_no_provider_is_built_where_the_official_plugins_are_installed(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (LANGUAGE_HOST, *(f"pulumi-resource-{provider}" for provider in PROVIDERS)):
        program(machine / "bin" / name)
    assert PROVIDER not in toolchain.program_sets()
    monkeypatch.setenv("LAB_PLUGINS", "own")
    assert PROVIDER in toolchain.program_sets()


def test_no_engine_is_built_where_a_fitting_one_is_installed(machine: Path) -> None:
    program(machine / "bin/pulumi", f"echo v{toolchain.PULUMI_VERSION}")
    assert toolchain.PULUMI not in toolchain.program_sets()


def pinned(name: str) -> dict[str, str]:
    """The versions that a module of the toolchain pins, by module."""
    lines = (toolchain.MODULES / name / "go.mod").read_text().splitlines()
    words = [line.removesuffix("// indirect").split() for line in lines]
    return {pair[0]: pair[1] for pair in words if len(pair) == 2 and pair[1].startswith("v")}


def test_the_provider_is_compiled_with_the_libraries_of_the_engine() -> None:
    """Go then compiles each of them once for both."""
    engine, provider = pinned("pulumi"), pinned("pulumi-kubernetes")
    shared = engine.keys() & provider.keys()
    assert {module for module in shared if engine[module] != provider[module]} == {
        # The released provider's: it does not compile with the engine's.
        "github.com/pulumi/pulumi/pkg/v3",
        "github.com/pulumi/pulumi/sdk/v3",
        # Those of the engine are older.
        "github.com/Azure/go-ansiterm",
        "github.com/moby/term",
        "github.com/santhosh-tekuri/jsonschema/v5",
    }
    assert len(shared) > 100


def go_that(machine: Path, build: str) -> None:
    """A `go` whose modules lie in `module`, and whose `go build` does this."""
    module = machine / "module"
    program(
        machine / "bin/go",
        f"""case $1 in
version) echo go version go{go.RELEASE} linux/amd64 ;;
mod) echo '{json.dumps({"Dir": str(module)})}' ;;
build)
    while [ "$1" != -o ]; do
        [ "$1" = -overlay ] && overlay=$2
        shift
    done
    output=$2
    {build}
    ;;
esac
""",
    )


def test_the_provider_embeds_the_files_of_its_module(machine: Path) -> None:
    go_that(machine, 'cat "$overlay" >"$output"')
    path = builds.ensure(PROVIDER, machine / "cache", machine / "log", thorough=True)
    built = path / "bin/pulumi-resource-kubernetes"
    source = machine / "module/cmd/pulumi-resource-kubernetes"
    package = toolchain.MODULES / "pulumi-kubernetes"
    assert json.loads(built.read_text()) == {
        "Replace": {
            str(package / name): str(source / name)
            for name in ("schema.json", "terraform-mapping.json")
        }
    }
    assert sorted(file.name for file in path.iterdir()) == ["bin", "checksums.json"]


def test_a_build_that_is_killed_leaves_no_scratch(machine: Path) -> None:
    go_that(machine, '[ -d "$GOTMPDIR" ] && echo half >"$GOTMPDIR/work"; kill -9 $$')
    with pytest.raises(LabError, match="exited with -9"):
        builds.ensure(toolchain.ETCD, machine / "cache", machine / "log", thorough=True)
    assert list((machine / "cache").rglob("work")) == []


def test_a_build_starts_without_what_a_killed_lab_has_left(machine: Path) -> None:
    entry = toolchain.ETCD.entry(machine / "cache")
    left = entry.path.with_name(f"{entry.path.name}.partial") / "scratch/work"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    go_that(machine, 'ls -A "$GOTMPDIR" >"$output"')
    path = builds.ensure(toolchain.ETCD, machine / "cache", machine / "log", thorough=True)
    assert (path / "control-plane/usr/bin/etcd").read_text() == ""
    assert list((machine / "cache").rglob("*.partial")) == []


def test_a_build_that_fails_says_what_to_do(machine: Path) -> None:
    go_that(
        machine, 'echo "main.go:7:2: a.b/c@v1.2.3: reading https://p/x.zip: 404 Not Found"; false'
    )
    with pytest.raises(LabError, match=r"the Go module a.b/c v1.2.3 is no longer served"):
        builds.ensure(toolchain.ETCD, machine / "cache", machine / "log", thorough=True)


@pytest.mark.parametrize(
    ("said", "problem", "remedy"),
    [
        (
            "go: downloading a.b/c v1.2.3\n"
            "main.go:7:2: a.b/c@v1.2.3: reading https://proxy/c/@v/v1.2.3.zip: 404 Not Found\n"
            "main.go:9:2: a.b/d@v1.0.0: reading https://proxy/d/@v/v1.0.0.zip: 404 Not Found\n",
            "the Go module a.b/c v1.2.3 is no longer served: "
            "reading https://proxy/c/@v/v1.2.3.zip: 404 Not Found",
            "GOPROXY=file://",
        ),
        (
            "a.b/c@v1.2.3: reading https://proxy/v1.2.3.info: 403 Forbidden",
            "is no longer served",
            "GOPROXY=",
        ),
        (
            'go: a.b/c@v1.2.3: Get "https://proxy/v1.2.3.mod": dial tcp: no such host',
            "the Go module a.b/c v1.2.3 could not be fetched",
            "check the network and GOPROXY",
        ),
        (
            "k8s.io/api\na.b/c: /go/pkg/tool/linux_amd64/compile: signal: killed\n",
            "the kernel killed the compiler",
            "add swap",
        ),
    ],
    ids=["gone", "forbidden", "no network", "no memory"],
)
def test_what_go_says_becomes_what_to_do(said: str, problem: str, remedy: str) -> None:
    found = go.known_problem(said)
    assert found is not None
    assert problem in found.problem
    assert "\n" not in found.problem
    assert remedy in found.remedy


def test_a_mistake_in_a_program_is_left_as_the_compiler_tells_it() -> None:
    assert (
        go.known_problem("# a.b/c\n/root/go/pkg/mod/a.b/c@v1.2.3/x.go:7:2: undefined: y\n") is None
    )


@pytest.mark.parametrize(
    ("cores", "gib", "beside", "found"),
    [(2, 23, 3, 2), (16, 23, 3, 7), (16, 7, 1, 7), (8, 7, 3, 2), (2, 4, 3, 1), (2, 1, 3, 1)],
)
def test_no_more_compilers_run_than_fit_into_memory(
    cores: int, gib: int, beside: int, found: int
) -> None:
    assert builds.compilers(cores, gib * memory.GIB + 1, beside) == found


def test_what_the_kernel_can_free_and_swap_count_as_memory() -> None:
    meminfo = "MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable: 3000 kB\nSwapFree: 500 kB\n"
    assert memory.available(meminfo) == 3500 * 1024
    assert memory.available() > 0


def test_go_is_asked_for_space_where_it_keeps_its_caches() -> None:
    assert go.caches({"HOME": "/h"}) == (Path("/h/.cache/go-build"), Path("/h/go/pkg/mod"))
    given = {"HOME": "/h", "XDG_CACHE_HOME": "/x", "GOPATH": "/p"}
    assert go.caches(given) == (Path("/x/go-build"), Path("/p/pkg/mod"))
    assert go.caches({**given, "GOCACHE": "/a", "GOMODCACHE": "/b"}) == (Path("/a"), Path("/b"))


def test_space_on_one_disk_is_added_up_and_a_filled_cache_needs_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOCACHE", "GOMODCACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    layout = Layout(tmp_path / "lab", tmp_path / "cache")
    ((_, _, empty),) = preflight.gather(layout, build=True).free
    assert empty == preflight.RUN_SPACE + preflight.BUILD_SPACE + 13 * memory.GIB
    (tmp_path / "GOCACHE").mkdir()
    with (tmp_path / "GOCACHE/compiled").open("wb") as file:
        file.truncate(4 * memory.GIB)  # of holes
    ((_, _, filled),) = preflight.gather(layout, build=True).free
    assert empty - filled == 4 * memory.GIB
    ((_, _, warm),) = preflight.gather(layout, build=False).free
    assert warm == preflight.RUN_SPACE
