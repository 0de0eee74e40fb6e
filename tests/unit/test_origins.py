"""What the outputs of other stacks become."""

from stack.origins import kubeconfig_text


def test_the_order_of_keys_that_the_engine_gives_changes_nothing() -> None:
    first = {"users": [{"name": "u", "user": {"token": "t"}}], "kind": "Config", "number": 1.0}
    second = {"number": 1.0, "kind": "Config", "users": [{"user": {"token": "t"}, "name": "u"}]}
    assert kubeconfig_text(first) == kubeconfig_text(second)
    assert '"number": 1,' in str(kubeconfig_text(first))
