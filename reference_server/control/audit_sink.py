"""The AuditSink: admission decisions on the platform's chain, by one writer behind a bounded queue (GATE-14).

Where decisions come faster than they are written, or the store is away, the queue fills and the newest are
dropped and counted: an answer must never wait for its audit row, memory is bounded, and the oldest decisions
say best how an attack or an outage began.
"""

import structlog
import trio
from prometheus_client import Counter

from reference_server.control import audit
from reference_server.envelope import instant
from reference_server.ports import Caller, Change, Decision, Store, Unavailable
from reference_server.seldom import Seldom

# The writer takes this many decisions into one transaction and then rests, so that a flood of them costs a
# small, fixed share of the processor: 256 rows at some 60 µs every 100 ms.
_BATCH = 256
_REST_SECONDS = 0.1

# After a batch that the store did not take.
_OUTAGE_PAUSE_SECONDS = 1.0

# The longest that the end of the server waits for the last batch.
_LAST_BATCH_SECONDS = 1.0

# An id "as asked" comes from the request line; a UUID has 36 characters.
_LONGEST_ID = 128

_log = structlog.get_logger()


class QueuedAudit:
    """Takes decisions at once and writes them soon, while `run` runs."""

    __slots__ = ("_dropped", "_queued", "_store", "_telling", "_to_write", "_unsaid")

    def __init__(self, *, store: Store, bound: int, dropped: Counter) -> None:
        """`bound` is the number of decisions that may wait; `dropped` counts those that found no place."""
        self._store = store
        self._queued, self._to_write = trio.open_memory_channel[Decision](bound)
        self._dropped = dropped
        self._unsaid = 0
        self._telling = Seldom(trio.current_time)

    def record_nowait(self, decision: Decision) -> None:
        """See the port."""
        try:
            self._queued.send_nowait(decision)
        except (trio.WouldBlock, trio.BrokenResourceError):
            self._drop()

    async def run(self) -> None:
        """Write what is recorded, in order, until cancelled; then what still waits, as far as it can be."""
        try:
            while True:
                batch = self._batch(await self._to_write.receive())
                await self._write_whatever_happens(batch)
                await trio.sleep(_REST_SECONDS)
        finally:
            with trio.move_on_after(_LAST_BATCH_SECONDS, shield=True):
                await self._write_last()

    def _batch(self, first: Decision) -> list[Decision]:
        batch = [first]
        while len(batch) < _BATCH:
            try:
                batch.append(self._to_write.receive_nowait())
            except trio.WouldBlock:
                break
        return batch

    async def _write_whatever_happens(self, batch: list[Decision]) -> None:
        while True:
            try:
                return await self._write(batch)
            except Unavailable:
                await trio.sleep(_OUTAGE_PAUSE_SECONDS)

    async def _write_last(self) -> None:
        try:
            while True:
                await self._write(self._batch(self._to_write.receive_nowait()))
        except (trio.WouldBlock, Unavailable):
            return

    async def _write(self, batch: list[Decision]) -> None:
        entries = [_entry(decision) for decision in batch]

        def work(change: Change) -> None:
            audit.append_entries(change, chain_id=audit.PLATFORM, entries=entries)

        await self._store.change([audit.PLATFORM], work)

    def _drop(self) -> None:
        self._dropped.inc()
        self._unsaid += 1
        if self._telling.due():
            _log.warning("audit_decisions_dropped", count=self._unsaid)
            self._unsaid = 0


def _entry(decision: Decision) -> audit.Entry:
    known = decision.reason in list(audit.Reason)
    return audit.Entry(
        relation=decision.relation,
        object_type="node",
        object_id=_printable(decision.object_id),
        reason=decision.reason if known else audit.Reason.UNKNOWN,
        relation_path=[str(decision.status), _printable(decision.reason)],
        subject=_subject(decision.caller),
        correlation_id=decision.correlation_id,
        occurred_at=instant.micros(decision.occurred_at),
    )


def _subject(caller: Caller | None) -> str:
    if caller is None:
        return "nobody"
    return f"operator:{caller.operator}" if caller.node_id is None else f"node:{caller.node_id}"


def _printable(text: str) -> str:
    return text[:_LONGEST_ID].encode(errors="replace").decode()
