"""Every MUST on the wire has a check or a stated reason why not; every check names clauses that exist."""

from pathlib import Path

import pytest
import yaml

import conformance.catalogue
from conformance.catalogue.load import catalogue
from conformance.check import registry

PLACE = Path(str(conformance.catalogue.__file__)).parent
UNCHECKED = yaml.safe_load((PLACE / "unchecked.yaml").read_text(encoding="utf-8"))["unchecked"]
CHECKS = registry.collect().checks
NAMED = {clause for check in CHECKS.values() for clause in check.clauses}


def test_every_must_is_answered_for() -> None:
    musts = {each.id for each in catalogue().clauses.values() if each.binding and each.observable == "wire"}
    assert musts - NAMED == {each["id"] for each in UNCHECKED}
    assert all(each["reason"] for each in UNCHECKED)


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_a_check_is_well_made(check: str) -> None:
    each = CHECKS[check]
    assert set(each.clauses) <= set(catalogue().clauses)
    assert each.profile in catalogue().profiles
    assert each.title and not each.title.endswith(".")


@pytest.mark.parametrize("name", sorted(registry.collect().scenarios))
def test_a_scenario_is_judged_and_says_its_budget(name: str) -> None:
    scenario = registry.collect().scenarios[name]
    assert registry.collect().checks_of(name)
    assert scenario.budget_seconds > 0
    assert scenario.budget_reason
