"""Acts scenarios: one at a time or side by side, each within its budget, with what stood in its way."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import trio

from conformance.check.model import Scenario
from conformance.probe.canary import Canary
from conformance.probe.client import Client
from conformance.probe.clock import RunClock
from conformance.probe.grounds import Grounds
from conformance.probe.legible import legible
from conformance.probe.node import Ledger
from conformance.probe.obstacle import CannotAct
from conformance.probe.recorder import Recorder
from conformance.probe.stage import Stage
from conformance.probe.transcript import Ending, Transcript
from conformance.probe.vault import Vault
from conformance.probe.verbs import Driver
from conformance.target.model import Claims, Target
from conformance.verdict.judge import origin_of
from conformance.verdict.lattice import Verdict

# Scenarios that mostly work share two cores with the target; more at once would only make each slower.
WORKING_AT_ONCE = 4

# A scenario with a budget this long mostly waits (keep-alive, limits at doors): it takes no working place.
WAITING_SECONDS = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What every scenario of a run acts with."""

    target: Target
    claims: Claims
    client: Client
    driver: Driver
    vault: Vault
    clock: RunClock
    canary: Canary
    ledger: Ledger
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """A scenario that was acted: its transcript, and the obstacle that kept it from its end, if any did."""

    scenario: Scenario
    attempt: int
    transcript: Transcript
    seconds: float
    stalled_ns: int
    obstacle: Verdict | None = None
    reason: str = ""
    cut: bool = False

    @property
    def refused(self) -> bool:
        """True if a connection was refused: the target may be gone."""
        return any(each.ending is Ending.REFUSED for each in self.transcript.exchanges)


async def act(scenario: Scenario, kit: Kit, attempt: int = 1) -> Acted:
    """Acts one scenario within its budget. Whatever it raises is an obstacle, never an end of the run."""
    recorder = Recorder(scenario.name, kit.clock, kit.vault)
    began = kit.clock.now()
    obstacle, reason, cut = None, "", False
    try:
        async with trio.open_nursery() as nursery:
            stage = _stage(scenario, kit, attempt, recorder, nursery)
            with trio.move_on_after(scenario.budget_seconds) as budget:
                await scenario.act(stage)
            cut = budget.cancelled_caught
            nursery.cancel_scope.cancel()
    except Exception as error:
        obstacle, reason = _obstacle(error)
    ended = kit.clock.now()
    return Acted(
        scenario=scenario,
        attempt=attempt,
        transcript=recorder.transcript(),
        seconds=(ended - began) / 1e9,
        stalled_ns=kit.canary.longest(began, ended),
        obstacle=obstacle,
        reason=reason,
        cut=cut,
    )


def _stage(scenario: Scenario, kit: Kit, attempt: int, recorder: Recorder, nursery: trio.Nursery) -> Stage:
    rng = random.Random(f"act:{kit.seed}:{scenario.name}:{attempt}")  # noqa: S311  # to be repeatable
    suffix = f"-{attempt}" if attempt > 1 else ""
    prefix = f"{kit.seed:x}-{scenario.name}{suffix}"
    return Stage(
        target=kit.target,
        claims=kit.claims,
        client=kit.client,
        recorder=recorder,
        vault=kit.vault,
        driver=kit.driver,
        grounds=Grounds(prefix=prefix, rng=rng, ledger=kit.ledger),
        rng=rng,
        nursery=nursery,
    )


def _obstacle(error: Exception) -> tuple[Verdict, str]:
    """CannotAct alone is the target's lack; everything else is a fault of suite or driver."""
    found = tuple(leaves(error))
    if all(isinstance(leaf, CannotAct) for leaf in found):
        return Verdict.NOT_TESTABLE, legible(str(found[0]))
    broken = next(leaf for leaf in found if not isinstance(leaf, CannotAct))
    return Verdict.HARNESS_ERROR, origin_of(broken)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, or the exception itself."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error
