"""Judging: severity by the clause's keyword, and a check that breaks is never the target's failure."""

from collections.abc import Iterable

import pytest

from conformance.check.model import CannotJudge, Finding
from conformance.probe.transcript import Transcript
from conformance.verdict.judge import judge, weakened
from conformance.verdict.lattice import Verdict
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
