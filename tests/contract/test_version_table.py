"""The table of kubelet versions is what the published Go types say today.

It needs `go` and the Go module proxy: a minute for the modules (2.4 GB of the module cache) when
they are not there yet, 5 s when they are.
"""

import pytest

from node_files.versions import generate

pytestmark = pytest.mark.contract


def test_the_table_made_again_is_the_table() -> None:
    try:
        made = generate.generate()
    except generate.GenerateError as error:
        pytest.fail(f"the table can't be made again: {error}")
    assert made.splitlines() == generate.TABLE.read_text().splitlines(), (
        "run: .venv/bin/python -m node_files.versions.generate, and look at what git diff shows"
    )
