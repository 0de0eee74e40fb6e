"""What can't be read, whoever has written it: one object is left out, the others are seen."""

import asyncio
import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from admission.api_server.api import LARGEST_OBJECT_BYTES, NODES, ApiError, Unreadable, Watched
from admission.api_server.complaints import BURST, MOST_REMEMBERED, PAUSE_S, Complaints
from admission.api_server.lists import Listed, read_list
from admission.api_server.reading import event_head, list_head, read, read_deep
from admission.panic import no_panic
from tests.unit.admission.fakes import run
from tests.unit.admission.test_api_server import Answer, Done, cluster, event, listed, node

DEEP = "[" * 100_000


class Panic(BaseException):
    """As cryptography's PanicException."""


def nested(name: str, *, depth: int = 100_000) -> str:
    """An object as Kubernetes writes it, with what only managedFields can hold."""
    deep = '{"f:a":' * depth + "{}" + "}" * depth
    head = f'"name":"{name}","uid":"uid-{name}","resourceVersion":"7"'
    fields = f'"managedFields":[{{"manager":"]}}\\"","fieldsV1":{deep}}}]'
    return f'{{"metadata":{{{head},{fields}}},"spec":{{"a":"b"}}}}'


def deep(name: str) -> str:
    """An object that nests elsewhere, as none does that an API server has written."""
    nests = DEEP + "]" * len(DEEP)
    head = f'"name":"{name}","uid":"uid-{name}","resourceVersion":"7","managedFields":[]'
    return f'{{"metadata":{{{head}}},"spec":{{"a":{nests}}}}}'


def page(*objects: str, token: str = "") -> bytes:
    metadata = json.dumps({"resourceVersion": "9", "continue": token}).replace(" ", "")
    joined = ",".join(objects)
    return (
        f'{{"kind":"NodeList","apiVersion":"v1","metadata":{metadata},"items":[{joined}]}}'.encode()
    )


# Objects and answers


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (DEEP.encode(), "nested too deeply"),
        (('{"a":' * 100_000).encode(), "nested too deeply"),
        (b"<html>", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
    ],
)
def test_what_is_no_object_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read(data)


def test_managed_fields_are_dropped_also_those_that_are_too_deep() -> None:
    assert run(read_deep(nested("a").encode())) == {
        "metadata": {"name": "a", "uid": "uid-a", "resourceVersion": "7"},
        "spec": {"a": "b"},
    }
    assert read(b'{"metadata":{"name":"a","managedFields":[1]}}') == {"metadata": {"name": "a"}}


@pytest.mark.parametrize(
    "fields",
    [
        "",
        '"]"',
        '"\\\\"',
        '"\\"]"',
        '{"a":[]},[],{}',
        '[[1,"[",{"a":{"b":[[]]}}]],"}"',
        '{"\\"managedFields":[{}]}',
        " [ ] , 1.5e3 , null ",
    ],
)
def test_exactly_managed_fields_are_dropped(fields: str) -> None:
    nests = '{"a":' * 5000 + "{}" + "}" * 5000
    text = f'{{"metadata":{{"managedFields":[{fields}{"," if fields else ""}{nests}],"name":"a"}}}}'
    both = f'{{"items":[{text},{text}],"rest":["managedFields"]}}'
    item = {"metadata": {"managedFields": [], "name": "a"}}
    assert run(read_deep(both.encode())) == {"items": [item] * 2, "rest": ["managedFields"]}


def test_what_takes_longest_to_drop_takes_no_second() -> None:
    for most in ("[0],", "{},", '"",', '{"a":[]},', "[[0]],"):
        nests = "[" * 5000 + "]" * 5000
        count = 1_500_000 // len(most)
        data = f'{{"metadata":{{"managedFields":[{most * count}{nests}]}}}}'.encode()
        began = time.process_time()
        run(read_deep(data))
        assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "data",
    [nested("a").encode()[:5000], b'{"managedFields":[' + DEEP.encode(), DEEP.encode()],
    ids=["cut", "without an end", "elsewhere"],
)
def test_what_is_too_deep_without_them_stays_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        run(read_deep(data))


def test_what_begins_like_a_list_or_an_event_names_its_object() -> None:
    assert list_head(page(nested("a"), token="t")) == (
        {"resourceVersion": "9", "continue": "t"},
        "a",
    )
    assert list_head(page()) == ({"resourceVersion": "9", "continue": ""}, "")
    line = f'{{"type":"ADDED","object":{nested("a")}}}'.encode()
    named = {"name": "a", "uid": "uid-a", "resourceVersion": "7"}
    assert event_head(line) == ("ADDED", named)
    for other in (b"", b"<html>", b'{"kind":"Status"}', b'{"items":[]}'):
        assert list_head(other) is None
        assert event_head(other) is None
    assert list_head(b'{"kind":"A","apiVersion":"v1","metadata":{x},"items":[') is None


@pytest.mark.parametrize(
    "name",
    ['a"b', "a\\b", "<&>", "a\nb", '"', "\\", "\u2028", "ü", "n" * 15_000],
    ids=lambda name: repr(name[:9]),
)
def test_names_that_json_escapes_are_read_as_well(name: str) -> None:
    """An API server takes any name of a request that has no slash and no percent sign."""
    metadata = {"name": name, "generateName": name, "uid": "u", "resourceVersion": "7"}
    written = json.dumps({"metadata": {**metadata, "managedFields": []}}).replace(": ", ":")
    written = written.replace(", ", ",").replace("&", "\\u0026")
    line = f'{{"type":"ADDED","object":{written}}}'.encode()
    named = {"name": name, "uid": "u", "resourceVersion": "7"}
    assert event_head(line) == ("ADDED", named)
    assert list_head(page(written)) == ({"resourceVersion": "9", "continue": ""}, name[:253])


def test_a_name_that_does_not_end_names_nothing() -> None:
    for name in ("a" * 60_000, "\\\\" * 30_000, '\\"' * 30_000, "a\\"):
        line = f'{{"type":"ADDED","object":{{"metadata":{{"name":"{name}'
        assert event_head(line.encode()) is None


def test_a_panic_is_an_error_like_others_and_an_interruption_is_not() -> None:
    with pytest.raises(ValueError, match=r"it can't be read \(Panic\)"), no_panic():
        raise Panic
    for other in (KeyError, KeyboardInterrupt, asyncio.CancelledError):
        with pytest.raises(other), no_panic():
            raise other


# Lists


class Pages:
    """Gives a list's objects in pages, as an API server does, and counts what was asked."""

    def __init__(self, *objects: str, largest: int = 1_000_000) -> None:
        self.objects, self.largest = objects, largest
        self.limits: list[int] = []
        self.expired = 0

    async def fetch(self, path: str) -> bytes:
        query = parse_qs(urlsplit(path).query)
        start, limit = int(query.get("continue", ["0"])[0]), int(query["limit"][0])
        if start and self.expired:
            self.expired -= 1
            raise ApiError(410, "GET", path, "expired")
        self.limits.append(limit)
        chosen = self.objects[start : start + limit]
        more = start + limit if start + limit < len(self.objects) else ""
        data = page(*chosen, token=str(more))
        if len(data) > self.largest:
            raise Unreadable("it has more than 4 MiB", data[:500])
        return data

    def read(self) -> Listed:
        return run(read_list(self.fetch, NODES, _keep))


def _keep(item: dict[str, Any]) -> dict[str, Any] | None:
    name = item["metadata"]["name"]
    return None if name == "stranger" else {"name": name, "spec": item["spec"]["a"]}


def good(name: str, size: int = 1) -> str:
    return json.dumps({"metadata": {"name": name}, "spec": {"a": "b" * size}}).replace(" ", "")


def test_a_list_is_read_page_by_page() -> None:
    pages = Pages(*(good(f"n{i}") for i in range(600)))
    found = pages.read()
    assert [item["name"] for item in found.items] == [f"n{i}" for i in range(600)]
    assert (found.version, found.left_out, pages.limits) == ("9", [], [250] * 3)


def test_only_the_object_that_can_not_be_read_is_left_out() -> None:
    objects = [good(f"n{i}") for i in range(300)]
    objects[0], objects[100], objects[299] = deep("x"), deep("y"), deep("z")
    found = Pages(*objects).read()
    assert len(found.items) == 297
    assert found.left_out == [(name, "it is nested too deeply") for name in "xyz"]


def test_nested_managed_fields_cost_no_request_more() -> None:
    objects = [nested(f"n{i}", depth=1500) for i in range(1000)]
    pages = Pages(*objects, largest=LARGEST_OBJECT_BYTES)
    found = pages.read()
    assert (len(found.items), found.left_out, pages.limits) == (1000, [], [250] * 4)


def test_pages_that_are_too_long_become_smaller_and_a_single_one_is_left_out() -> None:
    pages = Pages(*(good(f"n{i}", 100_000) for i in range(20)), good("huge", 2_000_000))
    found = pages.read()
    assert len(found.items) == 20
    assert found.left_out == [("huge", "it has more than 4 MiB")]


def test_what_lacks_what_is_read_is_left_out_and_what_is_not_wanted_is_not_told() -> None:
    found = Pages(good("a"), '{"metadata":{"name":"b"}}', "{}", "7", good("stranger")).read()
    assert [item["name"] for item in found.items] == ["a"]
    why = "it lacks what we read"
    assert found.left_out == [
        ("b", f"{why} (KeyError)"),
        ("an object", f"{why} (KeyError)"),
        ("an object", f"{why} (TypeError)"),
    ]


def test_a_list_that_expires_meanwhile_is_begun_again() -> None:
    pages = Pages(*(good(f"n{i}") for i in range(300)))
    pages.expired = 2
    assert len(pages.read().items) == 300
    pages.expired = 3
    with pytest.raises(ApiError):
        pages.read()


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"metadata":{}}', b'{"metadata":[]}'])
def test_what_is_no_list_is_an_outage(body: bytes) -> None:
    async def fetch(_: str) -> bytes:
        return body

    with pytest.raises(Unreadable):
        run(read_list(fetch, NODES, _keep))


# Watches


def followed(*answers: Any, bad: str = "") -> tuple[list[str], list[str]]:
    """What a watch tells of, and what it says; whoever sees the object `bad` fails."""
    api, _ = cluster(*answers)
    seen: list[str] = []
    said: list[str] = []

    def see(kind: str, item: dict[str, Any]) -> None:
        name = item.get("metadata", {}).get("name", "")
        if name and name == bad:
            raise Panic if kind == "ADDED" else RuntimeError
        seen.append(f"{kind} {name}".strip())

    with pytest.raises(Done):
        run(api.watch(Watched(NODES, lambda item: item), see, said.append))
    return seen, said


def test_an_event_that_can_not_be_read_is_one_object_that_is_gone() -> None:
    bad = f'{{"type":"MODIFIED","object":{deep("a")}}}\n'.encode()
    lines = [event("ADDED", "a", "6"), bad, bad, event("ADDED", "b", "8")]
    seen, said = followed(listed("5"), Answer(lines=lines, end=30))
    assert seen == ["SYNC", "ADDED a", "DELETED a", "DELETED a", "ADDED b"]
    (line,) = said
    assert line.startswith("a is refused: it is nested too deeply; find out who has written it")


def test_an_event_with_nested_managed_fields_is_one_like_others() -> None:
    line = f'{{"type":"MODIFIED","object":{nested("a")}}}\n'.encode()
    seen, said = followed(listed("5"), Answer(lines=[line, event("ADDED", "b", "8")], end=30))
    assert (seen, said) == (["SYNC", "MODIFIED a", "ADDED b"], [])


def test_an_odd_name_is_no_reason_to_list_again() -> None:
    metadata = f'"name":"{"n" * 9000}\\u003c\\"","uid":"u","resourceVersion":"7"'
    long = f'{{"metadata":{{{metadata},"labels":{{"a":"{"x" * LARGEST_OBJECT_BYTES}"}}}}}}'
    line = f'{{"type":"MODIFIED","object":{long}}}\n'.encode()
    seen, (told,) = followed(listed("5"), Answer(lines=[line, event("ADDED", "b", "8")], end=30))
    assert [kind.partition(" ")[0] for kind in seen] == ["SYNC", "DELETED", "ADDED"]
    assert len(told) < 1000


@pytest.mark.parametrize("odd", [b"<html>\n", b"{}\n", b'{"type":"ADDED"}\n', b"[]\n"])
def test_after_what_is_no_event_everything_is_listed_again(odd: bytes) -> None:
    seen, said = followed(
        listed("5"), Answer(lines=[odd, event("ADDED", "b", "8")], end=30), listed("9")
    )
    assert seen == ["SYNC", "SYNC"]
    assert said == []


def test_whoever_fails_at_one_object_sees_the_others() -> None:
    lines = [event("ADDED", "a", "6"), event("MODIFIED", "a", "7"), event("ADDED", "b", "8")]
    start = listed("5", node("a", "1"), node("c", "2"))
    seen, said = followed(start, Answer(lines=lines, end=30), bad="a")
    assert seen == ["SYNC", "ADDED c", "ADDED b"]
    assert [line.partition(";")[0] for line in said] == [
        "a is refused: it can't be judged (ValueError)",
        "a is refused: it can't be judged (RuntimeError)",
    ]


def test_an_answer_of_another_program_is_an_outage_that_ends() -> None:
    seen, said = followed(Answer(b"<html>down</html>"), listed("5"))
    assert seen == ["SYNC"]
    assert "gives an answer that can't be read: it is not JSON; trying again" in said[0]
    assert said[1].endswith("answers again")


@pytest.mark.parametrize("date", ["", "soon", "Tue, 99 Foo 2026 99:99:99 GMT", "\x00", "9" * 5000])
def test_an_odd_date_is_no_clock(date: str) -> None:
    answer = Answer({})
    answer.headers = {"Date": date}
    api, _ = cluster(answer)
    run(api.request("GET", "/version"))
    assert not api.ahead


def test_a_refusal_of_a_kubelet_may_be_anything() -> None:
    nests = Answer(DEEP.encode(), status=500)
    api, _ = cluster(nests, Answer(b"x" * 10_000_000, status=502), Answer(b"y" * 10_000_000))
    for status in (500, 502):
        with pytest.raises(ApiError, match=str(status)) as caught:
            run(api.reach(f"{NODES}/a/proxy/healthz"))
        assert len(str(caught.value)) < 500
    run(api.reach(f"{NODES}/a/proxy/healthz"))


# What is said


def test_each_is_told_once_and_a_flood_little() -> None:
    now = 0.0
    said: list[str] = []
    complaints = Complaints(lambda: now)
    for name in ("a", "a", *(f"n{i}" for i in range(100)), "a"):
        complaints.tell(name, "it is odd", said.append)
    assert len(said) == BURST
    now += PAUSE_S
    complaints.tell("b", "it is odd", said.append)
    assert said[-1].endswith("(and 91 more objects)")
    for i in range(2 * MOST_REMEMBERED):
        complaints.tell(f"m{i}", "it is odd", said.append)
    assert len(said) == BURST + 1
