"""Checks are pure: stored transcripts are judged as they were when they were recorded."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.catalogue.load import catalogue
from conformance.check import registry
from conformance.probe.transcript import Exchange, Transcript
from conformance.report import ndjson
from conformance.verdict.judge import judge
from conformance.verdict.lattice import Verdict
from fixtures.broken.catalogue import DEFECTS

PLACE = Path(__file__).resolve().parents[3] / "fixtures" / "transcripts"
CASES = sorted(path.parent.name for path in PLACE.glob("*/transcript.ndjson"))
CHECKS = registry.collect().checks


def stored(case: str) -> Transcript:
    return ndjson.parse((PLACE / case / "transcript.ndjson").read_bytes())


def verdicts(transcript: Transcript) -> dict[str, Verdict]:
    checks = registry.collect().checks_of(transcript.scenario)
    return {each.id: judge(each, transcript, catalogue().clauses).verdict for each in checks}


def failing(case: str) -> set[str]:
    scenario = case.removesuffix("_fail")
    defect = DEFECTS[(PLACE / case / "defect.txt").read_text(encoding="utf-8").strip()]
    return {name for name in defect.fails if CHECKS[name].scenario == scenario}


@pytest.mark.parametrize("case", [case for case in CASES if not case.endswith("_fail")])
def test_the_reference_passes(case: str) -> None:
    assert set(verdicts(stored(case)).values()) == {Verdict.PASS}


@pytest.mark.parametrize("case", [case for case in CASES if case.endswith("_fail")])
def test_the_defect_is_seen(case: str) -> None:
    seen = {
        name for name, verdict in verdicts(stored(case)).items() if verdict in (Verdict.FAIL, Verdict.WARN)
    }
    assert seen == failing(case) != set()


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_nothing_is_concluded_from_an_empty_transcript(check: str) -> None:
    empty = Transcript(scenario=CHECKS[check].scenario, started_wall=0.0, exchanges=(), marks=())
    assert judge(CHECKS[check], empty, catalogue().clauses).verdict is Verdict.NOT_TESTABLE


def damaged(exchange: Exchange, rng: random.Random) -> Exchange:
    """The exchange cut somewhere, with bytes changed in what is left."""
    pieces = []
    for piece in exchange.received[: rng.randint(0, len(exchange.received))]:
        body = bytearray(piece.body)
        for _ in range(rng.randint(0, 3) if body else 0):
            body[rng.randrange(len(body))] = rng.choice(b'\0\n\r"{}[],:x0-9\xff')
        pieces.append(replace(piece, body=bytes(body)))
    return replace(exchange, received=tuple(pieces))


@pytest.mark.parametrize("case", CASES)
def test_a_damaged_transcript_breaks_no_check(case: str) -> None:
    whole = stored(case)
    rng = random.Random(case)
    for _ in range(25):
        exchanges = tuple(damaged(each, rng) for each in whole.exchanges if rng.random() < 0.9)
        marks = tuple(each for each in whole.marks if rng.random() < 0.95)
        transcript = replace(whole, exchanges=exchanges, marks=marks)
        for check in registry.collect().checks_of(transcript.scenario):
            found = judge(check, transcript, catalogue().clauses)
            assert found.verdict is not Verdict.HARNESS_ERROR, f"{check.id}: {found.reason}"
