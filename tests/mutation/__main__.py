"""Mutates what verdicts rest on: `python -m tests.mutation --tool PATH [--jobs N] [MODULE …]`.

Exit codes: 0 every mutant is killed or has its reason; 1 one is not; 2 usage; 3 the tool or the tests broke.
An interrupted run goes on where it was. docs/mutation.md is written when all modules were good.
"""

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutation import report, session
from tests.mutation.session import CannotMutate, Outcome
from tests.mutation.targets import TARGETS

_KEPT = session.ROOT / "busproof-runs" / "mutation"


def main(arguments: list[str]) -> int:
    """A line for each module, then what is wrong."""
    options = _options(arguments)
    modules = options.modules or list(TARGETS)
    with tempfile.TemporaryDirectory(prefix="mutation-") as room, ThreadPoolExecutor(options.jobs) as pool:

        def one(module: str) -> Outcome:
            outcome = session.explore(options.tool, module, TARGETS[module], Path(room), _KEPT)
            print(f"{module}: {dict(outcome.counts)}", flush=True)
            return outcome

        try:
            outcomes = list(pool.map(one, modules))
        except CannotMutate as broken:
            print(broken, file=sys.stderr)
            return 3
    known = report.reasons()
    wrong = report.complaints(outcomes, known)
    print("\n".join(wrong))
    if not wrong and modules == list(TARGETS):
        report.DOCUMENT.write_text(report.document(outcomes, known), encoding="utf-8")
    return int(bool(wrong))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("modules", nargs="*", choices=[*TARGETS, []], metavar="MODULE")
    parser.add_argument("--tool", type=lambda text: Path(text).resolve(), required=True, help="cosmic-ray")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
