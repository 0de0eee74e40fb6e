"""Settings that a program gives by itself, in which a value may be an Output.

What is rendered, checked and shown in a preview needs plain values, so each Output is awaited. A
preview may come before the machine whose address it is: something stands in for that, so that all
else can be checked, and the resources of that node are shown as not known. In any other run a value
that is not known is an error: the engine would keep in the state what stands in for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from settings.problem import Problem, SettingsError
from stack.places import GONE, Place, has_key, outputs, value_at, with_values, written
from stack.record import Record

# A network for benchmarks alone (RFC 2544), of which no machine has an address.
STAND_IN = "198.18.{}.{}"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER"
# Of a node; a bastion has one too.
ADDRESS = ("address",)
# Where SSH leads, by which a file of known hosts is searched.
REACHED = (ADDRESS, ("sshAddress",))
BASTION = ("bastion", "address")
CLUSTER, SSH, KNOWN_HOSTS = "cluster", "ssh", "knownHostsPath"
# Without these files something else would be missing.
READ_FIRST = ((SSH, KNOWN_HOSTS), (CLUSTER, "caPath"))
PLAIN = (("name",), ("force",), ("generation",), ("repair",))


@dataclass(frozen=True, kw_only=True)
class Maker:
    """What makes a machine in the same program."""

    resources: tuple[pulumi.Resource, ...] = ()
    """The resources that values of the node come from."""
    is_done: bool = True
    """Whether all of its values are known."""


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Settings without Outputs."""

    keys: Mapping[str, Any]
    """As `settings.parsing` takes them."""
    makers: Mapping[str, Maker]
    """What makes the machines, by the names of their nodes."""
    cluster: tuple[pulumi.Resource, ...]
    """What values come from that belong to no pool."""
    late_pools: frozenset[str] = frozenset()
    """The pools of which a value is not known that is no single node's."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """What is known of an Output."""

    value: Any
    resources: frozenset[pulumi.Resource]
    is_known: bool
    is_secret: bool


class Given:
    """The settings of a program, with the keys of docs/settings.md."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take them.

        Raises:
            SettingsError: a value is an Output that has to be plain; names each one.
        """
        self._settings = settings
        self._outputs = dict(outputs(settings, ()))
        problems = [
            Problem(written(place), "is an Output; give a plain value: " + why)
            for place in self._outputs
            if (why := _must_be_plain(place))
        ]
        if problems:
            raise SettingsError(problems)

    def stand_ins(self) -> dict[str, Any]:
        """Return the settings as if no Output were known."""
        return self._plain({}, Record())

    async def plain(self, record: Record, *, is_preview: bool) -> Plain:
        """Return the settings with the value of each Output, once that is known.

        A node of the record keeps its address in a preview that does not know its new one.

        Raises:
            SettingsError: an Output is a secret, what it comes from has failed, or it is not known
                in a run that is no preview; names each one.
        """
        values: dict[Place, Value] = {}
        problems: list[Problem] = []
        for place, output in self._outputs.items():
            try:
                values[place] = await value(output, is_preview=is_preview)
                if values[place].is_secret:
                    raise ValueError(
                        "is a secret, and previews show settings; if it is none in truth, give it"
                        " through pulumi.Output.unsecret"
                    )
            except ValueError as error:
                problems.append(Problem(written(place), str(error)))
        if problems:
            raise SettingsError(problems)
        known = {place: found.value for place, found in values.items() if found.is_known}
        of_stack = {place: found for place, found in values.items() if place[0] != "pools"}
        return Plain(
            keys=self._plain(known, record),
            makers={name: _maker(place, values) for place, name in self._nodes()},
            cluster=_maker((), of_stack).resources,
            late_pools=frozenset(
                pool for pool in self._pools() if not _maker(("pools", pool), values).is_done
            ),
        )

    def _plain(self, known: Mapping[Place, Any], record: Record) -> dict[str, Any]:
        found = {
            place: known[place] if place in known else self._stand_in(place, record)
            for place in self._outputs
        }
        # They have to fit to an address that is not known.
        for place in self._outputs.keys() - known.keys():
            if _is_of_node(place) and place[4:] == ADDRESS:
                found[(*place[:4], "addresses")] = GONE
        whole = {key: with_values(value, found, (key,)) for key, value in self._settings.items()}
        if has_key(whole, KNOWN_HOSTS):
            # The file may have the key of what is at an address, which it can't be searched for.
            for place in self._outputs.keys() - known.keys():
                if _is_reached_at(place):
                    machine = value_at(whole, place[:-1])
                    machine["hostKey"] = machine.get("hostKey") or HOST_KEY
        return {key: value for key, value in whole.items() if value is not GONE}

    def _stand_in(self, place: Place, record: Record) -> Any:
        if place[-1] == "hostKey":
            return HOST_KEY
        if place[-1] != "address":
            return GONE
        name = dict(self._nodes()).get(place[:4], "")
        former = record.nodes.get(name)
        if former is not None and place[4:] == ADDRESS:
            return former.address
        return STAND_IN.format(*divmod(list(self._outputs).index(place), 256))

    def _pools(self) -> Mapping[str, Any]:
        pools = self._settings.get("pools")
        return pools if isinstance(pools, Mapping) else {}

    def _nodes(self) -> Iterator[tuple[Place, str]]:
        """Yield the place and the name of each node; what has another form has none."""
        for pool, settings in self._pools().items():
            nodes = settings.get("nodes") if isinstance(settings, Mapping) else ()
            for index, node in enumerate(nodes if isinstance(nodes, list | tuple) else ()):
                if isinstance(node, Mapping) and isinstance(node.get("name"), str):
                    yield ("pools", pool, "nodes", index), node["name"]


def _is_reached_at(place: Place) -> bool:
    return (_is_of_node(place) and place[4:] in REACHED) or place[-2:] == BASTION


def _is_of_node(place: Place) -> bool:
    return len(place) > 4 and place[0] == "pools" and place[2] == "nodes"


def _must_be_plain(place: Place) -> str:
    """Return why a value has to be plain; "": it need not."""
    if place[0] == "controlPlane":
        return "the hosts of the control plane are there before the program runs"
    if place[0] == "pools" and len(place) < 5 and (len(place) < 3 or place[2] == "nodes"):
        return "which nodes there are decides about resources"
    if _is_of_node(place) and place[4:] in PLAIN:
        return "it decides about resources"
    if place == (CLUSTER,) or place[-1] == SSH:
        return "only what is in it may be an Output"
    if place[-2:] in READ_FIRST:
        return "the file is read before Outputs are known"
    return ""


def _maker(node: Place, values: Mapping[Place, Value]) -> Maker:
    """Return what makes the machine of the node at a place, or what is a pool's own."""
    # Its own values, and those of its pool and of the stack, which other nodes have too.
    found = [
        value
        for place, value in values.items()
        if place[:4] == node
        or (not _is_of_node(place) and (place[0] != "pools" or place[:2] == node[:2]))
    ]
    resources = {resource: None for value in found for resource in value.resources}
    return Maker(resources=tuple(resources), is_done=all(value.is_known for value in found))


async def value(output: pulumi.Output[Any], *, is_preview: bool) -> Value:
    """Return what is known of an Output, once that is settled.

    Raises:
        ValueError: what it comes from has failed, or it is not known in a run that is no preview.
    """
    try:
        found = await output.future(with_unknowns=True)
    except Exception:  # noqa: BLE001 - of whatever kind, the engine has told why
        raise ValueError("is not there, since what it comes from has failed") from None
    is_known = await output.is_known()
    if not is_known and not is_preview:
        # By --target or --exclude.
        raise ValueError(
            "is not known in this run, which leaves out what it comes from; run pulumi up without"
            " --target and --exclude"
        )
    return Value(
        value=found,
        resources=frozenset(await output.resources()),
        is_known=is_known,
        is_secret=await output.is_secret(),
    )
