"""What the outputs of other stacks become."""

import pytest

from settings.parsing import parse
from settings.problem import SettingsError
from stack import origins
from stack.origins import kubeconfig_text
from stack.references import Value


def test_the_order_of_keys_that_the_engine_gives_changes_nothing() -> None:
    first = {"users": [{"name": "u", "user": {"token": "t"}}], "kind": "Config", "number": 1.0}
    second = {"number": 1.0, "kind": "Config", "users": [{"user": {"token": "t"}, "name": "u"}]}
    assert kubeconfig_text(first) == kubeconfig_text(second)
    assert '"number": 1,' in str(kubeconfig_text(first))


@pytest.mark.parametrize("index", ["7", "9" * 200])
def test_a_value_that_looks_like_a_place_is_told_as_it_is(index: str) -> None:
    raw = {"kubeconfigPath": "k", "pools": {"w": {"nodesFrom": {"stack": "s", "output": "o"}}}}
    address = f"pools.w.nodes[{index}]"
    value = Value([{"name": "n1", "address": address}])
    with pytest.raises(SettingsError) as error:
        origins.parse(raw, parse(raw), {"pools.w.nodesFrom.output": value})
    assert "pools.w.nodesFrom[0].address" in str(error.value)
    assert address in str(error.value) or len(address) > 100
