"""Runs planted defects against the suite: all, those named, or a shard; the whole writes docs/kill-matrix.md.

python -m tests.suite.mutants [--shard 1/4] [--resume] [NAME …]
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import trio

from fixtures.broken.catalogue import DEFECTS
from tests.suite.mutants import bench, matrix
from tests.suite.mutants.matrix import Line

# Outcomes of defects that were caught as they said, kept so that an interrupted run can be resumed.
_STORE = matrix.ROOT / "busproof-runs" / "mutants"

# A stalled machine can make a timed check miss; a defect is run once more before it counts as not caught.
_ATTEMPTS = 2


def main(arguments: list[str]) -> int:
    """A line for each defect on standard output; 1 if one was not caught as it said."""
    options = _options(arguments)
    names = options.names or matrix.shard(list(DEFECTS), *map(int, options.shard.split("/")))
    done = _kept() if options.resume else {}
    wrong = 0
    for name in names:
        if name in done:
            continue
        outcome = _run(name)
        wrong += bool(outcome.surprise)
        _tell(f"{'NOT' if outcome.surprise else 'ok '} {outcome.seconds:5.1f} s {name}: {outcome.surprise}")
        if not outcome.surprise:
            line = Line(name=name, caught_by=tuple(sorted(outcome.failed)), seconds=round(outcome.seconds, 1))
            done[name] = line
            _keep(line)
    if done.keys() >= DEFECTS.keys():
        matrix.write(done)
        _tell(f"all {len(DEFECTS)} defects are caught; docs/kill-matrix.md is written")
    return int(wrong > 0)


def _run(name: str) -> bench.Outcome:
    for _ in range(_ATTEMPTS):
        outcome = trio.run(bench.run, DEFECTS[name])
        if not outcome.surprise:
            break
    return outcome


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.suite.mutants")
    parser.add_argument("names", nargs="*", choices=[*DEFECTS, []], metavar="NAME")
    parser.add_argument("--shard", default="1/1", metavar="I/N")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args(arguments)


def _kept() -> dict[str, Line]:
    """What was kept under the present catalogue."""
    return {name: _read(_place(name)) for name in DEFECTS if _place(name).exists()}


def _read(path: Path) -> Line:
    told = json.loads(path.read_bytes())
    return Line(name=told["name"], caught_by=tuple(told["caught_by"]), seconds=told["seconds"])


def _keep(line: Line) -> None:
    _STORE.mkdir(parents=True, exist_ok=True)
    _place(line.name).write_text(json.dumps(asdict(line)), encoding="utf-8")


def _place(name: str) -> Path:
    return _STORE / f"{name}-{matrix.defect_digest(DEFECTS[name])[:12]}.json"


def _tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
