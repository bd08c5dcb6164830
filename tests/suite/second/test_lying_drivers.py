"""Real lying drivers before a real server: each lie is seen, and nothing is said about the target."""

import json
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from conformance import acting
from conformance.check.model import Effect
from conformance.probe import honesty, powers
from conformance.target.model import DriverSpec, Target
from tests.suite.made import scenario
from tests.suite.mutants.bench import kit_for
from tests.suite.second.serving import ROOT, second

LYING = str(ROOT / "fixtures" / "drivers" / "lying.py")
EXAMS = {
    "publish": honesty.examine,
    "publish_other": honesty.examine,
    "drop_streams": honesty.examine,
    **dict.fromkeys(("evict", "advance_clock", "stop", "start", "wire", "signing_key"), powers.examine),
}


def through(target: Target, lie: str) -> Target:
    """The target, its driver one that lies in that way."""
    spec = DriverSpec(kind="command", command=(sys.executable, LYING, lie, *target.driver.command))
    return replace(target, driver=spec, may_disrupt=True, ephemeral=True)


async def lies_of(target: Target, lie: str, attempt: int) -> tuple[str, ...]:
    async with AsyncExitStack() as stack:
        kit = await kit_for(target, ("stream",), stack)
        exam = scenario(lie, EXAMS[lie], effect=Effect.DISRUPTIVE, budget=50)
        acted = await acting.act(exam, kit, attempt)
    assert acted.obstacle is None, acted.reason
    assert not acted.transcript.marked("honesty.unexamined")
    return honesty.lies(acted.transcript)


@pytest.mark.parametrize("lie", sorted(EXAMS))
async def test_every_lie_is_seen_and_the_truth_is_none(
    lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(powers, "RETURNS", 3)
    monkeypatch.setattr(honesty, "SEEN_SECONDS", 1.0)
    monkeypatch.setattr(honesty, "ENDED_SECONDS", 1.0)
    monkeypatch.setattr(powers, "SEEN_SECONDS", 1.0)
    async with second(tmp_path) as target:
        honest = replace(target, may_disrupt=True, ephemeral=True)
        assert await lies_of(honest, lie, 1) == ()
        found = await lies_of(through(target, lie), lie, 2)
    word = "published" if lie.startswith("publish") else {"drop_streams": "ended"}.get(lie, repr(lie))
    assert found and all(word in each for each in found), found


async def test_a_lie_ends_the_run_and_says_nothing_about_the_target(tmp_path: Path) -> None:
    async with second(tmp_path) as target:
        command = [sys.executable, "-m", "conformance", "run", str(tmp_path / "target.toml")]
        driver = " ".join((sys.executable, LYING, "evict", *target.driver.command))
        command += ["--driver", driver, "--allow", "disruptive", "--select", "CUR-014", "--select", "CUR-001"]
        command += ["--out", str(tmp_path / "run")]
        done = await trio.run_process(command, cwd=ROOT, capture_stdout=True, check=False)
    assert done.returncode == 4, done.stdout
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    verdicts = {each["id"]: each["verdict"] for each in run["checks"]}
    assert verdicts == {"CUR-014": "harness_error", "CUR-001": "harness_error"}
    assert any("the driver said that it did 'evict'" in each for each in run["footer"]["reasons"])
