"""Random characters of chosen classes, as terraform-provider-random makes them."""

import secrets
import string
from typing import Any

from lab.plugins.property_values import Unknown, plain
from lab.plugins.provider import PluginError

CLASSES = {
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "numeric": string.digits,
    "special": "!@#$%&*()-_=+[]{}<>:?",
}
MINIMA = ("minLower", "minUpper", "minNumeric", "minSpecial")
DEFAULTS: dict[str, Any] = {**dict.fromkeys(MINIMA, 0), **dict.fromkeys(CLASSES, True)}
LEAST_LENGTH = 1
BCRYPT_COST = 10
BCRYPT_LIMIT_BYTES = 72


class EmptyAlphabetError(Exception):
    """No class of characters is left."""


def with_defaults(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs with every default; `number` is the old name of `numeric`.

    Raises:
        PluginError: `number` and `numeric` contradict each other.
    """
    number, numeric = inputs.get("number"), inputs.get("numeric")
    if number is not None and numeric is not None and number != numeric:
        raise PluginError(
            "Number and numeric are both configured with different values - Number is "
            "deprecated, use numeric instead"
        )
    chosen = next((value for value in (number, numeric) if value is not None), True)
    return {**DEFAULTS, **inputs, "number": chosen, "numeric": chosen}


def minima(inputs: dict[str, Any]) -> int | None:
    """Return how many characters the minima ask for together, or None if that is not known yet."""
    values = [inputs.get(name) or 0 for name in MINIMA]
    return None if any(isinstance(value, Unknown) for value in values) else sum(map(int, values))


def make(inputs: dict[str, Any]) -> str:
    """Return characters of the requested classes, with the requested minimum of each.

    Raises:
        EmptyAlphabetError: no class is requested.
        PluginError: the minima ask for more than the length.
    """
    classes = {**CLASSES, "special": inputs.get("overrideSpecial") or CLASSES["special"]}
    alphabet = "".join(characters for name, characters in classes.items() if inputs[name])
    if not alphabet:
        raise EmptyAlphabetError
    chosen = [
        secrets.choice(characters)
        for name, characters in classes.items()
        for _ in range(int(inputs[f"min{name.capitalize()}"]))
    ]
    length = int(inputs["length"])
    if length < len(chosen):
        raise PluginError(f"length {length} is less than the sum of all minima, {len(chosen)}")
    chosen += [secrets.choice(alphabet) for _ in range(length - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def bcrypt_hash(password: str) -> str:
    """Return the password's bcrypt hash, which covers only its first 72 bytes."""
    import bcrypt  # noqa: PLC0415 - takes a while, and most runs make no password

    first = password.encode()[:BCRYPT_LIMIT_BYTES]
    return bcrypt.hashpw(first, bcrypt.gensalt(BCRYPT_COST, b"2a")).decode()


def text(value: Any) -> Any:
    """Return a keeper's value as text, as the state has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str | Unknown) else str(value)


def invalid_length(name: str, rule: str, length: Any) -> str:
    """Return why a length is refused."""
    return (
        f"Invalid Attribute Value. Attribute length value must be {rule}, "
        f"got: {plain(length)}. Examine values at '{name}.length'."
    )
