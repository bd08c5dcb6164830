"""Green by omission: every way to leave something out ends in something else than 0."""

from collections.abc import Mapping

import pytest

from conformance.verdict.exits import Outcome, code
from conformance.verdict.judge import without_judgement
from conformance.verdict.lattice import Verdict
from conformance.verdict.result import CheckResult
from conformance.verdict.whole import Circumstances, Whole, conclude
from tests.suite.made import catalogue, check, of, scenario

FIRST, SECOND = check("T-001"), check("T-002", clauses=("MUST-2",))
OPTION = check("T-003", clauses=("SHOULD-1",))
REGISTRY = of(scenario(), FIRST, SECOND, OPTION)
ALL = {"T-001": Verdict.PASS, "T-002": Verdict.PASS, "T-003": Verdict.PASS}


def concluded(verdicts: Mapping[str, Verdict], under: Circumstances | None = None) -> Whole:
    results = [without_judgement(REGISTRY.checks[name], verdict, "") for name, verdict in verdicts.items()]
    under = under or Circumstances(profiles=("stream",))
    return conclude(results, REGISTRY.checks, catalogue(tuple(REGISTRY.checks)), under)


def test_all_passed_is_conformant() -> None:
    whole = concluded(ALL)
    assert whole.outcome is Outcome.CONFORMANT and whole.profiles[0].outcome == "conformant"


def test_a_should_left_undone_is_conformant() -> None:
    assert concluded({**ALL, "T-003": Verdict.WARN}).outcome is Outcome.CONFORMANT


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (Verdict.FAIL, Outcome.NON_CONFORMANT),
        (Verdict.NOT_TESTABLE, Outcome.INCOMPLETE),
        (Verdict.INCONCLUSIVE, Outcome.INCOMPLETE),
        (Verdict.HARNESS_ERROR, Outcome.HARNESS_ERROR),
    ],
)
def test_a_must_that_is_not_satisfied_is_never_green(verdict: Verdict, outcome: Outcome) -> None:
    whole = concluded({**ALL, "T-002": verdict})
    assert whole.outcome is outcome and code(whole.outcome) != 0
    assert whole.profiles[0].unmet == ("MUST-2",)


def test_zero_checks_is_incomplete() -> None:
    assert conclude([], {}, catalogue(), Circumstances(profiles=("stream",))).outcome is Outcome.INCOMPLETE


def test_a_requested_profile_without_checks_is_incomplete() -> None:
    whole = concluded(ALL, Circumstances(profiles=("stream", "pull")))
    assert whole.outcome is Outcome.INCOMPLETE
    assert [each.outcome for each in whole.profiles] == ["conformant", "incomplete"]


def test_nothing_applicable_is_incomplete() -> None:
    assert concluded(dict.fromkeys(ALL, Verdict.NOT_APPLICABLE)).outcome is Outcome.INCOMPLETE


def test_options_that_pass_are_no_profile() -> None:
    whole = concluded({**dict.fromkeys(ALL, Verdict.NOT_APPLICABLE), "T-003": Verdict.PASS})
    assert whole.outcome is Outcome.INCOMPLETE


def test_a_catalogue_id_never_emitted_is_our_error() -> None:
    whole = concluded({"T-001": Verdict.PASS, "T-003": Verdict.PASS})
    assert (
        whole.outcome is Outcome.HARNESS_ERROR and "T-002 of the catalogue was never emitted" in whole.reasons
    )


def test_an_emitted_id_that_is_not_in_the_catalogue_is_our_error() -> None:
    stranger = CheckResult(id="T-999", verdict=Verdict.PASS, clauses={"MUST-1": Verdict.PASS})
    results = [without_judgement(each, Verdict.PASS, "") for each in REGISTRY.checks.values()]
    under = Circumstances(profiles=("stream",))
    whole = conclude([*results, stranger], REGISTRY.checks, catalogue(), under)
    assert whole.outcome is Outcome.HARNESS_ERROR
    whole = conclude(results, REGISTRY.checks, catalogue(("T-001", "T-002")), under)
    assert whole.outcome is Outcome.HARNESS_ERROR


def test_of_two_results_of_one_id_the_most_severe_counts() -> None:
    results = [
        without_judgement(FIRST, verdict, "") for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.PASS)
    ]
    registry = of(scenario(), FIRST)
    whole = conclude(results, registry.checks, catalogue(), Circumstances(profiles=("stream",)))
    assert whole.outcome is Outcome.NON_CONFORMANT


@pytest.mark.parametrize(
    ("ok", "outcome"), [(False, Outcome.SELECTION_PASSED), (True, Outcome.SELECTION_PASSED_OK)]
)
def test_a_selection_never_certifies(ok: bool, outcome: Outcome) -> None:
    under = Circumstances(profiles=("stream",), selected=True, select_ok=ok)
    whole = concluded({"T-001": Verdict.PASS}, under)
    assert whole.outcome is outcome and whole.profiles[0].outcome == "selection passed"
    assert code(concluded({"T-001": Verdict.FAIL}, under).outcome) == 1


def test_a_shortfall_is_incomplete_and_a_fault_is_ours() -> None:
    changed = Circumstances(profiles=("stream",), shortfalls=("the target changed",))
    broken = Circumstances(profiles=("stream",), faults=("the driver lies",))
    assert concluded(ALL, changed).outcome is Outcome.INCOMPLETE
    assert concluded(ALL, broken).outcome is Outcome.HARNESS_ERROR


def test_a_failure_stays_a_failure_when_the_target_left() -> None:
    changed = Circumstances(profiles=("stream",), shortfalls=("the target went away",))
    assert concluded({**ALL, "T-001": Verdict.FAIL}, changed).outcome is Outcome.NON_CONFORMANT
