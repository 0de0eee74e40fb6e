"""The kubeconfig of a stack's settings, as the programs find it that the engine starts."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from admission import outputs
from admission.stack_settings import Kubeconfig, StackSettings
from tests.unit.admission.leave_fakes import Scene

SOURCE = ("o/infra/prod", "admin")
FROM = {"stack": "o/infra/prod", "kubeconfig": "admin"}
ASKED = [
    "pulumi config --json --stack dev --non-interactive",
    "pulumi stack output admin --json --stack o/infra/prod --show-secrets --non-interactive",
]


def settings(**others: str) -> dict[str, str]:
    return {"cluster": json.dumps({"name": "k", "from": FROM}), **others}


def found(stack: str = "dev") -> Kubeconfig:
    return asyncio.run(StackSettings(stack).kubeconfig())


def content(of: Kubeconfig) -> Any:
    assert of.path is None
    assert of.content is not None
    return of.content


@pytest.mark.parametrize(
    ("held", "read"), [("kind: Config", "kind: Config"), ({"a": 1}, '{"a": 1}')]
)
def test_it_is_another_stacks_output(monkeypatch: pytest.MonkeyPatch, held: Any, read: str) -> None:
    scene = Scene(monkeypatch)
    scene.settings, scene.outputs = settings(kubeconfigPath=""), {SOURCE: held}
    assert content(found()) == read
    assert scene.calls == ASKED


def test_a_settings_file_that_says_so_spares_pulumi_config(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.file, scene.outputs = settings(), {SOURCE: "kind: Config"}
    assert content(found()) == "kind: Config"
    assert scene.calls == ASKED[1:]


def test_what_is_said_of_the_cluster_may_be_a_secret_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    scene.settings, scene.outputs = settings(), {SOURCE: "kind: Config"}
    scene.secrets.add("cluster")
    assert content(found()) == "kind: Config"


@pytest.mark.parametrize(
    "cluster", ["", "null", "{}", "[1]", '{"from": null}', '{"from": {"stack": "o/infra/prod"}}']
)
def test_other_settings_of_the_cluster_say_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, cluster: str
) -> None:
    scene = Scene(monkeypatch)
    scene.settings = {"cluster": cluster, "kubeconfig": "kind: Config"}
    assert content(found()) == "kind: Config\n"


@pytest.mark.parametrize("other", ["kubeconfigPath", "kubeconfig"])
def test_two_kubeconfigs_are_one_too_many(monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    scene = Scene(monkeypatch)
    scene.settings, scene.outputs = settings(**{other: "x"}), {SOURCE: "kind: Config"}
    told = f"{other} and cluster.from.kubeconfig of the stack dev are both set; correct that"
    with pytest.raises(ValueError, match=re.escape(told)):
        found()


@pytest.mark.parametrize(
    ("held", "why"), [(None, "no such output"), ([1], "it is no kubeconfig"), (1, "it is no")]
)
def test_an_output_that_can_not_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, held: Any, why: str
) -> None:
    scene = Scene(monkeypatch)
    scene.settings, scene.outputs = settings(), {SOURCE: held}
    told = (
        'cluster.from.kubeconfig of the stack dev: the output "admin" of the stack o/infra/prod'
        f" can't be read: {why}"
    )
    with pytest.raises(ValueError, match=re.escape(told)):
        found()


def test_the_state_of_that_stack_may_be_written_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_sleep(_: float) -> None:
        return None

    scene = Scene(monkeypatch)
    scene.outputs = {SOURCE: "kind: Config"}
    scene.failures = [(255, "", "error: failed to load checkpoint: EOF\n")] * 2
    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    source = {"stack": SOURCE[0], "output": SOURCE[1]}
    assert asyncio.run(outputs.kubeconfig(source)) == "kind: Config"


@pytest.mark.parametrize("is_output", [True, False])
def test_a_secret_one_is_read_again_and_its_file_written_anew(
    monkeypatch: pytest.MonkeyPatch, is_output: bool
) -> None:
    scene = Scene(monkeypatch)

    def rotate(text: str) -> None:
        scene.settings = settings() if is_output else {"kubeconfig": text}
        scene.outputs = {SOURCE: f"{text}\n"}

    async def look() -> list[str]:
        rotate("first, which is longer")
        async with StackSettings("dev").kubeconfig_file() as file:
            texts = [Path(file.path).read_text()]  # noqa: ASYNC240
            rotate("second")
            assert file.renew is not None
            texts += [await file.renew(), Path(file.path).read_text()]  # noqa: ASYNC240
            return texts

    assert asyncio.run(look()) == ["first, which is longer\n", "second\n", "second\n"]


def test_a_file_of_the_settings_is_left_to_who_renews_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").touch()
    scene = Scene(monkeypatch)
    scene.settings = {"kubeconfigPath": str(tmp_path / "config")}
    assert found().renew is None
