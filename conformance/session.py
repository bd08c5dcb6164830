"""The acting part of a run: who the target is, the scenarios, second attempts, and who the target is now."""

import itertools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import trio

from conformance import acting
from conformance.acting import Acted, Kit
from conformance.catalogue.load import Catalogue
from conformance.check.expand import Plan, inapplicable
from conformance.check.model import Check, Effect, Gather, Grade, Scenario
from conformance.check.registry import Registry
from conformance.probe import honesty, ledger, powers
from conformance.probe import identity as identities
from conformance.probe.ledger import FileLedger
from conformance.probe.stage import Stage
from conformance.probe.transcript import Transcript
from conformance.progress import Progress
from conformance.report import ndjson
from conformance.report.folder import RunFolder
from conformance.report.record import Opening
from conformance.target.model import Claims
from conformance.verdict.judge import judge, origin_of, weakened, without_judgement
from conformance.verdict.lattice import Verdict
from conformance.verdict.result import Attempt, CheckResult

# Scenarios of the run's own; their names cannot be those of checks' scenarios, which have no dot.
FIRST, LAST, PULSE, CLEANUP = "run.first", "run.last", "run.pulse", "run.cleanup"
HONESTY, POWERS = "run.honesty", "run.powers"

# A restarted server is back within this; one that is not is gone.
PULSE_SECONDS = 10.0
_PULSE_PAUSE = 0.25

# A refusal is awaited for three seconds: a stall of ours this long can make any check miss one.
LONG_STALL_NS = 1_000_000_000

_OWN_BUDGET_SECONDS = 60.0
_ATTEMPTS = 2


class Session:
    """One run's state while it acts. `faults` are ours, `shortfalls` leave the run incomplete."""

    def __init__(
        self, *, suite: Catalogue, registry: Registry, plan: Plan, folder: RunFolder, progress: Progress
    ) -> None:
        self.plan = plan
        self.faults: list[str] = []
        self.shortfalls: list[str] = []
        self.left_over: tuple[str, ...] = ()
        self.evidence: dict[str, Transcript] = {}
        self._catalogue = suite
        self._registry = registry
        self._folder = folder
        self._progress = progress
        self._results: dict[str, CheckResult] = {}
        self._identity: identities.TargetIdentity | None = None
        self._gone = False
        self._lies: tuple[str, ...] = ()

    async def act(self, kit: Kit, budget_seconds: float) -> None:
        """Acts the plan; every check has its result afterwards, but for what the budget cut off."""
        self._identity = await self._identify(FIRST, kit)
        if self.faults:
            self.settle_rest(Verdict.HARNESS_ERROR, self.faults[0])
            return
        if self._identity is None:
            self.shortfalls.append("nothing answers at the target")
            return
        with trio.move_on_after(budget_seconds) as budget:
            await self._scenarios(kit)
        if budget.cancelled_caught:
            self.shortfalls.append(f"the run's budget of {budget_seconds:g} s was used up")
        self._distrust()
        if self._gone:
            made = kit.ledger.domains if isinstance(kit.ledger, FileLedger) else ()
            self.left_over = tuple(f"{each.slug}: the target went away" for each in made)
        else:
            await self._compare(kit)
            await self._clean(kit)

    def settle_unacted(self, claims: Claims) -> None:
        """The results that need no act: not claimed, or out of reach."""
        for check in self.plan.unclaimed:
            reason = inapplicable(check, self._registry, claims)
            self._settle(without_judgement(check, Verdict.NOT_APPLICABLE, reason))
        for check, reason in self.plan.out_of_reach:
            self._settle(without_judgement(check, Verdict.NOT_TESTABLE, reason))

    def settle_rest(self, verdict: Verdict, reason: str) -> None:
        """The same result for every planned check that has none yet."""
        for check in self._planned():
            if check.id not in self._results:
                self._settle(without_judgement(check, verdict, reason))

    @property
    def transcripts(self) -> dict[str, str]:
        """The digests of the transcripts on disk, by file name."""
        digests = self._folder.digests.items()
        return {name: digest for name, digest in digests if name.startswith("transcripts/")}

    def sorted_results(self) -> tuple[CheckResult, ...]:
        """The results by id."""
        return tuple(result for _, result in sorted(self._results.items()))

    def identified(self, opening: Opening) -> Opening:
        """The opening with the identity that the target had at first."""
        return replace(opening, identity=self._identity)

    async def _scenarios(self, kit: Kit) -> None:
        again: list[Scenario] = []
        places = trio.CapacityLimiter(acting.WORKING_AT_ONCE)
        async with trio.open_nursery() as nursery:
            if self._examines(kit):
                nursery.start_soon(self._examine, HONESTY, honesty.examine, kit)
            for scenario in self.plan.together:
                nursery.start_soon(self._together, scenario, kit, places, again)
                # Each gets to its first wait before the next begins, so that a seed means one order.
                await trio.lowlevel.checkpoint()
        for scenario in sorted(again, key=lambda each: each.name):
            await self._one(scenario, kit, attempt=_ATTEMPTS)
        if self.plan.alone and kit.driver.verbs and not self._gone:
            await self._examine(POWERS, powers.examine, kit)
        if self._lies:
            return  # whatever a fault verb were said to show, nothing would be known
        for scenario in (*self.plan.alone, *self.plan.last):
            if await self._one(scenario, kit, attempt=1):
                await self._one(scenario, kit, attempt=_ATTEMPTS)

    async def _together(
        self, scenario: Scenario, kit: Kit, places: trio.CapacityLimiter, again: list[Scenario]
    ) -> None:
        if scenario.budget_seconds >= acting.WAITING_SECONDS:
            stalled = await self._one(scenario, kit, attempt=1)
        else:
            async with places:
                stalled = await self._one(scenario, kit, attempt=1)
        if stalled:
            again.append(scenario)

    async def _one(self, scenario: Scenario, kit: Kit, *, attempt: int) -> bool:
        """Acts and judges one scenario; True if a stall of ours asks for another attempt."""
        if self._gone:
            return False
        self._progress.started(scenario)
        acted = await acting.act(scenario, kit, attempt)
        if scenario.gathers is not None:
            acted = await trio.to_thread.run_sync(self._gathered, scenario.gathers, acted)
        name = self._store(acted)
        self._lies += honesty.lies(acted.transcript)
        if acted.refused and not await self._pulse(kit):
            self._lose(scenario)
        self.evidence[scenario.name] = acted.transcript
        stalled = False
        for check in self.plan.checks[scenario.name]:
            # In a thread: the streams and timers of other scenarios go on while a long transcript is read.
            result = await trio.to_thread.run_sync(self._judged, check, acted)
            stalled = stalled or result.verdict is Verdict.INCONCLUSIVE
            self._settle(self._with_attempt(result, acted, name))
        self._progress.ended(scenario)
        return stalled

    def _gathered(self, gather: Gather, acted: Acted) -> Acted:
        try:
            return replace(acted, transcript=gather(self._acted_before(), acted.transcript))
        except Exception as broken:
            return replace(acted, obstacle=Verdict.HARNESS_ERROR, reason=origin_of(broken))

    def _acted_before(self) -> tuple[Transcript, ...]:
        """What the scenarios brought that do not gather from others themselves."""
        gathering = {each.name for each in self.plan.last}
        return tuple(each for name, each in self.evidence.items() if name not in gathering)

    def _judged(self, check: Check, acted: Acted) -> CheckResult:
        if self._gone:
            return without_judgement(check, Verdict.NOT_TESTABLE, "the target went away")
        if acted.obstacle is not None:
            return without_judgement(check, acted.obstacle, acted.reason)
        result = judge(check, acted.transcript, self._catalogue.clauses)
        stall = f"our own machine stalled for {acted.stalled_ns // 1_000_000} ms"
        if acted.cut:
            reason = f"its scenario was cut off after {acted.scenario.budget_seconds:g} s"
            if acted.stalled_ns >= LONG_STALL_NS:
                return weakened(result, Verdict.INCONCLUSIVE, f"{reason}; {stall}")
            return weakened(result, Verdict.NOT_TESTABLE, reason)
        if result.violations and acted.stalled_ns >= (1 if check.timed else LONG_STALL_NS):
            return replace(without_judgement(check, Verdict.INCONCLUSIVE, stall), findings=result.findings)
        return result

    def _with_attempt(self, result: CheckResult, acted: Acted, transcript: str) -> CheckResult:
        before = self._results.get(result.id)
        attempt = Attempt(
            number=acted.attempt,
            verdict=result.verdict,
            seconds=acted.seconds,
            stalled_ms=acted.stalled_ns // 1_000_000,
            transcript=transcript,
        )
        return replace(result, attempts=(*(before.attempts if before else ()), attempt))

    def _settle(self, result: CheckResult) -> None:
        self._results[result.id] = result
        self._progress.judged(self._registry.checks[result.id], result)

    def _store(self, acted: Acted) -> str:
        suffix = f"-{acted.attempt}" if acted.attempt > 1 else ""
        name = f"transcripts/{acted.scenario.name}{suffix}.ndjson"
        self._folder.write(name, ndjson.render(acted.transcript))
        return name

    def _planned(self) -> Iterable[Check]:
        return (check for checks in self.plan.checks.values() for check in checks)

    async def _identify(self, name: str, kit: Kit) -> identities.TargetIdentity | None:
        acted = await acting.act(_own(name, identities.probe), kit)
        self._store(acted)
        if acted.obstacle is Verdict.HARNESS_ERROR:
            self.faults.append(acted.reason)
        return identities.of(acted.transcript.exchange("version"), acted.transcript.exchange("openapi"))

    async def _compare(self, kit: Kit) -> None:
        now = await self._identify(LAST, kit)
        if now is None:
            self.shortfalls.append("the target went away")
        elif now != self._identity:
            self.shortfalls.append("the target changed while it was tested: nothing of this run holds")

    async def _pulse(self, kit: Kit) -> bool:
        """True if something answers at the target, at once or soon."""

        numbers = itertools.count(1)

        async def ask(stage: Stage) -> None:
            with trio.move_on_after(PULSE_SECONDS):
                while True:
                    label = f"pulse {next(numbers)}"
                    answer = await stage.request(label, "GET", "/v1/version", timeout=PULSE_SECONDS)
                    if answer.head is not None:
                        stage.mark("alive")
                        return
                    await trio.sleep(_PULSE_PAUSE)

        acted = await acting.act(_own(PULSE, ask), kit)
        return bool(acted.transcript.marked("alive"))

    def _lose(self, scenario: Scenario) -> None:
        if not self._gone:
            self._gone = True
            self.shortfalls.append(f"the target went away during {scenario.name}")

    def _examines(self, kit: Kit) -> bool:
        needed = any(each.grade > Grade.G0 and each.effect is not Effect.READ for each in self.plan.acted)
        return needed and "publish" in kit.driver.verbs and Effect.WRITE_OWN in kit.claims.effects

    async def _examine(self, name: str, exam: Callable[[Stage], Awaitable[None]], kit: Kit) -> None:
        acted = await acting.act(_own(name, exam), kit)
        self._store(acted)
        if acted.obstacle is Verdict.HARNESS_ERROR:
            self._lies += (f"driver: {acted.reason}",)
        self._lies += honesty.lies(acted.transcript)

    def _distrust(self) -> None:
        """With a driver that lies, nothing is known about the target: its failures may be the driver's."""
        if self._lies:
            self.faults.extend(self._lies)
            for check in self._planned():
                self._settle(without_judgement(check, Verdict.HARNESS_ERROR, self._lies[0]))

    async def _clean(self, kit: Kit) -> None:
        made = kit.ledger.domains if isinstance(kit.ledger, FileLedger) else ()
        if not made or kit.target.ephemeral:
            return

        async def remove(stage: Stage) -> None:
            self.left_over = await ledger.clean(
                made, lambda label, path: stage.request(label, "DELETE", path, identity="operator")
            )

        self._store(await acting.act(_own(CLEANUP, remove), kit))


def _own(name: str, act: Callable[[Stage], Awaitable[None]]) -> Scenario:
    return Scenario(
        name=name,
        grade=Grade.G0,
        effect=Effect.READ,
        budget_seconds=_OWN_BUDGET_SECONDS,
        budget_reason="more than its waits together",
        act=act,
    )
