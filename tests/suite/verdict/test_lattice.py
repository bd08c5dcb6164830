"""Collapse takes the most severe, over every pair of verdicts."""

from itertools import product

import pytest

from conformance.verdict.lattice import SEVERITY, Verdict, collapse


@pytest.mark.parametrize(("left", "right"), list(product(Verdict, Verdict)))
def test_of_two_the_more_severe_counts(left: Verdict, right: Verdict) -> None:
    assert collapse((left, right)) is SEVERITY[max(SEVERITY.index(left), SEVERITY.index(right))]
    assert collapse((left, right)) is collapse((right, left))


def test_nothing_seen_is_no_pass() -> None:
    assert collapse(()) is Verdict.NOT_TESTABLE


def test_a_failure_outweighs_what_was_not_tested() -> None:
    assert collapse((Verdict.NOT_TESTABLE, Verdict.FAIL, Verdict.PASS)) is Verdict.FAIL


def test_what_an_empty_collapse_is_must_be_said_by_name() -> None:
    with pytest.raises(TypeError):
        collapse([], Verdict.PASS)  # type: ignore[misc]
