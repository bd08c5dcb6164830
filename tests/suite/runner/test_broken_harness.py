"""A harness that breaks, wherever it breaks, is never the target's failure and never a pass."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.agent import envelope
from conformance.probe import client, decoder, recorder, stage
from conformance.probe.transcript import Transcript
from conformance.verdict import judge
from fixtures.broken.catalogue import DEFECTS
from tests.suite.made import answered, check, scenario
from tests.suite.mutants import bench
from tests.suite.runner.test_run import ran, verdicts

BREAKS: dict[str, tuple[Any, str]] = {
    "the client cannot build a request": (client.Client, "build"),
    "the client cannot send": (client.Client, "drive"),
    "the decoder stumbles over an answer": (decoder.ResponseDecoder, "feed"),
    "the recorder opens no tape": (recorder.Recorder, "open"),
    "the recorder cannot end a tape": (recorder.Tape, "end"),
    "the recorder takes no bytes": (recorder.Tape, "received"),
    "the stage cannot ask": (stage.Stage, "request"),
    "severity cannot be told": (judge, "of_finding"),
    "findings cannot be weighed": (judge, "_weighed"),
}


def broken(*arguments: object, **named: object) -> Any:
    raise ZeroDivisionError("our own bug")


@pytest.mark.parametrize("name", BREAKS)
async def test_it_is_a_harness_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute = BREAKS[name]
    monkeypatch.setattr(owner, attribute, broken)
    record = await ran(tmp_path, scenario(), check(findings=answered))
    assert verdicts(record) == {"T-001": "harness_error"} and record.exit_code == 4
    assert "our own bug" in record.results[0].reason


async def test_a_gathering_that_breaks_is_one(tmp_path: Path) -> None:
    def gather(others: Iterable[Transcript], own: Transcript) -> Transcript:
        raise ZeroDivisionError("our own bug")

    record = await ran(tmp_path, replace(scenario(), gathers=gather), check(findings=answered))
    assert verdicts(record) == {"T-001": "harness_error"} and record.exit_code == 4


async def test_a_verifier_that_believes_everything_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No crash tells of this one: only a server that signs wrongly, which the suite must catch, does."""
    defect = DEFECTS["signed-digest"]
    monkeypatch.setattr(envelope, "signed", lambda message, signature, key: True)
    outcome = await bench.run(defect)
    assert "ENV-007" in outcome.expected - outcome.failed
