"""The whole matrix, or the defects named: every planted defect against the suite; writes docs/kill-matrix.md."""

import sys
from pathlib import Path

import trio

from fixtures.broken.catalogue import DEFECTS
from tests.suite.mutants import bench


def main(names: list[str]) -> int:
    """Prints a line for each defect; 1 if one was not caught as it said."""
    chosen = [DEFECTS[name] for name in names] or list(DEFECTS.values())
    outcomes: list[bench.Outcome] = []
    for defect in chosen:
        outcome = trio.run(bench.run, defect, Path("/tmp/g-mutant.log"))
        outcomes.append(outcome)
        print(
            f"{'ok ' if not outcome.surprise else 'NOT'} {outcome.seconds:5.1f} s {defect.name}: {outcome.surprise}",
            flush=True,
        )
    return int(any(each.surprise for each in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
