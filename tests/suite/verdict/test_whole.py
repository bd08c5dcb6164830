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


def test_reasons_name_what_is_wrong_and_nothing_else() -> None:
    results = [
        without_judgement(FIRST, Verdict.PASS, ""),
        without_judgement(SECOND, Verdict.NOT_TESTABLE, "no driver"),
        without_judgement(OPTION, Verdict.INCONCLUSIVE, ""),
    ]
    under = Circumstances(profiles=("stream",), shortfalls=("the target changed",))
    whole = conclude(results, REGISTRY.checks, catalogue(tuple(REGISTRY.checks)), under)
    assert whole.reasons == ("the target changed", "T-002: not_testable (no driver)", "T-003: inconclusive")
    assert concluded(ALL).reasons == ()
    nothing = concluded(dict.fromkeys(ALL, Verdict.NOT_APPLICABLE))
    assert nothing.reasons == ("profile stream: no check passed",)


def test_clauses_come_out_with_the_worst_that_was_said_of_them() -> None:
    whole = concluded({**ALL, "T-002": Verdict.FAIL})
    assert whole.clauses == {"MUST-1": Verdict.PASS, "MUST-2": Verdict.FAIL, "SHOULD-1": Verdict.PASS}
    assert concluded(ALL, Circumstances(profiles=("pull",))).clauses == {}


@pytest.mark.parametrize("mild", [Verdict.PASS, Verdict.NOT_APPLICABLE])
def test_the_more_severe_of_two_counts_in_whatever_order(mild: Verdict) -> None:
    for verdicts in ((mild, Verdict.WARN), (Verdict.WARN, mild), (mild, Verdict.FAIL), (Verdict.FAIL, mild)):
        results = [without_judgement(FIRST, verdict, "") for verdict in verdicts]
        whole = conclude(
            results, of(scenario(), FIRST).checks, catalogue(), Circumstances(profiles=("stream",))
        )
        worst = next(verdict for verdict in verdicts if verdict is not mild)
        assert whole.clauses == {"MUST-1": worst}


def test_faults_name_each_stranger_once() -> None:
    stranger = CheckResult(id="T-999", verdict=Verdict.PASS, clauses={"MUST-1": Verdict.PASS})
    results = [without_judgement(each, Verdict.PASS, "") for each in REGISTRY.checks.values()]
    under = Circumstances(profiles=("stream",))

    def faults(given: list[CheckResult], known: tuple[str, ...]) -> tuple[str, ...]:
        return conclude(given, REGISTRY.checks, catalogue(known), under).reasons

    names = tuple(REGISTRY.checks)
    assert faults([*results, stranger], names) == ("T-999 was emitted and is not in the registry",)
    assert faults(results, names[:2]) == ("T-003 is not in the catalogue",)
    assert faults(results, (*names, "T-777")) == ("T-777 of the catalogue was never emitted",)
    assert faults(results[:2], ()) == ("T-003 of the catalogue was never emitted",)


def test_a_should_that_could_not_be_tested_is_incomplete() -> None:
    whole = concluded({**ALL, "T-003": Verdict.NOT_TESTABLE})
    assert whole.profiles[0].outcome == "incomplete" and whole.profiles[0].unmet == ()


def test_all_that_is_green_at_once_is_conformant() -> None:
    fourth = check("T-004", clauses=("SHOULD-1",))
    registry = of(scenario(), FIRST, SECOND, OPTION, fourth)
    said = {
        "T-001": Verdict.PASS,
        "T-002": Verdict.PASS,
        "T-003": Verdict.WARN,
        "T-004": Verdict.NOT_APPLICABLE,
    }
    results = [without_judgement(registry.checks[name], verdict, "") for name, verdict in said.items()]
    whole = conclude(
        results, registry.checks, catalogue(tuple(registry.checks)), Circumstances(profiles=("stream",))
    )
    assert whole.profiles[0].outcome == "conformant" and whole.outcome is Outcome.CONFORMANT


@pytest.mark.parametrize("ok", [False, True])
def test_a_selection_of_nothing_applicable_passed_nothing(ok: bool) -> None:
    under = Circumstances(profiles=("stream",), selected=True, select_ok=ok)
    assert concluded({"T-001": Verdict.NOT_APPLICABLE}, under).outcome is Outcome.INCOMPLETE
    assert Circumstances(profiles=()).select_ok is False and Circumstances(profiles=()).selected is False


def _two_profiles(first: str, second: str, verdict: Verdict = Verdict.PASS) -> Whole:
    one, two = check("T-001", profile=first), check("T-002", profile=second, clauses=("MUST-2",))
    registry = of(scenario(), one, two)
    results = [without_judgement(one, verdict, ""), without_judgement(two, Verdict.PASS, "")]
    names = tuple("".join(tuple(each)) for each in (first, second))  # equal, not the same objects
    return conclude(
        results, registry.checks, catalogue(tuple(registry.checks)), Circumstances(profiles=names)
    )


def test_a_profile_holds_its_own_checks_alone() -> None:
    whole = _two_profiles("descoped", "stream", Verdict.FAIL)
    assert [each.outcome for each in whole.profiles] == ["non-conformant", "conformant"]
    assert [sum(each.counts.values()) for each in whole.profiles] == [1, 1]
    whole = _two_profiles("stream", "descoped", Verdict.FAIL)
    assert [each.outcome for each in whole.profiles] == ["non-conformant", "conformant"]


def test_what_was_seen_live_certifies_nothing() -> None:
    whole = _two_profiles("live", "descoped")
    assert [each.outcome for each in whole.profiles] == ["observed", "conformant"]
    assert whole.outcome is Outcome.OBSERVED
    assert _two_profiles("live", "stream", Verdict.FAIL).profiles[0].outcome == "non-conformant"
    assert _two_profiles("live", "stream", Verdict.NOT_TESTABLE).profiles[0].outcome == "incomplete"
