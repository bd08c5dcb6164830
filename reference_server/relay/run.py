"""The relay: carries what producers committed to the log, and goes on by itself after outages (OUT-2…8)."""

import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import structlog
import trio

from reference_server.metrics import Metrics
from reference_server.ports import Appended, Change, EventStream, NonceStore, Store, Unavailable
from reference_server.relay import settling
from reference_server.relay.batch import Batch, Outcome
from reference_server.relay.decide import Reason
from reference_server.relay.settling import Cursor
from reference_server.relay.wake import Wake
from reference_server.seldom import Seldom

# Back-off while the store or the log is away: doubled from the first to the second, each time with jitter, so
# that a server resumes within some two seconds of the outage's end (OUT-8).
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layered:
    """What stands around the relay on the log's side: its own nonce store, and the bounds to trim it by."""

    nonces: NonceStore
    stream: EventStream


# Takes what a batch has appended, to record its nonces.
Admits: TypeAlias = Callable[[Sequence[Appended]], Awaitable[None]]


class Relay:
    """Runs batches when rung, at each tick, and for as long as one leaves more."""

    def __init__(
        self, store: Store, batch: Batch, layered: Layered, metrics: Metrics, *, tick_seconds: float
    ) -> None:
        """`store` is the Store as the relay may use it: Unavailable while database or log are away."""
        self._store = store
        self._batch = batch
        self._layered = layered
        self._metrics = metrics
        self._tick = tick_seconds
        self._wake = Wake()
        self._next_round = 0.0
        self._has_cursor = False
        self._cursor: Cursor | None = None  # where our last batch left it
        self._telling = Seldom(trio.current_time)
        self._log = structlog.get_logger()

    def wake(self) -> None:
        """Have rows looked for at once; for Store.on_outbox_written."""
        self._wake.ring()

    async def run(self) -> None:
        """Relay until cancelled; a batch that has begun is carried to its end."""
        landed, to_admit = trio.open_memory_channel[Sequence[Appended]](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._admit_all, to_admit)
            await self._relay(landed.send)

    async def _relay(self, landed: Admits) -> None:
        pause = 0.0
        while True:
            try:
                more = await self.carry_once(landed)
            except Unavailable as outage:
                pause = self._paused(pause, outage)
                await trio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret
                continue
            if pause:
                self._log.info("relay_resumed")
                pause = 0.0
            if not more:
                await self._wake.wait_rung(self._tick)

    async def _admit_all(self, landed: trio.MemoryReceiveChannel[Sequence[Appended]]) -> None:
        """Beside the next batch, which waits before its end where this one's nonces take longer than it."""
        async for appended in landed:
            await self._admit(appended)

    async def carry_once(self, landed: Admits | None = None) -> bool:
        """One batch; answers whether it left rows that it could have taken. Raises Unavailable.

        What was appended goes to `landed`, or else its nonces are recorded before this returns.
        """
        if not self._has_cursor:
            await self._store.change((), settling.make_cursor)
            self._has_cursor = True
        began = time.perf_counter()
        last, self._cursor = self._cursor, None  # whatever comes in between leaves us unsure (OUT-3)
        outcome = await self._store.change((), lambda change: self._batch.carry(change, last))
        if outcome.appended:
            self._metrics.relay_batch_seconds.observe(time.perf_counter() - began)
            self._metrics.relay_published.inc(sum(len(piece.entries) for piece in outcome.appended))
            await (landed or self._admit)(outcome.appended)
        self._report(outcome)
        if outcome.owed:
            raise Unavailable("the log did not acknowledge every publish")
        self._cursor = outcome.cursor
        if trio.current_time() >= self._next_round:
            self._next_round = trio.current_time() + self._tick
            await self._round()
        return outcome.more

    def _paused(self, pause: float, outage: Unavailable) -> float:
        self._metrics.relay_failures.inc()
        if pause == 0.0:
            self._log.warning("relay_paused", reason=str(outage))
            return _FIRST_PAUSE
        return min(pause * 2, _LONGEST_PAUSE)

    async def _admit(self, appended: Sequence[Appended]) -> None:
        """Record the nonces under their acknowledged sequences (LOG-5)."""
        try:
            replayed = await self._layered.nonces.admit_entries(appended)
        except Unavailable:
            self._log.warning("relay_nonces_away")
            return
        if replayed:
            self._metrics.nonce_replay.labels(layer=self._layered.nonces.layer).inc(len(replayed))
            self._log.error("relay_appended_twice", entries=len(replayed))

    async def _round(self) -> None:
        """What is due once a tick, whatever there was to relay."""
        spent = await self._store.change((), self._destroy)
        if spent:
            self._log.info("private_keys_destroyed", key_ids=spent)
        await self._layered.nonces.forget_below((await self._layered.stream.bounds()).low)

    def _destroy(self, change: Change) -> list[str]:
        spent = settling.destroy_private_parts(change)
        change.after_commit.append(partial(self._forget, spent))
        return spent

    def _forget(self, key_ids: Iterable[str]) -> None:
        for key_id in key_ids:
            self._batch.keyring.forget(key_id)

    def _report(self, outcome: Outcome) -> None:
        for decision in outcome.parked:
            self._metrics.relay_skip.labels(reason=decision.reason).inc()
            domain_id = decision.row.domain_id
            if decision.reason is not Reason.NO_SIGNING_KEY:
                self._log.error("outbox_row_parked", outbox_id=decision.row.id, reason=decision.reason)
            elif self._telling.due(domain_id):  # OUT-5
                self._log.warning("domain_without_signing_key", domain_id=domain_id)
