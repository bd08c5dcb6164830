"""Null servers keep no clause, so nothing may pass on one."""

import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import pytest
import trio

from conformance.check import registry
from conformance.target.model import Identity, Target
from conformance.verdict.lattice import Verdict
from fixtures.broken import null
from tests.suite.mutants import bench

ROOT = Path(__file__).resolve().parents[3]
NODE_ID = "0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a2"
LABELS = ("operator", "operator_agent", "node_a", "node_b", "node_other", "revoked")

# Hundreds of generated requests, and long looks at whatever flows: they take minutes where nobody answers.
PATIENT = ("contract", "live")


def identities() -> dict[str, Identity]:
    return {
        label: Identity(label=label, credential=f"{label}-credential-of-nobody", node_id=NODE_ID)
        for label in LABELS
    }


@pytest.mark.parametrize("name", sorted(null.SERVERS))
async def test_nothing_passes(name: str, tmp_path: Path) -> None:
    known = registry.collect()
    checks = {each.id: each for each in known.checks.values() if each.profile not in PATIENT}
    judged = {each.scenario for each in checks.values()}
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "fixtures.broken", name, "--port", "0", "--ready-file", str(ready)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    line = await process.stdout.receive_some()
    try:
        url = line.decode().split('"url": "', 1)[1].split('"', 1)[0]
        target = Target(name=name, base_url=url, identities=MappingProxyType(identities()), may_disrupt=True)
        scenarios = [each for each in known.scenarios.values() if each.name in judged]
        results = await bench.verdicts(target, scenarios, ("stream",), at_once=len(scenarios), apart=False)
    finally:
        process.kill()
        await process.wait()
    assert set(results) >= set(checks)
    assert [each.id for each in results.values() if each.verdict in (Verdict.PASS, Verdict.WARN)] == []
    assert [each for each in results.values() if each.verdict is Verdict.HARNESS_ERROR] == []
