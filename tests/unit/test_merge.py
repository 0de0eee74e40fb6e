"""The laws of merging (RFC 7396), and that YAML gives back what was written."""

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import node_files
from node_files.kubelet_configuration import to_yaml

text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)
names = st.sampled_from(["a", "b", "c"])
scalar = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
value = st.recursive(
    scalar | st.lists(scalar, max_size=2),
    lambda inner: st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
documents = st.dictionaries(names, value, max_size=3)
patches = st.dictionaries(
    names,
    st.recursive(
        st.none() | scalar,
        lambda inner: st.dictionaries(names, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)
laws = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def holds_null(document: Any) -> bool:
    if isinstance(document, dict):
        return any(holds_null(below) for below in document.values())
    return document is None


def replaces(lower: Any, upper: Any) -> bool:
    """Whether a map of the upper patch meets no map of the lower one, but a value or a null."""
    return any(
        isinstance(above, dict)
        and name in lower
        and (not isinstance(lower[name], dict) or replaces(lower[name], above))
        for name, above in upper.items()
    )


@laws
@given(documents)
def test_nothing_over_a_document_is_the_document(document: dict[str, Any]) -> None:
    assert node_files.merge(document, {}) == document


@laws
@given(documents)
def test_a_document_over_nothing_is_the_document(document: dict[str, Any]) -> None:
    assert node_files.merge({}, document) == document


@laws
@given(documents, patches)
def test_a_patch_twice_is_the_patch_once(document: dict[str, Any], patch: dict[str, Any]) -> None:
    once = node_files.merge(document, patch)
    assert node_files.merge(once, patch) == once


@laws
@given(documents, patches)
def test_no_null_is_left(document: dict[str, Any], patch: dict[str, Any]) -> None:
    merged = node_files.merge(document, patch)
    assert not holds_null(merged)
    assert not {name for name, below in patch.items() if below is None} & merged.keys()


@laws
@given(documents, patches)
def test_merging_changes_neither(document: dict[str, Any], patch: dict[str, Any]) -> None:
    before = repr((document, patch))
    node_files.merge(document, patch)
    node_files.merge_patches(document, patch)
    assert repr((document, patch)) == before


@laws
@given(documents, patches, patches)
def test_two_patches_are_one_where_no_map_replaces_a_value(
    document: dict[str, Any], lower: dict[str, Any], upper: dict[str, Any]
) -> None:
    if replaces(lower, upper):
        return
    after_another = node_files.merge(node_files.merge(document, lower), upper)
    assert node_files.merge(document, node_files.merge_patches(lower, upper)) == after_another


@laws
@given(documents, documents, documents)
def test_documents_without_nulls_merge_in_any_grouping(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    if replaces(second, third):
        return
    left = node_files.merge(node_files.merge(first, second), third)
    assert node_files.merge(first, node_files.merge(second, third)) == left


def test_a_null_of_a_node_takes_away_the_programs_value_through_a_pool() -> None:
    merged = node_files.merge_patches({"maxPods": 50}, {"cgroupDriver": None})
    assert node_files.merge({"cgroupDriver": "systemd"}, merged) == {"maxPods": 50}


nested = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=6,
)


@laws
@given(st.dictionaries(text, nested, max_size=3))
def test_yaml_gives_back_what_was_written(document: dict[str, Any]) -> None:
    written = to_yaml(document)
    assert yaml.safe_load(written) == document
    assert written.isascii()


@pytest.mark.parametrize("word", ["y", "N", "1e9", "-1E3", "0o14", "0b1", "1_0e1"])
def test_text_that_kubernetes_reads_as_something_else_is_quoted(word: str) -> None:
    assert to_yaml({"a": word}) == f"a: '{word}'\n"
