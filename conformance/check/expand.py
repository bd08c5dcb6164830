"""From claims to a plan: which scenarios are acted, each once, and which checks are settled without. Pure."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

from conformance.check.model import Check, Effect, Scenario
from conformance.check.registry import Registry
from conformance.target import reach
from conformance.target.model import Claims


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will do. `together` run side by side, the longest first; `alone` one by one afterwards.

    `last` gather from the transcripts of all others.

    `checks` are to be judged, by scenario. `unclaimed` are not applicable; `out_of_reach` are not testable,
    with the reason.
    """

    together: tuple[Scenario, ...]
    alone: tuple[Scenario, ...]
    checks: Mapping[str, tuple[Check, ...]]
    unclaimed: tuple[Check, ...]
    out_of_reach: tuple[tuple[Check, str], ...]
    unmatched: tuple[str, ...] = ()
    last: tuple[Scenario, ...] = ()

    @property
    def acted(self) -> tuple[Scenario, ...]:
        """Every scenario, in order."""
        return (*self.together, *self.alone, *self.last)

    @property
    def empty(self) -> bool:
        """True if the plan has no check at all to answer for."""
        return not self.checks and not self.out_of_reach

    @property
    def expected_seconds(self) -> float:
        """An upper bound: the longest of those side by side, then each of the others."""
        return max((each.budget_seconds for each in self.together), default=0.0) + sum(
            each.budget_seconds for each in (*self.alone, *self.last)
        )


def expand(registry: Registry, claims: Claims, *, seed: int, select: Sequence[str] | None = None) -> Plan:
    """The plan for these claims; with `select` only checks that a pattern matches are in it."""
    wanted = [each for each in registry.checks.values() if select is None or _matches(each, select)]
    claimed = [each for each in wanted if _applies(each, registry, claims)]
    lacks = {each.id: _lack(registry.scenarios[each.scenario], claims) for each in claimed}
    acted = [each for each in claimed if not lacks[each.id]]
    names = sorted({each.scenario for each in acted})
    random.Random(f"order:{seed}").shuffle(names)  # noqa: S311  # an order, no secret
    scenarios = sorted((registry.scenarios[name] for name in names), key=lambda each: -each.budget_seconds)
    ordinary = [each for each in scenarios if each.gathers is None]
    return Plan(
        together=tuple(each for each in ordinary if each.effect is not Effect.DISRUPTIVE),
        alone=tuple(each for each in ordinary if each.effect is Effect.DISRUPTIVE),
        last=tuple(each for each in scenarios if each.gathers is not None),
        checks=MappingProxyType(
            {name: tuple(each for each in acted if each.scenario == name) for name in sorted(names)}
        ),
        unclaimed=tuple(each for each in wanted if not _applies(each, registry, claims)),
        out_of_reach=tuple((each, lacks[each.id]) for each in claimed if lacks[each.id]),
        unmatched=tuple(
            pattern
            for pattern in select or ()
            if not any(_matches(each, (pattern,)) for each in registry.checks.values())
        ),
    )


def inapplicable(check: Check, registry: Registry, claims: Claims) -> str:
    """Why a check does not apply: its profile is not claimed, or the target has no such thing."""
    if check.profile not in claims.profiles:
        return f"{check.profile} is not claimed"
    missing = sorted(registry.scenarios[check.scenario].needs & claims.lacks & reach.PARTS)
    return f"the target has no {', no '.join(missing)}" if missing else ""


def _applies(check: Check, registry: Registry, claims: Claims) -> bool:
    return not inapplicable(check, registry, claims)


def _matches(check: Check, patterns: Sequence[str]) -> bool:
    names = (check.id, check.scenario, *check.clauses)
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _lack(scenario: Scenario, claims: Claims) -> str:
    if scenario.grade > claims.grade:
        reasons = f" ({'; '.join(claims.grade_reasons)})" if claims.grade_reasons else ""
        return f"needs {scenario.grade.name}, the target gives {claims.grade.name}{reasons}"
    if missing := sorted(scenario.needs & claims.lacks):
        return f"needs {', '.join(missing)}, which the driver does not offer"
    if scenario.effect not in claims.effects:
        return f"its effect is {scenario.effect.value}, which is not allowed on this target"
    return ""
