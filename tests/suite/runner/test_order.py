"""One seed means one order, whatever the hash seed of the interpreter."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert _acts(first) != _acts(planned("1", "43")) and _acts(first)


def test_the_plan_names_the_bound_of_generated_requests() -> None:
    lines = _acts(planned("1", "42"))
    assert [line for line in lines if "contract_writes" in line and "900 requests" in line]
    assert [line for line in lines if "contract_reads" in line and "300 requests" in line]
    assert [line for line in lines if line.startswith("last: exchanges")]


def _acts(plan: str) -> list[str]:
    return [line for line in plan.splitlines() if line.startswith(("together", "alone", "last"))]


def test_a_terminated_run_claims_nothing_and_leaves_no_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "conformance", "run", "--reference", "--out", str(tmp_path / "r")]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None and run.stderr is not None
        heading = run.stdout.readline()
        port = int(re.findall(r"127\.0\.0\.1:(\d+)", heading)[0])
        socket.create_connection(("127.0.0.1", port)).close()
        run.terminate()
        run.stdout.read()
        assert "interrupted" in run.stderr.read() and run.wait() == 3
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert b'"footer"' not in (tmp_path / "r" / "run.json").read_bytes()
