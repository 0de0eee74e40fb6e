"""The bootstrap tokens of a pool: who gets a new one, from what, and what is in its Secret."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pulumi
import pytest

from admission.objects.token_secret import is_revoked
from components.bootstrap_rbac import BootstrapRbac
from components.bootstrap_token import ALPHABET, derive
from components.former_tokens import FormerTokens
from components.node_pool import NodePool
from components.pool_arguments import Approval, TokenPolicy
from components.pool_tokens import pool_tokens
from components.user_data import UserDataArgs
from tests.unit.engine import COMPONENT, SEED, Engine
from tests.unit.test_components import NODE, SECRET_TYPE, pool_args, pool_node

JOINED = {"name": "n1", "address": "10.0.0.1", "join": "1"}
N1, N2 = pool_node(recorded=JOINED, joins=False), pool_node("n2")
OF_POOL, OF_NODE = TokenPolicy(scope="pool"), TokenPolicy(scope="node")


def former(*names: str, owner: str = "p", made: str = "", **seed: str) -> FormerTokens:
    """Tokens that the stack has of a pool, from the run that its seed is of; and that's keepers."""
    seeds = {"p-token-seed": seed} if seed else {}
    entry = owner, made or seed.get("round", "")
    return FormerTokens(made={f"{name}-token": entry for name in names}, seeds=seeds)


def pool(**changes: Any) -> Engine:
    """The resources of a pool."""

    def program() -> None:
        NodePool("p", pool_args(BootstrapRbac("rbac"), **changes))

    return Engine().run(program)


def data_of(engine: Engine, token: str) -> dict[str, str]:
    """The content of the Secret of a pool's token, which is secret as a whole."""
    return decoded(engine.resources[token]["data"]["value"])


def decoded(data: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def activations(**changes: Any) -> dict[str, dict[str, str]]:
    """What makes the tokens of a pool valid that are made without it, by their ids."""
    found: list[dict[str, dict[str, str]]] = []

    def program() -> pulumi.Output[None]:
        args = pool_args(BootstrapRbac("rbac"), **changes)
        owner = pulumi.ComponentResource(f"{COMPONENT}NodePool", "p")
        return pool_tokens("p", args, args.nodes, owner).activations.apply(found.append)

    Engine().run(program)
    return {token_id: decoded(data) for token_id, data in found[0].items()}


def tokens(engine: Engine) -> set[str]:
    """The names of the tokens' Secrets as resources."""
    return {name for name in engine.resources if name.endswith("-token")}


def keepers(engine: Engine) -> dict[str, str] | None:
    seed = engine.resources.get("p-token-seed")
    return None if seed is None else dict(seed["keepers"])


def test_both_halves_are_of_the_documented_form_and_of_this_label_alone() -> None:
    found = {derive(seed, label) for seed in ("a", "b") for label in ("", "n1", "n2")}
    assert len(found) == 6
    for token_id, secret in found:
        assert (len(token_id), len(secret)) == (6, 16)
        assert set(token_id + secret) <= set(ALPHABET)


def test_no_digit_is_likelier_than_another() -> None:
    text = "".join("".join(derive("seed", str(number))) for number in range(2000))
    expected = len(text) / len(ALPHABET)
    for digit in ALPHABET:
        # Seven standard deviations: none of the 36 is beyond them by chance.
        assert abs(text.count(digit) - expected) < 7 * expected**0.5


@pytest.mark.parametrize("scope", ["pool", "node"])
def test_the_first_run_makes_a_seed_and_what_follows_from_it(scope: Any) -> None:
    args: dict[str, Any] = {"nodes": (pool_node(), N2), "token": TokenPolicy(scope=scope)}
    engine, found = pool(**args), activations(**args)
    seed = engine.resources["p-token-seed"]
    assert (seed["length"], seed["special"]) == (32, False)
    assert keepers(engine) == {"round": "1"}
    names = ["p-token"] if scope == "pool" else ["n1-token", "n2-token"]
    assert tokens(engine) == set(names)
    for name in names:
        label = "" if scope == "pool" else name.removesuffix("-token")
        token_id, secret = derive(SEED, label)
        # No state has what a node's token is made valid with.
        assert ("data" in engine.resources[name]) == (scope == "pool") == (token_id not in found)
        data = found.get(token_id) or data_of(engine, name)
        assert (data["token-id"], data["token-secret"]) == (token_id, secret)
        assert engine.resources[name]["metadata"]["name"] == f"bootstrap-token-{token_id}"
        labels = engine.resources[name]["metadata"]["labels"]
        assert labels["kubelet-tls-bootstrap/round"] == "1"
        assert data["usage-bootstrap-authentication"] == "true"
        assert data["usage-bootstrap-signing"] == "false"
        ends = datetime.strptime(data["expiration"], "%Y-%m-%dT%H:%M:%S%z") - datetime.now(UTC)
        assert 3500 < ends.total_seconds() <= 3600


def test_a_run_in_which_somebody_joins_has_a_new_seed_and_a_token_for_whoever_joins() -> None:
    had = former("n1", "n2", round="4")
    engine = pool(nodes=(N1, N2), token=OF_NODE, former_tokens=had)
    assert keepers(engine) == {"round": "5"}
    assert tokens(engine) == {"n2-token"}
    orders = json.loads(engine.resources["p-gate"]["stdin"])
    assert [token["id"] for token in orders["tokens"]] == [derive(SEED, "n2")[0]]
    assert [node["name"] for node in orders["nodes"]] == ["n1", "n2"]


@pytest.mark.parametrize(
    ("policy", "has"),
    [(OF_NODE, ("n1",)), (OF_NODE, ()), (OF_POOL, ("p",)), (OF_POOL, ())],
)
def test_a_run_in_which_nobody_joins_changes_nothing_and_makes_no_live_token(
    policy: TokenPolicy, has: tuple[str, ...]
) -> None:
    had = former("other", *has, round="4")
    engine = pool(nodes=(N1,), token=policy, former_tokens=had)
    assert keepers(engine) == {"round": "4"}
    assert tokens(engine) == {f"{name}-token" for name in has}
    for secret in (r for r in engine.requests.values() if r["type"] == SECRET_TYPE):
        assert {"data", "stringData"} == set(secret["ignoreChanges"])
    assert activations(nodes=(N1,), token=policy, former_tokens=had) == {}
    # If somebody has deleted it, and a refresh has seen that: the one of a node is made empty.
    for name in tokens(engine) & {"p-token"}:
        data = data_of(engine, name)
        assert is_revoked(data)
        assert data["usage-bootstrap-authentication"] == "false"
        # With an expiration the token cleaner would delete it, for the next refresh to find.
        assert not data.keys() & {"token-secret", "expiration"}


@pytest.mark.parametrize(
    "left", [{"made": "3"}, {"owner": "others"}], ids=["a failed run", "a move"]
)
def test_what_does_not_follow_from_the_seed_goes(left: dict[str, str]) -> None:
    had = former("n1", round="4", **left)
    engine = pool(nodes=(N1,), token=OF_NODE, former_tokens=had)
    assert (tokens(engine), keepers(engine)) == (set(), {"round": "4"})


def test_what_nobody_can_join_with_goes_when_the_scope_changes() -> None:
    engine = pool(nodes=(N1,), token=OF_POOL, former_tokens=former("n1", round="4"))
    assert (tokens(engine), keepers(engine)) == (set(), {"round": "4"})


def test_dead_tokens_of_an_earlier_release_which_has_no_seed_go() -> None:
    engine = pool(nodes=(N1,), token=OF_NODE, former_tokens=former("n1"))
    assert (tokens(engine), keepers(engine)) == (set(), None)


@pytest.mark.parametrize("scope", ["pool", "node"])
def test_who_has_joined_gets_no_token_if_the_stack_has_none(scope: Any) -> None:
    engine = pool(nodes=(N1,), token=TokenPolicy(scope=scope))
    assert (tokens(engine), keepers(engine)) == (set(), None)
    assert json.loads(engine.resources["p-gate"]["stdin"])["tokens"] == []


def test_a_machine_that_is_gone_gets_none() -> None:
    assert tokens(pool(nodes=(pool_node(gone=True),))) == set()


def test_a_pool_without_nodes_has_a_token_for_machines_that_are_not_listed() -> None:
    first = pool(nodes=())
    assert tokens(first) == {"p-token"}
    kept = pool(nodes=(), former_tokens=former("p", **(keepers(first) or {})))
    assert tokens(kept) == {"p-token"}
    assert keepers(kept) == keepers(first)
    assert tokens(pool(nodes=(), token=OF_NODE)) == set()


def user_data(**changes: Any) -> tuple[Engine, str]:
    """The resources of a pool whose token others have too, and the user data for those."""
    found: list[str] = []

    def program() -> pulumi.Output[None]:
        wanted = UserDataArgs(node=NODE, with_token=True)
        args = pool_args(BootstrapRbac("rbac"), nodes=(N1,), user_data=wanted, **changes)
        data = NodePool("p", args).user_data
        assert data is not None
        return data.apply(found.append)

    return Engine().run(program), found[0]


def test_a_token_that_others_have_stays_until_who_is_listed_or_the_mode_changes() -> None:
    whole = ".".join(derive(SEED, ""))
    first, text = user_data()
    assert tokens(first) == {"p-token"}
    assert whole in text
    made = keepers(first) or {}
    had = former("p", **made)
    second, text = user_data(former_tokens=had)
    assert tokens(second) == {"p-token"}
    assert keepers(second) == made
    assert whole in text
    client = Approval(client="controller-manager")
    third, _ = user_data(former_tokens=had, approval=client)
    assert (keepers(third) or {})["round"] == "2"
    # Of an earlier release: what it was made from is not known.
    fourth, _ = user_data(former_tokens=former("p"))
    assert tokens(fourth) == {"p-token"}
    # Nobody else gets it any more: nothing new is made for that.
    fifth = pool(nodes=(N1,), former_tokens=had)
    assert keepers(fifth) == made


def test_only_a_token_whose_holder_is_approved_by_the_controller_manager_is_in_that_group() -> None:
    own = "system:bootstrappers:p,system:bootstrappers:p:n1"
    (data,) = activations(token=OF_NODE).values()
    assert data["auth-extra-groups"] == own
    assert data["description"] == "joins the node n1 of the pool p"
    client = Approval(client="controller-manager")
    (data,) = activations(token=OF_NODE, approval=client).values()
    assert data["auth-extra-groups"] == f"system:bootstrappers:-auto-approve,{own}"


def test_the_public_half_is_no_secret_and_the_other_is() -> None:
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        pool = NodePool("p", pool_args(BootstrapRbac("rbac"), token=OF_NODE))
        return pool.token_id.apply(found.append)

    engine = Engine().run(program)
    token_id, secret = derive(SEED, "n1")
    assert found == [{"n1": token_id}]
    assert secret not in json.dumps(engine.resources)
    of_pool = {name: dict(r) for name, r in pool(token=OF_POOL).resources.items()}
    data = of_pool["p-token"].pop("data")
    assert data["4dabf18193072939515e22adb298388d"] == "1b47061264138c4ac30d75fd1eb44270"
    assert derive(SEED, "")[1] not in json.dumps(of_pool)
    assert SEED not in json.dumps(of_pool)
