"""One seed means one order, whatever the hash seed of the interpreter."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def planned(hash_seed: str, seed: str) -> str:
    command = [sys.executable, "-m", "conformance", "run", "--reference", "--plan", "--seed", seed]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_the_same_seed_gives_the_same_order() -> None:
    first = planned("1", "42")
    assert first == planned("2", "42")
    assert first != planned("1", "43")
