"""A value of the wrong type is refused in words of YAML: path, value, rule, and what to do."""

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest

from settings.layer import Model
from settings.model import Settings
from settings.parsing import parse
from settings.problem import SettingsError

LIST = "a list (lines that begin with -, or [ ])"
MAP = "a map (lines of key: value, or { })"


def problems(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse(raw)
    return [str(problem) for problem in error.value.problems]


def node(**keys: Any) -> dict[str, Any]:
    return {"pools": {"a": {"nodes": [{"name": "n", "address": "10.0.0.1", **keys}]}}}


NODE = "pools.a.nodes[0]"
ALL: list[tuple[dict[str, Any], str]] = [
    ({"repair": "abc"}, 'repair "abc" is not a whole number'),
    ({"repair": 1.5}, "repair 1.5 is not a whole number"),
    ({"repair": None}, "repair is empty; give a whole number, or remove the key"),
    ({"repair": [1]}, "repair is a list; give a whole number"),
    ({"repair": {}}, "repair is a map; give a whole number"),
    ({"stallSeconds": 4}, "stallSeconds 4 is not a number from 5 to 3600"),
    (node(generation=0), f"{NODE}.generation 0 is less than 1; give 1 or more"),
    (node(force="dead"), f'{NODE}.force "dead" is not true or false'),
    (node(force=2), f"{NODE}.force 2 is not true or false"),
    ({"kubernetesVersion": 1.36}, 'kubernetesVersion is the number 1.36; quote it: "1.36"'),
    (node(kubernetesVersion=1.3), f'{NODE}.kubernetesVersion is the number 1.3; quote it: "1.30"'),
    (
        node(kubernetesVersion=2),
        f"{NODE}.kubernetesVersion is the number 2; give a minor version from 1.24 to 1.37, in"
        " quotes",
    ),
    (
        {"kubernetesVersion": "1.3"},  # what Pulumi makes of 1.30
        'kubernetesVersion "1.3" is not a supported version; if you mean 1.30, quote it: "1.30"',
    ),
    (node(unit=True), f"{NODE}.unit true is not own or drop-in"),
    (node(hostKey=True), f"{NODE}.hostKey is the boolean true; put the text in quotes"),
    (node(name=7), f'{NODE}.name is the number 7; quote it: "7"'),
    (node(hostKey=None, name=None), f"{NODE}.name is empty; give a string, or remove the key"),
    ({"taints": [None]}, "taints[0] is empty; give a string, or remove this entry"),
    (node(hostKey=["a"]), f"{NODE}.hostKey is a list; give a string"),
    (node(addresses="10.0.0.2"), f"{NODE}.addresses is a single value; give {LIST}"),
    (
        node(addresses=["10.0.0"]),
        f'{NODE}.addresses[0] "10.0.0" is not an IP address; give one such as 10.0.0.11 or'
        " fd00::11",
    ),
    (node(kubelet=["maxPods"]), f"{NODE}.kubelet is a list; give {MAP}"),
    (node(ssh="root@host"), f"{NODE}.ssh is a single value; give {MAP}"),
    (
        node(labels={"kubelet-tls-bootstrap.node-restriction.kubernetes.io/x": ""}),
        f'{NODE}.labels: "kubelet-tls-bootstrap.node-restriction.kubernetes.io/x" is what this'
        " program keeps its own notes under; use another prefix",
    ),
    (
        node(annotations={"kubelet-tls-bootstrap/settings": ""}),
        f'{NODE}.annotations: "kubelet-tls-bootstrap/settings" is what this program keeps its own'
        " notes under; use another prefix",
    ),
    (node(annotations={"a": 7}), f'{NODE}.annotations.a is the number 7; quote it: "7"'),
    (node(annotations=["a"]), f"{NODE}.annotations is a list; give {MAP}"),
    (
        node(labels={"a b": "c"}),
        f'{NODE}.labels: "a b" is not a label\'s name; use up to 63 letters, digits, -, _ and .,'
        " beginning and ending with a letter or digit; a DNS name and a / may precede it",
    ),
    (node(labels={7: "c"}), f'{NODE}.labels: the key 7 is not a string; quote it: "7"'),
    (node(labels={"a": 7}), f'{NODE}.labels.a is the number 7; quote it: "7"'),
    (node(labels={"a": True}), f"{NODE}.labels.a is the boolean true; put the text in quotes"),
    (node(flags={"": "1"}), f"{NODE}.flags: \"\" is not a flag's name; give it without dashes"),
    (
        {"pools": {"A": {}}},
        'pools: "A" is not a pool\'s name; use up to 63 lower-case letters, digits and -, no dots',
    ),
    ({"preset": "cic"}, 'preset "cic" is not default, classic or cis; did you mean cis?'),
    ({"preset": 7}, "preset 7 is not default, classic or cis"),
    ({"token": {"scope": ["node"]}}, "token.scope is a list; give pool or node"),
    ({"ssh": {"bastion": {"port": 22}}}, "ssh.bastion.address is missing; set it"),
    ({"ssh": {"bastion": {"adress": "x", "address": "y"}}},
     "ssh.bastion.adress is not a known key; did you mean address?"),
    ({"pools": {"ssh": {"nods": []}}}, "pools.ssh.nods is not a known key; did you mean nodes?"),
    ({"zzz": "red"}, "zzz is not a known key; remove it; docs/settings.md lists all keys"),
    (node(paths={"kubeconfigAcl": ["u:a:rw"]}),
     f'{NODE}.paths.kubeconfigAcl[0] "u:a:rw" is not an ACL entry that lets a user or group read;'
     " give one such as u:kube:r"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "message"), ALL)
def test_a_wrong_value_is_refused_in_plain_words(raw: dict[str, Any], message: str) -> None:
    assert problems(raw) == [message]


def test_the_text_of_a_key_in_the_place_of_its_path_is_not_quoted() -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n"
    for raw in ({"repair": key}, {"unit": key}, {"preset": "x" * 200}, {"kubeconfg": key}):
        (message,) = problems(raw)
        assert "b3Blb" not in message
        assert "xxx" not in message


WRONG: list[Any] = [None, True, 7, -1, 1.5, "", "a b", "x" * 300, [], ["a b"], {}, {"a b": 1}]
PYDANTIC = re.compile(r"[Ii]nput|pydantic|valid |\[key\]|\[type=|should|instance|Value error")
RULE = re.compile(r"; |is not |has a character")


def locations(model: type[Model], at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each field of the settings, with the first entry of each list and map."""
    for field in model.model_fields.values():
        path = (*at, str(field.alias))
        yield path
        origin = get_origin(field.annotation)
        for below in (field.annotation, *get_args(field.annotation)):
            if isinstance(below, type) and issubclass(below, Model):
                entry = ("w",) if origin not in (None, tuple) and below.__name__ == "Pool" else ()
                yield from locations(below, (*path, *(entry or ((0,) if origin is tuple else ()))))


def with_value(path: tuple[Any, ...], value: Any) -> Any:
    for part in reversed(path):
        value = [value] if isinstance(part, int) else {part: value}
    return value


@pytest.mark.parametrize(
    "path", list(locations(Settings)), ids=lambda path: ".".join(map(str, path))
)
def test_no_wrong_value_of_any_key_is_refused_in_words_of_the_library(
    path: tuple[Any, ...],
) -> None:
    refused = 0
    for value in WRONG:
        try:
            parse(with_value(path, value))
        except SettingsError as error:
            refused += 1
            for problem in error.problems:
                assert not PYDANTIC.search(str(problem)), problem
                assert RULE.search(problem.message), problem
                assert problem.path.startswith(str(path[0])), problem
                assert "x" * 101 not in problem.message
    assert refused


@pytest.mark.parametrize("key", ["a\nb", "a" * 5000, "-----BEGIN X\nabc", 'a"b'])
def test_a_key_of_any_form_is_told_in_one_line(key: str) -> None:
    maps = [{key: 1}, *({name: {key: {}}} for name in ("pools", "labels", "flags", "ssh", "paths"))]
    for raw in maps:
        for problem in problems(raw):
            assert problem.isprintable()
            assert len(problem) < 400
