"""What programs rely on in the random provider."""

import base64
import string
from typing import Any

import bcrypt
import pytest

from lab.plugins.property_values import UNKNOWN, Secret
from tests.contract.driver import PluginError, Provider, Resource

pytestmark = pytest.mark.contract

STRING = "random:index/randomString:RandomString"
PASSWORD = "random:index/randomPassword:RandomPassword"
BYTES = "random:index/randomBytes:RandomBytes"
ID = "random:index/randomId:RandomId"
SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
DEFAULTS = {
    "lower": True,
    "upper": True,
    "numeric": True,
    "number": True,
    "special": True,
    "minLower": 0,
    "minUpper": 0,
    "minNumeric": 0,
    "minSpecial": 0,
}


@pytest.fixture(params=[STRING, PASSWORD])
def characters(request: pytest.FixtureRequest, random_provider: Provider) -> Resource:
    return random_provider.resource(request.param)


@pytest.fixture
def a_string(random_provider: Provider) -> Resource:
    return random_provider.resource(STRING)


def shown(state: dict[str, Any]) -> dict[str, Any]:
    """A state without what a plugin keeps there for itself."""
    return {name: value for name, value in state.items() if not name.startswith("__")}


def result(state: dict[str, Any]) -> str:
    value = state["result"]
    return value.value if isinstance(value, Secret) else value


def test_a_string_is_its_id_and_no_secret(a_string: Resource):
    identity, state = a_string.up({"length": 12})
    assert shown(state) == {**DEFAULTS, "length": 12, "id": identity, "result": identity}
    assert len(identity) == 12
    assert set(identity) <= set(string.ascii_letters + string.digits + SPECIAL)


def test_a_password_and_its_hash_are_secrets_and_its_id_says_nothing(random_provider: Provider):
    identity, state = random_provider.resource(PASSWORD).up({"length": 12})
    hidden = {name: value for name, value in state.items() if name in ("result", "bcryptHash")}
    assert all(isinstance(value, Secret) for value in hidden.values())
    assert set(hidden) == {"result", "bcryptHash"}
    assert shown(state) == {**DEFAULTS, **hidden, "length": 12, "id": "none"}
    assert identity == "none"
    assert bcrypt.checkpw(result(state).encode(), hidden["bcryptHash"].value.encode())


def test_a_hash_of_a_long_password_is_that_of_its_first_72_bytes(random_provider: Provider):
    _, state = random_provider.resource(PASSWORD).up({"length": 100})
    assert bcrypt.checkpw(result(state).encode()[:72], state["bcryptHash"].value.encode())


@pytest.mark.parametrize(
    ("inputs", "alphabet"),
    [
        ({"special": False, "upper": False}, string.ascii_lowercase + string.digits),
        ({"lower": False, "upper": False, "numeric": False}, SPECIAL),
        ({"special": False, "number": False}, string.ascii_letters),
        ({"lower": False, "upper": False, "numeric": False, "overrideSpecial": "_%"}, "_%"),
        ({"lower": False, "upper": False, "numeric": False, "overrideSpecial": ""}, SPECIAL),
    ],
)
def test_only_the_classes_that_are_asked_for_are_used_and_all_of_each(
    characters: Resource, inputs, alphabet
):
    _, state = characters.up({"length": 2000, **inputs})
    assert set(result(state)) == set(alphabet)


def test_minima_are_kept_also_of_a_class_that_is_off(characters: Resource):
    inputs = {"length": 8, "minLower": 3, "lower": False, "minNumeric": 2, "minSpecial": 3}
    _, state = characters.up({**inputs, "overrideSpecial": "_"})
    made = result(state)
    assert sum(c in string.ascii_lowercase for c in made) == 3
    assert sum(c in string.digits for c in made) == 2
    assert made.count("_") == 3


def test_two_values_differ_and_their_characters_are_in_no_order(a_string: Resource):
    made = [a_string.up({"length": 8, "minLower": 4, "minNumeric": 4})[0] for _ in range(20)]
    assert len(set(made)) == 20
    assert len({"".join("a" if c.isalpha() else "1" for c in text) for text in made}) > 1


def test_number_is_the_old_name_of_numeric(characters: Resource):
    _, state = characters.up({"length": 4, "number": False})
    assert (state["number"], state["numeric"]) == (False, False)
    with pytest.raises(PluginError, match="configured with different values"):
        characters.create({"length": 4, "number": False, "numeric": True})


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({}, "Missing required property 'length'"),
        ({"length": 0}, "Attribute length value must be at least 1, got: 0."),
        ({"length": 3, "minLower": 4}, "must be at least sum of min_upper + min_lower + "),
        (
            {"length": 3, "lower": False, "upper": False, "numeric": False, "special": False},
            "At least one attribute out of [special,upper,lower,numeric] must be specified as true",
        ),
    ],
)
def test_check_refuses_what_could_not_be_made(characters: Resource, inputs, reason):
    [(path, said)] = characters.failures(inputs)
    assert path == ""
    assert reason in said


def test_check_refuses_a_length_that_is_no_number(characters: Resource):
    with pytest.raises(PluginError, match='property "length": Expected a Number'):
        characters.check({"length": "long"})


def test_check_adds_nothing_and_takes_what_is_not_known_yet(characters: Resource):
    assert characters.check({"length": 5, "keepers": {"a": "1"}}) == {
        "length": 5,
        "keepers": {"a": "1"},
    }
    assert characters.check({"length": UNKNOWN, "minLower": UNKNOWN}) == {
        "length": UNKNOWN,
        "minLower": UNKNOWN,
    }


def test_no_class_that_is_left_fails_the_create(characters: Resource):
    off = dict.fromkeys(("lower", "upper", "number", "special"), False)
    with pytest.raises(PluginError, match="the character set specified is empty"):
        characters.create({"length": 3, **off})


def test_a_preview_knows_everything_but_the_result(random_provider: Provider):
    inputs = {"length": 5, "keepers": {"a": UNKNOWN}}
    expected = {**DEFAULTS, **inputs, "id": UNKNOWN, "result": UNKNOWN}
    identity, state = random_provider.resource(STRING).create(inputs, preview=True)
    assert (identity, shown(state)) == ("", expected)
    _, state = random_provider.resource(PASSWORD).create(inputs, preview=True)
    assert shown(state) == {**expected, "bcryptHash": UNKNOWN}


@pytest.mark.parametrize(
    ("changed", "replaced"),
    [
        ({}, []),
        ({"length": 6}, ["length"]),
        ({"keepers": {"a": "2"}}, ["keepers"]),
        ({"keepers": {"a": "1", "b": "1"}}, ["keepers"]),
        ({"keepers": {}}, ["keepers"]),
        ({"keepers": {"a": UNKNOWN}}, ["keepers"]),
        ({"keepers": UNKNOWN}, ["keepers"]),
        ({"special": True, "minLower": 0}, []),
        ({"special": False}, ["special"]),
        ({"overrideSpecial": "_"}, ["overrideSpecial"]),
        ({"minLower": 1}, ["minLower"]),
        ({"number": False}, ["number", "numeric"]),
    ],
)
def test_every_change_of_an_input_replaces_and_a_default_written_out_is_none(
    characters: Resource, changed, replaced
):
    old = {"length": 5, "keepers": {"a": "1"}}
    identity, state = characters.up(old)
    found = characters.diff(identity, state, {**old, **changed}, old_inputs=old)
    assert found.replaces == replaced
    assert found.changes == ("DIFF_SOME" if replaced else "DIFF_NONE")
    assert (found.detailed, found.delete_first) == ({}, False)


def test_an_input_that_is_left_out_is_its_default_again(characters: Resource):
    old = {"length": 5, "special": False, "keepers": {"a": "1"}}
    identity, state = characters.up(old)
    found = characters.diff(identity, state, {"length": 5}, old_inputs=old)
    assert found.replaces == ["keepers", "special"]


def test_what_is_ignored_is_no_change(characters: Resource):
    old = {"length": 5, "keepers": {"a": "1"}}
    identity, state = characters.up(old)
    new = {"length": 6, "keepers": {"a": "2"}}
    assert characters.diff(identity, state, new, ["keepers"], old).replaces == ["length"]
    assert characters.diff(identity, state, new, ["keepers.a"], old).replaces == ["length"]


def test_keepers_are_kept_as_texts(characters: Resource):
    _, state = characters.up({"length": 5, "keepers": {"a": 1, "b": True, "c": "x"}})
    assert state["keepers"] == {"a": "1", "b": "true", "c": "x"}


def test_a_refresh_finds_what_the_state_says(characters: Resource):
    inputs = {"length": 5, "keepers": {"a": "1"}}
    identity, state = characters.up(inputs)
    assert characters.read(identity, state, inputs) == (identity, state, inputs)


def test_a_result_can_be_imported(random_provider: Provider):
    inputs = {
        "length": 5,
        **{name: True for name in ("lower", "upper", "special", "number", "numeric")},
    }
    identity, state, found = random_provider.resource(STRING).read("hello")
    assert (identity, found) == ("hello", inputs)
    assert shown(state) == {**DEFAULTS, "length": 5, "id": "hello", "result": "hello"}
    identity, state, found = random_provider.resource(PASSWORD).read("hello")
    assert (identity, result(state), found) == ("none", "hello", inputs)
    assert bcrypt.checkpw(b"hello", state["bcryptHash"].value.encode())


def test_delete_forgets(characters: Resource):
    characters.delete(*characters.up({"length": 5}))


def test_bytes_are_secrets_in_two_forms(random_provider: Provider):
    identity, state = random_provider.resource(BYTES).up({"length": 5, "keepers": {"a": "1"}})
    made = bytes.fromhex(state["hex"].value)
    assert len(made) == 5
    assert shown(state) == {
        "length": 5,
        "keepers": {"a": "1"},
        "base64": Secret(base64.b64encode(made).decode()),
        "hex": Secret(made.hex()),
    }
    assert identity == state["base64"].value  # as it is: no secret in the engine's state


def test_bytes_in_a_preview_a_change_and_an_import(random_provider: Provider):
    resource = random_provider.resource(BYTES)
    preview = resource.create({"length": 5}, preview=True)[1]
    assert shown(preview) == {"length": 5, "base64": UNKNOWN, "hex": UNKNOWN}
    identity, state = resource.up({"length": 5})
    old = {"length": 5}
    assert resource.diff(identity, state, old, old_inputs=old).changes == "DIFF_NONE"
    assert resource.diff(identity, state, {"length": 6}, old_inputs=old).replaces == ["length"]
    identity, state, inputs = resource.read("aGVsbG8=")
    assert (identity, state["hex"].value, inputs) == ("aGVsbG8=", b"hello".hex(), {"length": 5})
    with pytest.raises(PluginError, match="error during the parsing of the base64"):
        resource.read("!")
    assert resource.failures({"length": 0})[0][1].startswith("Invalid Attribute Value.")
    assert "Missing required property 'length'" in resource.failures({})[0][1]


def test_an_id_has_four_forms_with_a_prefix_and_is_itself_without(random_provider: Provider):
    resource = random_provider.resource(ID)
    identity, state = resource.up({"byteLength": 5, "prefix": "a-"})
    made = bytes.fromhex(state["hex"].removeprefix("a-"))
    url = base64.urlsafe_b64encode(made).decode().rstrip("=")
    assert identity == url
    assert shown(state) == {
        "byteLength": 5,
        "prefix": "a-",
        "id": url,
        "b64Std": "a-" + base64.b64encode(made).decode(),
        "b64Url": "a-" + url,
        "dec": f"a-{int.from_bytes(made)}",
        "hex": "a-" + made.hex(),
    }


def test_an_id_in_a_preview_a_change_and_an_import(random_provider: Provider):
    resource = random_provider.resource(ID)
    forms = dict.fromkeys(("id", "b64Std", "b64Url", "dec", "hex"), UNKNOWN)
    assert shown(resource.create({"byteLength": 5}, preview=True)[1]) == {"byteLength": 5, **forms}
    old = {"byteLength": 5}
    identity, state = resource.up(old)
    assert resource.diff(identity, state, old, old_inputs=old).changes == "DIFF_NONE"
    changed = resource.diff(identity, state, {"byteLength": 6, "prefix": "x"}, old_inputs=old)
    assert changed.replaces == ["byteLength", "prefix"]
    identity, state, inputs = resource.read("pre,aGVsbG8")
    assert (identity, state["hex"]) == ("aGVsbG8", "pre" + b"hello".hex())
    assert inputs == {"byteLength": 5, "prefix": "pre"}
    with pytest.raises(PluginError, match="there was a decoding error"):
        resource.read("aGVsbG8=")


def test_the_engine_marks_secrets_itself(random_provider: Provider):
    answer = random_provider.configure({})
    assert (answer.acceptSecrets, answer.supportsPreview) == (False, True)
