"""`python -m tests.differential --inputs 100000`: the long run. Exit status 1 on a difference."""

import argparse
import itertools
import secrets
import sys
import time

from lab.layout import Layout
from tests.differential.comparison import Tally, build_reader, differences
from tests.differential.generator import Generator


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    reader, tally, began = build_reader(Layout.find().cache), Tally(), time.monotonic()
    inputs = itertools.islice(Generator(arguments.seed), arguments.inputs)
    found = 0
    for found, difference in enumerate(differences(reader, inputs, tally), 1):  # noqa: B007
        print(difference)
    print(
        f"{tally.inputs} inputs in {time.monotonic() - began:.0f} s:"
        f" {tally.accepted_by_go} accepted by Go, {tally.accepted} here, {found} read differently"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
