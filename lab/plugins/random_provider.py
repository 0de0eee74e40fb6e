"""The lab's random provider: RandomString, RandomPassword, RandomBytes and RandomId.

Inputs, defaults, results, what replaces, and errors are those of pulumi-resource-random 4.21,
which bridges terraform-provider-random 3.9. The other random types are left out.
"""

import base64
import binascii
import secrets
from typing import Any

from lab.plugins import provider, random_text
from lab.plugins.property_values import UNKNOWN, Object, Secret, Unknown, plain
from lab.plugins.provider import Difference, Failures, Operation, Package, PluginError
from lab.plugins.random_text import LEAST_LENGTH, invalid_length, text, with_defaults

VERSION = "4.21.4"
# A password's id reveals nothing about it.
PASSWORD_ID = "none"  # noqa: S105
RETRY = (
    "\n\nRetry the Terraform operation. If the error still occurs or happens regularly, please "
    "contact the provider developer with hardware and operating system information."
    "\n\nOriginal Error: "
)


class Random:
    """What all have in common: any changed input replaces, and there is nothing to delete."""

    inputs: tuple[str, ...] = ("keepers", "length")
    outputs: tuple[str, ...] = ("id",)
    required = "length"
    described = "The minimum value for length is 1."
    least: int | None = LEAST_LENGTH

    def check(self, name: str, news: Object) -> tuple[Object, Failures]:
        size = news.get(self.required)
        if size is None:
            reason = f"Missing required property '{self.required}': {self.described}"
            return news, [("", reason)]
        if isinstance(size, Unknown):
            return news, []
        if self.least is not None and number(self.required, size) < self.least:
            return news, [("", invalid_length(name, f"at least {self.least}", size))]
        return news, []

    def planned(self, news: Object) -> Object:
        """Return the inputs as the state will have them."""
        result = {name: value for name, value in plain(news).items() if value is not None}
        if isinstance(keepers := result.get("keepers"), dict):
            result["keepers"] = {key: text(value) for key, value in keepers.items()}
        if not isinstance(result.get(self.required), Unknown | None):
            result[self.required] = number(self.required, result[self.required])
        return result

    def diff(self, old_inputs: Object, state: Object, news: Object) -> Difference:
        # Against the state, which has every default, so that spelling one out is not a change.
        old, new = self.planned(state), self.planned(news)
        changed = tuple(name for name in self.inputs if old.get(name) != new.get(name))
        return Difference(changed, changed)

    def create(self, operation: Operation, inputs: Object) -> tuple[str, Object]:
        planned = self.planned(inputs)
        if operation.preview:
            return "", {**planned, **dict.fromkeys(self.outputs, UNKNOWN)}
        return self.make(planned)

    def make(self, planned: Object) -> tuple[str, Object]:
        raise NotImplementedError

    def read(self, identity: str, state: Object, inputs: Object) -> tuple[str, Object, Object]:
        if state:
            return identity, state, inputs
        identity, state = self.imported(identity)
        found = {name: state[name] for name in self.inputs if name in state}
        return identity, state, {n: v for n, v in found.items() if not n.startswith("min")}

    def imported(self, identity: str) -> tuple[str, Object]:
        raise NotImplementedError

    def update(self, operation: Operation, state: Object, inputs: Object) -> Object:
        return {**state, **self.planned(inputs)}

    def delete(self, operation: Operation, state: Object) -> None:
        """Forget it; there is nothing to delete."""


class Characters(Random):
    """RandomString."""

    inputs = ("keepers", "length", "overrideSpecial", *random_text.DEFAULTS, "number")
    outputs: tuple[str, ...] = ("id", "result")
    described = (
        "The length of the string desired. The minimum value for length is 1 and, length must "
        "also be >= (`min_upper` + `min_lower` + `min_numeric` + `min_special`)."
    )

    def check(self, name: str, news: Object) -> tuple[Object, Failures]:
        inputs, failures = super().check(name, news)
        length, minima = news.get("length"), random_text.minima(plain(news))
        if not failures and minima is not None and not isinstance(length, Unknown):
            wanted = "at least sum of min_upper + min_lower + min_numeric + min_special"
            if number("length", length) < minima:
                failures = [("", invalid_length(name, wanted, length))]
        if all(plain(news).get(name) is False for name in random_text.CLASSES):
            reason = (
                "Invalid Attribute Combination. At least one attribute out of "
                "[special,upper,lower,numeric] must be specified as true. "
                f"Examine values at '{name}.numeric'."
            )
            failures = [*failures, ("", reason)]
        return inputs, failures

    def planned(self, news: Object) -> Object:
        return with_defaults(super().planned(news))

    def make(self, planned: Object) -> tuple[str, Object]:
        try:
            result = random_text.make(planned)
        except random_text.EmptyAlphabetError:
            raise PluginError(
                "Random Read Error: While attempting to generate a random value for this "
                f"resource, a read error was generated.{RETRY}the character set specified is empty"
            ) from None
        return self.state(planned, result)

    def imported(self, identity: str) -> tuple[str, Object]:
        return self.state(self.planned({"length": len(identity)}), identity)

    def state(self, planned: Object, result: str) -> tuple[str, Object]:
        return result, {**planned, "id": result, "result": result}


class Password(Characters):
    """RandomPassword: the same, as a secret, with its bcrypt hash."""

    outputs = ("id", "result", "bcryptHash")

    def state(self, planned: Object, result: str) -> tuple[str, Object]:
        hidden = {"result": Secret(result), "bcryptHash": Secret(random_text.bcrypt_hash(result))}
        return PASSWORD_ID, {**planned, "id": PASSWORD_ID, **hidden}


class Bytes(Random):
    """RandomBytes: secret bytes, as base64 and hexadecimal. Their id is not secret, though."""

    outputs = ("base64", "hex")
    described = "The number of bytes requested. The minimum value for length is 1."

    def make(self, planned: Object) -> tuple[str, Object]:
        made = secrets.token_bytes(planned["length"])
        encoded = base64.b64encode(made).decode()
        return encoded, {**planned, "base64": Secret(encoded), "hex": Secret(made.hex())}

    def imported(self, identity: str) -> tuple[str, Object]:
        try:
            made = base64.b64decode(identity, validate=True)
        except binascii.Error as error:
            raise PluginError(
                "Import Random bytes Error: There was an error during the parsing of the base64 "
                f"string.{RETRY}illegal base64 data: {error}"
            ) from None
        hidden = {"base64": Secret(identity), "hex": Secret(made.hex())}
        return identity, {"length": len(made), **hidden}


class Identifier(Random):
    """RandomId: public bytes with a prefix, in four forms."""

    inputs = ("keepers", "byteLength", "prefix")
    outputs = ("id", "b64Std", "b64Url", "dec", "hex")
    required = "byteLength"
    least = None
    described = (
        "The number of random bytes to produce. The minimum value is 1, which produces eight bits "
        "of randomness."
    )

    def make(self, planned: Object) -> tuple[str, Object]:
        return self.state(planned, secrets.token_bytes(planned["byteLength"]))

    def imported(self, identity: str) -> tuple[str, Object]:
        prefix, comma, encoded = identity.rpartition(",")
        try:
            made = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
            if "=" in encoded:
                raise binascii.Error("padding")
        except binascii.Error as error:
            raise PluginError(
                "Import Random ID Error: While attempting to import a random id there was a "
                f"decoding error.{RETRY}illegal base64 data: {error}"
            ) from None
        known = {"byteLength": len(made)}
        return self.state({**known, "prefix": prefix} if comma else known, made)

    def state(self, planned: Object, made: bytes) -> tuple[str, Object]:
        prefix = planned.get("prefix", "")
        identity = base64.urlsafe_b64encode(made).decode().rstrip("=")
        return identity, {
            **planned,
            "id": identity,
            "b64Std": prefix + base64.b64encode(made).decode(),
            "b64Url": prefix + identity,
            "dec": f"{prefix}{int.from_bytes(made)}",
            "hex": prefix + made.hex(),
        }


def number(name: str, value: Any) -> int:
    """Return a whole number, which may be given as text.

    Raises:
        PluginError: it is not one.
    """
    try:
        return int(plain(value))
    except (TypeError, ValueError):
        raise PluginError(f'property "{name}": Expected a Number, got {value!r}') from None


PACKAGE = Package(
    name="random",
    version=VERSION,
    types={
        "random:index/randomString:RandomString": Characters(),
        "random:index/randomPassword:RandomPassword": Password(),
        "random:index/randomBytes:RandomBytes": Bytes(),
        "random:index/randomId:RandomId": Identifier(),
    },
    accept_secrets=False,
)


def main() -> None:
    """Serve the provider."""
    provider.main(PACKAGE)
