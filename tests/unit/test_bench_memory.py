"""The memory benchmark's own arithmetic: how many objects, and the rows of its table."""

from tests.bench.flood import FLOODS
from tests.bench.memory import MEBIBYTE, Row


def test_a_scale_changes_how_many_objects_there_are_and_not_their_size() -> None:
    whole, tenth = (FLOODS["nodes"].scaled(scale) for scale in (1, 0.1))
    assert (whole.count, whole.title) == (10_000, "10,000 Nodes of 8 KB")
    assert (tenth.count, tenth.title, tenth.size) == (1000, "1,000 Nodes of 8 KB", whole.size)
    assert FLOODS["large"].scaled(0).count == 1


def test_a_row_says_what_a_program_took_more_than_idle() -> None:
    row = Row("a flood", "gate", 67 * MEBIBYTE, 88 * MEBIBYTE)
    assert row.more == 21 * MEBIBYTE
    assert str(row) == "| a flood | gate | 67 | 88 | 21 |"
