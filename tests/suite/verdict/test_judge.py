"""Judging: severity by the clause's keyword, and a check that breaks is never the target's failure."""

from collections.abc import Iterable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from conformance.check.model import CannotJudge, Finding
from conformance.probe.transcript import Transcript
from conformance.verdict.judge import judge, origin_of, weakened
from conformance.verdict.lattice import Verdict
from conformance.verdict.result import Attempt
from tests.suite.made import CLAUSES, check, finding

EMPTY = Transcript(scenario="one", started_wall=0.0, exchanges=(), marks=())


@pytest.mark.parametrize(
    ("clause", "holds", "verdict"),
    [
        ("MUST-1", True, Verdict.PASS),
        ("MUST-1", False, Verdict.FAIL),
        ("MUST-2", False, Verdict.FAIL),
        ("SHOULD-1", True, Verdict.PASS),
        ("SHOULD-1", False, Verdict.WARN),
    ],
)
def test_severity_comes_from_the_clause(clause: str, holds: bool, verdict: Verdict) -> None:
    result = judge(check(findings=[finding(clause, holds=holds)], clauses=(clause,)), EMPTY, CLAUSES)
    assert result.verdict is verdict and result.clauses == {clause: verdict}


def test_one_violation_among_many_findings_counts() -> None:
    found = [finding(), finding(holds=False), finding()]
    assert judge(check(findings=found), EMPTY, CLAUSES).verdict is Verdict.FAIL


def test_no_finding_is_not_testable() -> None:
    assert judge(check(), EMPTY, CLAUSES).verdict is Verdict.NOT_TESTABLE


def test_a_clause_without_a_finding_is_not_testable() -> None:
    result = judge(check(findings=[finding()], clauses=("MUST-1", "MUST-2")), EMPTY, CLAUSES)
    assert result.verdict is Verdict.NOT_TESTABLE and "MUST-2" in result.reason


def test_a_missing_prerequisite_is_not_testable() -> None:
    def lacking(transcript: Transcript) -> Iterable[Finding]:
        raise CannotJudge("the twin never came")

    result = judge(check(findings=lacking), EMPTY, CLAUSES)
    assert (result.verdict, result.reason) == (Verdict.NOT_TESTABLE, "the twin never came")


def test_an_exception_in_a_check_is_ours() -> None:
    def broken(transcript: Transcript) -> Iterable[Finding]:
        yield finding(holds=False)
        raise KeyError("oops")

    result = judge(check(findings=broken), EMPTY, CLAUSES)
    assert result.verdict is Verdict.HARNESS_ERROR and "KeyError" in result.reason
    assert "/" not in result.reason


@pytest.mark.parametrize("clauses", [("MUST-2",), ("MUST-1", "GONE-1")])
def test_a_finding_or_a_clause_from_nowhere_is_ours(clauses: tuple[str, ...]) -> None:
    result = judge(check(findings=[finding()], clauses=clauses), EMPTY, CLAUSES)
    assert result.verdict is Verdict.HARNESS_ERROR


def test_weakening_keeps_violations_and_takes_passes_away() -> None:
    kept = weakened(
        judge(check(findings=[finding(holds=False)]), EMPTY, CLAUSES), Verdict.NOT_TESTABLE, "cut"
    )
    lost = weakened(judge(check(findings=[finding()]), EMPTY, CLAUSES), Verdict.NOT_TESTABLE, "cut")
    assert (kept.verdict, lost.verdict) == (Verdict.FAIL, Verdict.NOT_TESTABLE)
    assert lost.clauses == {"MUST-1": Verdict.NOT_TESTABLE}


def test_findings_count_for_their_own_clause() -> None:
    clause = "".join(("MUST", "-2"))  # equal to the check's, not the same object
    found = [finding(), finding(clause, holds=False)]
    result = judge(check(findings=found, clauses=("MUST-1", "MUST-2")), EMPTY, CLAUSES)
    assert result.clauses == {"MUST-1": Verdict.PASS, "MUST-2": Verdict.FAIL} and result.reason == ""
    assert result.violations == (result.findings[1],)


@pytest.mark.parametrize("holds", [True, False])
def test_the_reason_names_the_silent_clauses_alone(holds: bool) -> None:
    result = judge(check(findings=[finding(holds=holds)], clauses=("MUST-1", "MUST-2")), EMPTY, CLAUSES)
    assert result.reason == "nothing was found out about MUST-2"


@pytest.mark.parametrize(
    ("clauses", "reason"),
    [
        (("MUST-2",), "findings of clauses that it does not name: ['MUST-1']"),
        (("MUST-1", "GONE-1"), "no clause ['GONE-1']"),
    ],
)
def test_what_is_from_nowhere_is_named(clauses: tuple[str, ...], reason: str) -> None:
    assert judge(check(findings=[finding()], clauses=clauses), EMPTY, CLAUSES).reason == reason


def test_an_exception_is_placed_where_it_was_raised() -> None:
    program = (
        "def f():\n  g()\ndef g():\n  h()\n\n\ndef h():\n  raise RuntimeError('ours')\ndef top():\n  f()\n"
    )
    for name in ("bare.py", "far/away/deep.py"):
        room: dict[str, Any] = {}
        exec(compile(program, name, "exec"), room)  # a file with and one without a folder
        with pytest.raises(RuntimeError) as caught:
            room["top"]()
        assert origin_of(caught.value) == f"RuntimeError: ours at {name.rsplit('/', 1)[-1]}:8"
    assert origin_of(KeyError("never raised")) == "KeyError: 'never raised'"


def test_the_innermost_of_several_places_is_told() -> None:
    third = compile("raise KeyError('deep')", "/c/three.py", "exec")
    second = compile("\nexec(third)", "/b/two.py", "exec")
    first = compile("\n\nexec(second)", "/a/one.py", "exec")
    with pytest.raises(KeyError) as caught:
        exec(first, {"second": second, "third": third})  # our own three lines
    assert origin_of(caught.value) == "KeyError: 'deep' at three.py:1"


def test_a_record_of_an_attempt_says_what_it_was_given_and_stays() -> None:
    attempt = Attempt(number=1, verdict=Verdict.PASS, seconds=0.5, stalled_ms=3)
    assert (attempt.number, attempt.verdict, attempt.transcript) == (1, Verdict.PASS, "")
    with pytest.raises(FrozenInstanceError):
        attempt.number = 2  # type: ignore[misc]
