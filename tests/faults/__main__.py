"""`make faults`: faults and crashes of the real bus at length, again and again (docs/evidence/faults.json).

The record is written after each run, and a run that was cut off goes on where the record ends, as long as the
commit is the same.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from tests.faults.scale import VARIABLE
from tests.process import ROOT

_EVIDENCE = ROOT / "docs" / "evidence" / "faults.json"
_TIMEOUT = 900

# What a run is: the outages, fail-overs, orders and restarts, kill -9 at random moments, and a death at each
# step of a batch. `make crash` kills more often.
_TESTS = ("tests/faults", "tests/crash", "tests/real/test_relay_steps.py")
_KILLS = 20

# Files side by side: most of what they do is to wait for processes and for deadlines.
_AT_ONCE = 3


def _commit() -> str:
    asked = ["git", "rev-parse", "HEAD"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _begun(command: str, commit: str) -> list[dict[str, Any]]:
    """The runs of a record that this one continues."""
    if not _EVIDENCE.exists():
        return []
    told = json.loads(_EVIDENCE.read_bytes())
    same = (told["command"], told["commit"]) == (command, commit)
    return list(told["runs"]) if same and len(told["runs"]) < told["wanted"] else []


def _write(command: str, commit: str, wanted: int, runs: list[dict[str, Any]]) -> None:
    digest = hashlib.sha256(json.dumps(runs, sort_keys=True).encode()).hexdigest()
    told = {"command": command, "commit": commit, "wanted": wanted, "runs": runs, "digest": digest}
    _EVIDENCE.write_text(json.dumps(told, indent=2) + "\n")


def _run() -> dict[str, Any]:
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *_TESTS]
    command += ["--timeout", str(_TIMEOUT), "-n", str(_AT_ONCE), "--dist", "loadfile", "--durations", "12"]
    how = {VARIABLE: "long", "BUSPROOF_KILLS": str(_KILLS)}
    # Of its own: pytest clears away what other runs beside it left in the ordinary place. Short, for sockets.
    with tempfile.TemporaryDirectory(prefix="f") as room:
        done = subprocess.run(
            [*command, "--basetemp", room],
            cwd=ROOT,
            env={**os.environ, **how},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        print(done.stdout[-8000:])
    last = (done.stdout.strip().splitlines() or [""])[-1]
    return {"exit": done.returncode, "seconds": round(time.monotonic() - began, 1), "said": last}


def main() -> int:
    """1 where a run failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    wanted = parser.parse_args().runs
    command, commit = f"make faults FAULT_RUNS={wanted}", _commit()
    runs = _begun(command, commit)
    while len(runs) < wanted:
        runs.append(_run())
        _write(command, commit, wanted, runs)
        print(f"run {len(runs)} of {wanted}: exit {runs[-1]['exit']}, {runs[-1]['seconds']} s", flush=True)
    return int(any(run["exit"] for run in runs))


if __name__ == "__main__":
    raise SystemExit(main())
