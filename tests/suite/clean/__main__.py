"""Every clean run in a row, written to docs/evidence/clean-runs.json: `python -m tests.suite.clean`.

An interrupted row goes on where it was. Exit codes: 0 all were clean; 1 one was not; 2 what would be judged
differs from the commit that the record would name.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from conformance.catalogue import load
from tests.suite.clean import series
from tests.suite.clean.series import Run

_EVIDENCE = series.ROOT / "docs" / "evidence" / "clean-runs.json"
_KEPT = series.ROOT / "busproof-runs" / "clean"


def main() -> int:
    """A line for each run on standard output, then the record."""
    changed = _git("status", "--porcelain", "--", *series.JUDGED)
    if changed:
        print(f"commit these first, so that the record can name what was run:\n{changed}", file=sys.stderr)
        return 2
    runs: list[Run] = []
    for run in series.in_a_row(series.SERIES, _kept()):
        runs.append(run)
        ending = "clean" if run.clean else f"NOT clean, {', '.join(run.trouble) or 'see its exit code'}"
        print(f"{run.series} {run.number}: exit {run.exit_code}, {run.seconds} s, {ending}", flush=True)
    write(_EVIDENCE, runs)
    return int(not all(run.clean for run in runs))


def write(evidence: Path, runs: Sequence[Run]) -> None:
    """The record: what was run, and every run; a broken row is recorded as such."""
    record: dict[str, Any] = {
        "command": "make clean-runs",
        "commit": _git("rev-parse", "HEAD"),
        "catalogue": load.catalogue().digest,
        "exit_code": int(not all(run.clean for run in runs)),
        "seconds": round(sum(run.seconds for run in runs), 1),
        "series": {
            each.name: {
                "asked": each.runs,
                "clean": sum(run.clean for run in runs if run.series == each.name),
                "busy_processes": each.spinning,
                "digests_of_verdicts": sorted({r.digest_of_verdicts for r in runs if r.series == each.name}),
            }
            for each in series.SERIES
        },
        "runs": [asdict(run) for run in runs],
    }
    evidence.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _kept() -> Path:
    """The runs so far of exactly this tree."""
    tree = _git("ls-tree", "HEAD", "--", *series.JUDGED)
    return _KEPT / f"{sha256(tree.encode()).hexdigest()[:16]}.jsonl"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=series.ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
