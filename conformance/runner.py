"""A run from claims to record: expand, act, judge, conclude. The one place where the rooms meet."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import metadata

import trio

from conformance import acting
from conformance.catalogue.load import Catalogue
from conformance.check.expand import Plan, expand
from conformance.check.registry import Registry
from conformance.probe import ledger as ledgers
from conformance.probe.canary import Canary
from conformance.probe.client import Client
from conformance.probe.clock import RunClock
from conformance.probe.legible import legible
from conformance.probe.obstacle import DriverFault
from conformance.probe.policy import Restraint
from conformance.probe.vault import Vault
from conformance.progress import Progress
from conformance.report import files, record
from conformance.report.folder import RunFolder
from conformance.session import Session
from conformance.target import callers, reach
from conformance.target import driver as drivers
from conformance.target.grade import Effect
from conformance.target.model import Claims, Target
from conformance.verdict import whole
from conformance.verdict.lattice import Verdict

# A run that is still at it after this long is stuck; every scenario's budget together is far below.
DEFAULT_BUDGET_SECONDS = 900.0

SEED_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked of a run."""

    profiles: tuple[str, ...]
    seed: int
    select: tuple[str, ...] | None = None
    select_ok: bool = False
    allow: frozenset[str] = frozenset()
    headers: tuple[tuple[str, str], ...] = ()
    max_connections: int | None = None
    budget_seconds: float = DEFAULT_BUDGET_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The checks and the data that they are held against."""

    registry: Registry
    catalogue: Catalogue


def fresh_seed() -> int:
    """A seed for a run that was given none."""
    return random.SystemRandom().getrandbits(SEED_BITS)


def version() -> str:
    """The suite's version, "0" in a tree that was never installed."""
    try:
        return metadata.version("busproof")
    except metadata.PackageNotFoundError:
        return "0"


def vault_for(target: Target, order: Order) -> Vault:
    """The run's vault, with every credential of the target; raises WeakSecret."""
    vault = Vault(random.Random(f"canary:{order.seed}"))  # noqa: S311  # planted, to be found again
    for identity in target.identities.values():
        if identity.credential is not None:
            vault.add(identity.label, identity.credential)
    for name, value in callers.secrets(order.headers):
        vault.add(f"header {name}", value)
    return vault


def claims_for(target: Target, order: Order, powers: frozenset[str]) -> Claims:
    """What this run may rely on."""
    effects = reach.READING if whole.LIVE in order.profiles else reach.effects(target, order.allow)
    grade, reasons = reach.grade(target, powers, effects)
    return Claims(
        profiles=order.profiles,
        grade=grade,
        effects=effects,
        grade_reasons=reasons,
        lacks=frozenset() if effects == reach.READING else reach.lacks(powers | reach.parts(target)),
    )


def plan(target: Target, order: Order, suite: Suite) -> tuple[Claims, Plan]:
    """The plan of a run without sending anything; a driver is taken to have all powers."""
    powers = reach.ALL_POWERS if target.driver.kind in ("command", "socket") else frozenset[str]()
    claims = claims_for(target, order, powers)
    return claims, expand(suite.registry, claims, seed=order.seed, select=order.select)


async def run(
    target: Target, order: Order, suite: Suite, *, vault: Vault, folder: RunFolder, progress: Progress
) -> record.RunRecord:
    """Runs the checks and writes the run directory. Raises Unwritable and SecretInOutput."""
    folder.prepare()
    clock = RunClock()
    async with AsyncExitStack() as stack:
        driver, fault = await _driver(target, stack)
        claims = claims_for(target, order, driver.powers)
        planned = expand(suite.registry, claims, seed=order.seed, select=order.select)
        session = Session(
            suite=suite.catalogue, registry=suite.registry, plan=planned, folder=folder, progress=progress
        )
        opening = _opening(target, order, suite, claims=claims, started=clock.started_wall)
        files.open_run(folder, opening)
        progress.opened(opening, planned)
        session.settle_unacted(claims)
        if fault:
            session.faults.append(fault)
            session.settle_rest(Verdict.HARNESS_ERROR, fault)
        elif not planned.empty and not planned.unmatched:
            kit = acting.Kit(
                target=target,
                claims=claims,
                client=await stack.enter_async_context(_client(target, order, claims)),
                driver=driver,
                vault=vault,
                clock=clock,
                canary=await stack.enter_async_context(_canary(clock)),
                ledger=_ledger(target, folder, order.seed),
                seed=order.seed,
            )
            await session.act(kit, order.budget_seconds)
    session.settle_rest(Verdict.NOT_TESTABLE, "it was not run")
    done = _concluded(session, session.identified(opening), order, suite, seconds=clock.now() / 1e9)
    files.close_run(folder, done)
    return done


def _concluded(
    session: Session, opening: record.Opening, order: Order, suite: Suite, *, seconds: float
) -> record.RunRecord:
    unmatched = [f"nothing matches {pattern!r}" for pattern in session.plan.unmatched]
    results = session.sorted_results()
    under = whole.Circumstances(
        profiles=order.profiles,
        selected=order.select is not None,
        select_ok=order.select_ok,
        faults=tuple(session.faults),
        shortfalls=(*unmatched, *session.shortfalls),
    )
    return record.RunRecord(
        opening=opening,
        registry=suite.registry,
        results=results,
        whole=whole.conclude(results, suite.registry.checks, suite.catalogue, under),
        seconds=seconds,
        left_over=session.left_over,
        transcripts=session.transcripts,
        evidence=session.evidence,
    )


def _opening(target: Target, order: Order, suite: Suite, *, claims: Claims, started: float) -> record.Opening:
    return record.Opening(
        suite_version=version(),
        started=started,
        seed=order.seed,
        target=target,
        identity=None,
        claims=claims,
        selection=order.select,
        catalogue=suite.catalogue,
    )


def _ledger(target: Target, folder: RunFolder, seed: int) -> ledgers.FileLedger:
    """On disk where something could be left over: not for a target that ends with the run."""
    path = None if target.ephemeral else folder.root / f"ledger-{seed:x}.ndjson"
    return ledgers.FileLedger(path, base_url=target.base_url)


async def _driver(target: Target, stack: AsyncExitStack) -> tuple[drivers.NoDriver | drivers.LineDriver, str]:
    """The driver, or none and what is wrong with it."""
    try:
        return await stack.enter_async_context(drivers.opened(target.driver)), ""
    except DriverFault as broken:
        return drivers.NoDriver(), legible(f"driver: {broken}")


@asynccontextmanager
async def _client(target: Target, order: Order, claims: Claims) -> AsyncIterator[Client]:
    may_write = Effect.WRITE_OWN in claims.effects
    requests, connections = reach.limits(target, claims.effects)
    client = Client(
        target,
        max_connections=reach.connections(order.max_connections, connections, claims.effects),
        restraint=Restraint(
            may_write=may_write,
            requests=requests,
            watchful=not may_write or not reach.loopback(target),
        ),
        headers=order.headers,
    )
    try:
        yield client
    finally:
        with trio.CancelScope(shield=True):
            await client.aclose()


@asynccontextmanager
async def _canary(clock: RunClock) -> AsyncIterator[Canary]:
    canary = Canary(clock.now)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(canary.sing)
        yield canary
        nursery.cancel_scope.cancel()
