"""What holds of the planted defects before any of them is run."""

import pytest

from conformance.catalogue.load import catalogue
from conformance.check import registry
from fixtures.broken.catalogue import DEFECTS
from fixtures.broken.defect import Defect
from tests.suite.mutants import bench, matrix

CHECKS = registry.collect().checks
ALL = [pytest.param(each, id=each.name) for each in DEFECTS.values()]


@pytest.mark.parametrize("defect", ALL)
def test_a_defect_names_what_exists(defect: Defect) -> None:
    assert set(defect.fails) <= set(CHECKS)
    assert set(defect.breaks) <= set(catalogue().clauses)
    assert set(defect.only) <= set(registry.collect().scenarios)
    assert defect.sentence.endswith(".")
    assert defect.sentence.count(". ") == 0
    assert all(defect.fails.values()), "each failure has its reason"


@pytest.mark.parametrize("defect", ALL)
def test_a_check_of_its_own_clause_joins_it(defect: Defect) -> None:
    joined = {each.name for each in bench.scenarios_for(defect)}
    own = [
        name
        for name in defect.fails
        if set(CHECKS[name].clauses) & set(defect.breaks) and CHECKS[name].scenario in joined
    ]
    assert own


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_every_check_catches_something_of_its_own_clause(check: str) -> None:
    caught = [
        name
        for name in matrix.killers(check)
        if set(DEFECTS[name].breaks) & set(CHECKS[check].clauses)
        and CHECKS[check].scenario in {each.name for each in bench.scenarios_for(DEFECTS[name])}
    ]
    assert caught


def test_the_catalogue_names_them() -> None:
    assert matrix.CHECKS.read_text(encoding="utf-8") == matrix.checks_yaml()


def test_the_matrix_is_of_this_catalogue() -> None:
    assert matrix.digest() in matrix.MATRIX.read_text(encoding="utf-8")
