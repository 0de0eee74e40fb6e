"""The lab's random provider: RandomString, RandomPassword, RandomBytes and RandomId.

Inputs, defaults, results and what replaces are those of pulumi-resource-random 4.21.
"""

import base64
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bcrypt

from lab.plugins.kubernetes_values import UNKNOWN, Object, Secret, has_unknown, plain
from lab.plugins.provider import Difference, PluginError, ResourceType, changes, main

VERSION = "4.21.4"
DEFAULT_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
CLASSES = (
    ("lower", string.ascii_lowercase),
    ("upper", string.ascii_uppercase),
    ("numeric", string.digits),
    ("special", DEFAULT_SPECIAL),
)
PASSWORD_ID = "none"  # noqa: S105 - the official one's, since the id is public
BCRYPT_LIMIT_BYTES = 72


class _Immutable:
    """What all have in common: every change of an input replaces, and nothing is to be deleted."""

    required: tuple[str, ...] = ("length",)

    def check(self, news: Object) -> tuple[Object, list[tuple[str, str]]]:
        failures = [
            ("", f"Missing required property '{name}'")
            for name in self.required
            if name not in news
        ]
        return news, failures

    def diff(self, old_inputs: Object, state: Object, news: Object) -> Difference:
        # A default that is written out is no change.
        known = {name: state.get(name) for name in news if old_inputs.get(name) is None}
        kinds = changes(
            plain({**{n: v for n, v in known.items() if v is not None}, **old_inputs}), plain(news)
        )
        replaced = {name: f"{kind}_REPLACE" for name, kind in kinds.items()}
        return Difference(replaced, tuple(replaced))

    def update(self, state: Object, inputs: Object, **_: Any) -> Object:
        return {**state, **inputs}

    def delete(self, state: Object, say: Callable[[str], None]) -> None:
        return None


@dataclass(frozen=True)
class Characters(_Immutable):
    """RandomString and RandomPassword; the password's result is a secret and has a bcrypt hash."""

    secret: bool

    def create(
        self, name: str, inputs: Object, *, preview: bool, say: Callable[[str], None]
    ) -> tuple[str, Object]:
        if preview or has_unknown(inputs):
            result: Any = UNKNOWN
            state = {**inputs, "result": result}
            return "", {**state, "bcryptHash": UNKNOWN} if self.secret else state
        state = with_defaults(inputs)
        text = random_text(plain(state))
        if not self.secret:
            return text, {**state, "id": text, "result": text}
        hashed = bcrypt.hashpw(text.encode()[:BCRYPT_LIMIT_BYTES], bcrypt.gensalt(10)).decode()
        return PASSWORD_ID, {
            **state,
            "id": PASSWORD_ID,
            "result": Secret(text),
            "bcryptHash": Secret(hashed),
        }


def with_defaults(inputs: Object) -> Object:
    """Return the inputs with what the official provider adds to them."""
    numeric = inputs.get("numeric", inputs.get("number", True))
    minimum = {"minLower": 0, "minUpper": 0, "minNumeric": 0, "minSpecial": 0}
    return {
        **minimum,
        "lower": True,
        "upper": True,
        "special": True,
        **inputs,
        "number": numeric,
        "numeric": numeric,
    }


def random_text(inputs: Object) -> str:
    """Return random characters of the classes that are asked for, at least so many of each.

    Raises:
        PluginError: the length is too small, or no class is left.
    """
    length = int(inputs["length"])
    alphabet, chosen = "", []
    for name, characters in CLASSES:
        own = inputs.get("overrideSpecial") or characters if name == "special" else characters
        if inputs.get(name):
            alphabet += own
        chosen += [secrets.choice(own) for _ in range(int(inputs[f"min{name.capitalize()}"]))]
    if length < 1 or length < len(chosen):
        raise PluginError(
            f"the length ({length}) must be at least 1 and the sum of all minima ({len(chosen)})"
        )
    if not alphabet:
        raise PluginError("at least one of lower, upper, numeric and special must be true")
    chosen += [secrets.choice(alphabet) for _ in range(length - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


class Bytes(_Immutable):
    """RandomBytes: secret bytes, as base64 and hexadecimal."""

    def create(
        self, name: str, inputs: Object, *, preview: bool, say: Callable[[str], None]
    ) -> tuple[str, Object]:
        if preview or has_unknown(inputs):
            return "", {**inputs, "base64": UNKNOWN, "hex": UNKNOWN}
        made = secrets.token_bytes(int(plain(inputs)["length"]))
        encoded = {"base64": Secret(base64.b64encode(made).decode()), "hex": Secret(made.hex())}
        return PASSWORD_ID, {**inputs, **encoded}


class Identifier(_Immutable):
    """RandomId: public bytes with a prefix, in five forms."""

    required = ("byteLength",)

    def create(
        self, name: str, inputs: Object, *, preview: bool, say: Callable[[str], None]
    ) -> tuple[str, Object]:
        forms = ("b64Std", "b64Url", "dec", "hex")
        if preview or has_unknown(inputs):
            return "", {**inputs, **dict.fromkeys(forms, UNKNOWN)}
        made = secrets.token_bytes(int(inputs["byteLength"]))
        prefix = str(inputs.get("prefix") or "")
        url = base64.urlsafe_b64encode(made).decode().rstrip("=")
        return url, {
            **inputs,
            "b64Std": prefix + base64.b64encode(made).decode(),
            "b64Url": prefix + url,
            "dec": prefix + str(int.from_bytes(made)),
            "hex": prefix + made.hex(),
        }


TYPES: dict[str, ResourceType] = {
    "random:index/randomString:RandomString": Characters(secret=False),
    "random:index/randomPassword:RandomPassword": Characters(secret=True),
    "random:index/randomBytes:RandomBytes": Bytes(),
    "random:index/randomId:RandomId": Identifier(),
}

if __name__ == "__main__":
    main("random", VERSION, TYPES)
