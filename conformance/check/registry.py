"""The registry: every scenario and check that there is, by an explicit list of modules."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeVar

from conformance.check import (
    contract,
    contract_doors,
    crashes,
    cursors,
    descoped,
    disclosures,
    doors,
    enduring,
    envelopes,
    every_event,
    evicting,
    exchanges,
    faults,
    gates,
    impostors,
    joining,
    keepalive,
    keyless,
    ladder,
    lifecycle,
    live,
    live_flow,
    parity,
    pressure,
    problems,
    pull,
    replay,
    replicas,
    rotation,
    rotations,
    tail,
    window,
)
from conformance.check.model import Check, Scenario

T = TypeVar("T")

# A module of checks has two tuples, SCENARIOS and CHECKS; a new module is entered here, nowhere else.
MODULES: tuple["CheckModule", ...] = (
    contract,
    contract_doors,
    crashes,
    cursors,
    descoped,
    disclosures,
    doors,
    enduring,
    envelopes,
    every_event,
    evicting,
    exchanges,
    faults,
    gates,
    impostors,
    joining,
    keepalive,
    keyless,
    ladder,
    lifecycle,
    live,
    live_flow,
    parity,
    pressure,
    problems,
    pull,
    replay,
    replicas,
    rotation,
    rotations,
    tail,
    window,
)


class CheckModule(Protocol):
    """What a module of checks looks like."""

    SCENARIOS: tuple[Scenario, ...]
    CHECKS: tuple[Check, ...]


class BrokenRegistry(Exception):
    """Two checks or scenarios of one name, or a check of a scenario that is not there: our own fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Scenarios and checks by name, in the order of their names."""

    scenarios: Mapping[str, Scenario]
    checks: Mapping[str, Check]

    def checks_of(self, scenario: str) -> tuple[Check, ...]:
        """The checks that judge this scenario's transcript."""
        return tuple(check for check in self.checks.values() if check.scenario == scenario)


def gather(scenarios: Iterable[Scenario], checks: Iterable[Check]) -> Registry:
    """A registry of these; raises BrokenRegistry."""
    by_name = _unique("scenario", [(each.name, each) for each in scenarios])
    by_id = _unique("check", [(each.id, each) for each in checks])
    for check in by_id.values():
        if check.scenario not in by_name:
            raise BrokenRegistry(f"{check.id} judges a scenario that is not there: {check.scenario}")
        if not check.clauses:
            raise BrokenRegistry(f"{check.id} names no clause")
    return Registry(scenarios=by_name, checks=by_id)


def collect() -> Registry:
    """The registry of this suite; raises BrokenRegistry."""
    return gather(
        (scenario for module in MODULES for scenario in module.SCENARIOS),
        (check for module in MODULES for check in module.CHECKS),
    )


def _unique(what: str, named: Sequence[tuple[str, T]]) -> Mapping[str, T]:
    found: dict[str, T] = {}
    for name, each in sorted(named, key=lambda pair: pair[0]):
        if name in found:
            raise BrokenRegistry(f"the {what} {name} stands twice")
        found[name] = each
    return MappingProxyType(found)
