"""What time alone brings about: silent Nodes decay, endpoints go stale (PROD-2, section 7).

A chore looks over the store for what is due and when the next thing will be; until then it only looks at the
clock, so that a clock that was moved forward is noticed at once and an idle server reads nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import structlog
import trio
from sqlalchemy import Connection

from reference_server.control import endpoints, reachability
from reference_server.envelope import instant
from reference_server.ports import Change, Clock, Store, Unavailable

# How often the clock is looked at; what is due is late by no more than this.
_LOOK_SECONDS = 0.25

# A wall clock that is ahead of the passed time by more than this was moved.
_MOVED_SECONDS = 1.0
_MICROSECONDS = 1_000_000

# After a look that the store did not answer: doubled each time up to the longest.
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """One kind of work: what is due, and the work on one Domain, `at_once` things at most."""

    name: str
    due: Callable[[Connection, int], tuple[Sequence[str], int | None]]
    work: Callable[[Change, str], int]
    at_once: int


async def run_evaluator(*, store: Store, clock: Clock, every: float) -> None:
    """Move silent Nodes to stale and unreachable, for ever; looks at least every `every` seconds."""
    chore = Chore(
        name="reachability",
        due=reachability.due,
        work=reachability.decay,
        at_once=reachability.NODES_AT_ONCE,
    )
    await run(chore, store=store, clock=clock, every=every)


async def run_endpoint_sweeper(*, store: Store, clock: Clock, every: float) -> None:
    """Tell of endpoints that went stale, for ever; looks at least every `every` seconds."""
    chore = Chore(
        name="endpoints",
        due=endpoints.due,
        work=endpoints.sweep,
        at_once=endpoints.ENDPOINTS_AT_ONCE,
    )
    await run(chore, store=store, clock=clock, every=every)


async def run(chore: Chore, *, store: Store, clock: Clock, every: float) -> None:
    """Do the chore whenever something is due, for ever; an outage of the store only delays it."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        looked = _Instants.now(clock)
        try:
            next_at = await step(chore, store=store, clock=clock)
        except Unavailable:
            if pause == _FIRST_PAUSE_SECONDS:
                _log.warning("chore_waits_for_store", chore=chore.name)
            await trio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            continue
        pause = _FIRST_PAUSE_SECONDS
        await _wait_until(next_at, clock, every, looked)


async def step(chore: Chore, *, store: Store, clock: Clock) -> int | None:
    """Do all that is due now; gives the instant (microseconds) of the next thing. Raises Unavailable."""
    while True:
        domain_ids, next_at = await _look(chore, store, instant.micros(clock.now()))
        done = 0
        for domain_id in domain_ids:
            done += await _work_off(chore, store, domain_id)
        if done == 0:  # also where the clock has stepped back since the look
            return next_at


async def _look(chore: Chore, store: Store, now: int) -> tuple[Sequence[str], int | None]:
    return await store.read(lambda connection: chore.due(connection, now))


async def _work_off(chore: Chore, store: Store, domain_id: str) -> int:
    done = total = await store.change([domain_id], lambda change: chore.work(change, domain_id))
    while done >= chore.at_once:
        done = await store.change([domain_id], lambda change: chore.work(change, domain_id))
        total += done
    return total


async def _wait_until(next_at: int | None, clock: Clock, every: float, looked: "_Instants") -> None:
    """Wait for the instant, for `every` seconds, or for the clock to be moved after the look."""
    latest = trio.current_time() + every
    while (present := _Instants.now(clock)).monotonic < latest:
        if present.was_moved_since(looked) or (next_at is not None and present.wall >= next_at):
            return
        await trio.sleep(min(_LOOK_SECONDS, every))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instants:
    """The same moment on the wall clock (microseconds) and on the one that nobody moves (seconds)."""

    wall: int
    monotonic: float

    @classmethod
    def now(cls, clock: Clock) -> Self:
        return cls(wall=instant.micros(clock.now()), monotonic=trio.current_time())

    def was_moved_since(self, began: Self) -> bool:
        passed = (self.wall - began.wall) / _MICROSECONDS
        return passed - (self.monotonic - began.monotonic) > _MOVED_SECONDS
