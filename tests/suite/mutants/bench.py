"""Runs checks against a server with a planted defect, in its own process, and says which of them fail."""

import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import trio

from conformance import acting
from conformance.catalogue.load import catalogue
from conformance.check import registry
from conformance.check.model import Check, Effect, Scenario
from conformance.probe.canary import Canary
from conformance.probe.client import Client
from conformance.probe.clock import RunClock
from conformance.probe.ledger import FileLedger
from conformance.probe.policy import Restraint
from conformance.probe.transcript import Transcript
from conformance.probe.vault import Vault
from conformance.target import driver as drivers
from conformance.target import file, reach, reference
from conformance.target.model import Claims, Target
from conformance.verdict.judge import judge, without_judgement
from conformance.verdict.result import CheckResult
from fixtures.broken.defect import Defect
from tests.services import certify, deployment, verbs
from tests.suite import publisher

# suite.md: checks that take longer than 5 s join only the defects of their own clause. These wait, or disturb
# a server for all others.
# `parity` is quick where nothing is wrong; a history that fails is made smaller for seconds.
# What `live` sees is judged by the same functions as what the checks that write see, for the same defects.
LIVE = frozenset({"live_doors", "live_flow", "live_quiet"})
SLOW = frozenset({"keepalive", "slow_reader", "contract_reads", "contract_writes", "parity"}) | LIVE
DESCOPED = "descoped"

AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the checks said about one defect."""

    defect: Defect
    results: Mapping[str, CheckResult]
    seconds: float

    @property
    def failed(self) -> frozenset[str]:
        """The ids of the checks that caught it."""
        return frozenset(name for name, each in self.results.items() if each.violations)

    @property
    def expected(self) -> frozenset[str]:
        """The ids that the defect names, of the checks that joined it."""
        return frozenset(self.defect.fails) & frozenset(self.results)

    @property
    def own(self) -> bool:
        """True if a check of a clause that the defect breaks caught it."""
        checks = registry.collect().checks
        return any(
            set(checks[name].clauses) & set(self.defect.breaks) for name in self.failed & self.expected
        )

    @property
    def surprise(self) -> str:
        """What differs from what the defect said in advance; empty if nothing does."""
        missed, more = self.expected - self.failed, self.failed - self.expected
        parts = [f"{name} says {self.results[name].verdict.value}" for name in sorted(missed)]
        parts += [f"{name} fails, too: {_first(self.results[name])}" for name in sorted(more)]
        return "; ".join(parts)


async def run(defect: Defect, log_file: Path | None = None) -> Outcome:
    """Plants the defect in a fresh server and runs the checks that join it."""
    profiles = (DESCOPED,) if defect.descoped else _all_profiles()
    began = time.monotonic()
    async with _started(defect, profiles, log_file) as target:
        scenarios = scenarios_for(defect)
        async with trio.open_nursery() as nursery:
            if any(each.name == "live_flow" for each in scenarios):
                nursery.start_soon(publisher.publish, target)
            results = await verdicts(target, scenarios, profiles)
            nursery.cancel_scope.cancel()
    return Outcome(defect=defect, results=MappingProxyType(results), seconds=time.monotonic() - began)


@asynccontextmanager
async def _started(defect: Defect, profiles: tuple[str, ...], log_file: Path | None) -> AsyncIterator[Target]:
    launch = ("-m", "fixtures.broken", defect.name)
    if not defect.replicated:
        async with reference.started(
            descoped=defect.descoped, claims=profiles, launch=launch, log_file=log_file
        ) as target:
            yield target
        return
    with tempfile.TemporaryDirectory() as room:
        async with deployment.running(Path(room), launch=launch) as running, trio.open_nursery() as nursery:
            await nursery.start(verbs.serve, Path(room, "verbs.sock"), verbs.Levers(running))
            yield file.load(str(certify.target_file(running)))
            nursery.cancel_scope.cancel()


def scenarios_for(defect: Defect) -> list[Scenario]:
    """The scenarios that join a defect, the longest first."""
    found = registry.collect().scenarios.values()
    if defect.descoped:
        return [each for each in found if each.name == DESCOPED]
    chosen = [each for each in found if _joins(each, defect)]
    return sorted(chosen, key=lambda each: -each.budget_seconds)


async def verdicts(
    target: Target,
    scenarios: Sequence[Scenario],
    profiles: tuple[str, ...],
    *,
    at_once: int = AT_ONCE,
    apart: bool = True,
) -> dict[str, CheckResult]:
    """Acts the scenarios, those that disturb afterwards and alone if `apart`, and judges their checks."""
    results: dict[str, CheckResult] = {}
    seen: list[Transcript] = []
    ordinary = [each for each in scenarios if each.gathers is None]
    alone = [each for each in ordinary if apart and each.effect is Effect.DISRUPTIVE]
    async with AsyncExitStack() as stack:
        kit = await kit_for(target, profiles, stack)
        places = trio.CapacityLimiter(at_once)

        async def together(scenario: Scenario) -> None:
            async with places:
                results.update(await _one(scenario, kit, seen))

        async with trio.open_nursery() as nursery:
            for scenario in ordinary:
                if scenario not in alone:
                    nursery.start_soon(together, scenario)
        last = [each for each in scenarios if each.gathers is not None]
        for scenario in (*alone, *last):
            results.update(await _one(scenario, kit, seen))
    return results


async def _one(scenario: Scenario, kit: acting.Kit, seen: list[Transcript]) -> dict[str, CheckResult]:
    acted = await acting.act(scenario, kit)
    if scenario.gathers is not None:
        acted = replace(acted, transcript=scenario.gathers(seen, acted.transcript))
    else:
        seen.append(acted.transcript)
    checks: Iterable[Check] = registry.collect().checks_of(scenario.name)
    if acted.obstacle is not None:
        verdict = acted.obstacle
        return {each.id: without_judgement(each, verdict, acted.reason) for each in checks}
    return {each.id: judge(each, acted.transcript, catalogue().clauses) for each in checks}


async def kit_for(target: Target, profiles: tuple[str, ...], stack: AsyncExitStack) -> acting.Kit:
    """What scenarios act with against this target, until the stack ends."""
    clock = RunClock()
    vault = Vault(random.Random(0))
    for identity in target.identities.values():
        if identity.credential is not None:
            vault.add(identity.label, identity.credential)
    driver = await stack.enter_async_context(drivers.opened(target.driver))
    effects = reach.effects(target, frozenset())
    grade, reasons = reach.grade(target, driver.powers, effects)
    restraint = Restraint(may_write=True, requests=reach.OWN_REQUESTS, watchful=False)
    client = Client(target, max_connections=reach.OWN_CONNECTIONS, restraint=restraint)
    stack.push_async_callback(client.aclose)
    return acting.Kit(
        target=target,
        claims=Claims(profiles=profiles, grade=grade, effects=effects, grade_reasons=reasons),
        client=client,
        driver=driver,
        vault=vault,
        clock=clock,
        canary=Canary(clock.now),
        ledger=FileLedger(None, base_url=target.base_url),
        seed=1,
    )


def _joins(scenario: Scenario, defect: Defect) -> bool:
    if defect.only:
        return scenario.name in defect.only
    if scenario.gathers is not None:  # it repeats what others say: only where a defect names it
        return any(each.id in defect.fails for each in registry.collect().checks_of(scenario.name))
    quick = scenario.name not in SLOW and scenario.name != DESCOPED and not scenario.needs & reach.PARTS
    return quick and scenario.effect is not Effect.DISRUPTIVE


def _all_profiles() -> tuple[str, ...]:
    return tuple(sorted({each.profile for each in registry.collect().checks.values()} - {DESCOPED}))


def _first(result: CheckResult) -> str:
    wrong = next((each for each in result.findings if not each.holds), None)
    return "" if wrong is None else f"{wrong.expected[:100]} | {wrong.observed[:160]}"
