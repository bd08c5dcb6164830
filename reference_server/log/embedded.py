"""The log in the store's own SQLite file: appended in the relay's transaction, read from memory (LOG-1…3).

A broadcast is one body row and one small entry per Node. Sequences come from AUTOINCREMENT, so that none is
ever used again (LOG-2, CUR-7).
"""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Self

import structlog
import trio
from sqlalchemy import Connection

from reference_server.log import retention, rows
from reference_server.log.bodies import BodyCache
from reference_server.log.retention import Limits
from reference_server.log.tail import TailCache, bounded
from reference_server.metrics import Metrics
from reference_server.ports import (
    Appended,
    Bounds,
    Change,
    Landed,
    Lease,
    Outgoing,
    SignedBody,
    Store,
    Tail,
    Unavailable,
)
from reference_server.store import node_bytes

# Entries in one answer of read_tail: a dispatch of this many takes some milliseconds.
_TAIL_ENTRIES = 8_192

# One answer of read_node: large pieces make replays cheap, bounded ones keep a stream's memory small.
_NODE_ENTRIES = 2_048
_NODE_BYTES = 512 * 1024

_BODY_ID = itemgetter(2)


class EmbeddedLog:
    """EventStream and LogAppender over the tables of a Store; `open` makes one, `run` keeps its limits."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        metrics: Metrics,
        *,
        cache_bytes: int,
        bounds: Bounds,
        held: int,
        top_body: int,
    ) -> None:
        self._store = store
        self._limits = limits
        self._metrics = metrics
        self._tail = TailCache(cache_bytes, bounds.high)
        self._bodies = BodyCache(cache_bytes)
        self._bounds = bounds
        self._held = held
        self._top_body = top_body
        self._grown = trio.Event()
        self._over = trio.Event()
        self._show()

    @classmethod
    async def open(cls, store: Store, limits: Limits, metrics: Metrics, *, cache_bytes: int) -> Self:
        """The log of a store, with up to `cache_bytes` kept for live readers and as much for replays."""
        bounds, held, top_body = await store.read(
            lambda connection: (
                rows.bounds(connection),
                rows.held_bytes(connection),
                rows.top_body(connection),
            )
        )
        return cls(
            store, limits, metrics, cache_bytes=cache_bytes, bounds=bounds, held=held, top_body=top_body
        )

    # ---- as the relay writes it

    def append(self, change: Change, outgoing: Sequence[Outgoing], _lease: Lease) -> Landed:
        """See LogAppender; what is appended commits with the relay's transaction, so nobody is ever owed."""
        outgoing = _without_known(change.connection, outgoing)
        if not outgoing:
            return Landed(appended=())
        sequence = rows.high(change.connection)
        body_id = max(self._top_body, rows.top_body(change.connection))
        appended: list[Appended] = []
        bodies: list[tuple[int, SignedBody]] = []
        places: list[rows.Place] = []
        for out in outgoing:
            body_id += 1
            bodies.append((body_id, out.body))
            entries = tuple(enumerate(out.node_ids, sequence + 1))
            places.extend((at, node_bytes.raw(node_id), body_id) for at, node_id in entries)
            appended.append(Appended(body=out.body, entries=entries))
            sequence += len(entries)
        rows.add(change.connection, bodies, places, change.now)
        change.after_commit.append(partial(self._landed, appended, body_id))
        return Landed(appended=appended)

    def _landed(self, appended: Sequence[Appended], top_body: int) -> None:
        self._tail.add(appended)
        self._top_body = top_body
        self._held += sum(len(piece.body.wire) * len(piece.entries) for piece in appended)
        high = appended[-1].entries[-1][0]
        self._bounds = Bounds(low=self._bounds.low, high=high)
        self._grown.set()
        self._grown = trio.Event()
        if self._limits.max_bytes is not None and self._held > self._limits.max_bytes:
            self._over.set()
        self._show()

    # ---- as streams read it

    async def bounds(self) -> Bounds:
        """See EventStream."""
        return self._bounds

    async def read_tail(self, after: int) -> Tail:
        """See EventStream; needs SQL only for a reader that is further behind than the cache reaches."""
        while after >= self._bounds.high:
            await self._grown.wait()
        if after >= self._tail.complete_after:
            return self._tail.read(after, _TAIL_ENTRIES)
        high = self._bounds.high
        found = await self._store.read(lambda connection: self._read_after(connection, after))
        return bounded(found, after, _TAIL_ENTRIES) if found else Tail(appended=(), read_to=high)

    async def read_node(self, node_id: str, after: int, up_to: int) -> Tail:
        """See EventStream."""
        if after >= up_to:
            return Tail(appended=(), read_to=up_to)
        node = node_bytes.raw(node_id)
        tail, low = await self._store.read(lambda connection: self._read_node(connection, node, after, up_to))
        # An eviction is seen by readers before its own thread has told us: whoever asks next must know.
        low = min(low, self._bounds.high + 1)
        self._bounds = Bounds(low=max(low, self._bounds.low), high=self._bounds.high)
        return tail

    def _read_after(self, connection: Connection, after: int) -> list[Appended]:
        return self._with_bodies(connection, rows.after(connection, after, _TAIL_ENTRIES))

    def _read_node(self, connection: Connection, node: bytes, after: int, up_to: int) -> tuple[Tail, int]:
        found = rows.of_node(connection, node, after, up_to, _NODE_ENTRIES)
        size = 0
        places: list[rows.Place] = []
        for place, bytes_of_body in found:
            if places and size + bytes_of_body > _NODE_BYTES:
                break
            places.append(place)
            size += bytes_of_body
        whole = len(places) == len(found) < _NODE_ENTRIES
        read_to = up_to if whole else places[-1][0]
        tail = Tail(appended=self._with_bodies(connection, places), read_to=read_to)
        return tail, rows.bounds(connection).low

    def _with_bodies(self, connection: Connection, places: Sequence[rows.Place]) -> list[Appended]:
        wanted = {body_id for _, _, body_id in places}
        bodies = self._bodies.find(wanted)
        missing = wanted - bodies.keys()
        if missing:
            read = rows.bodies(connection, missing)
            self._bodies.add(read)
            bodies |= read
        return [
            Appended(body=bodies[body_id], entries=_entries(some))
            for body_id, some in groupby(places, _BODY_ID)
        ]

    # ---- retention

    async def run(self, every_seconds: float) -> None:
        """Keep the log within its limits: after appends that went over, and at intervals for the age."""
        log = structlog.get_logger()
        away = False
        while True:
            with trio.move_on_after(every_seconds):
                await self._over.wait()
            self._over = trio.Event()
            try:
                await self.sweep()
                away = False
            except Unavailable:
                if not away:
                    log.warning("retention_paused")
                away = True
                await trio.sleep(every_seconds)

    async def sweep(self) -> None:
        """Drop what is past the limits, in pieces, so that writers wait for no more than one."""
        while await self._store.change((), partial(self._drop_piece, 0)):
            pass

    async def evict(self, through: int | None = None) -> Bounds:
        """Drop entries up to a sequence (all that are retained now, for None); answers the new bounds."""
        through = self._bounds.high if through is None else through
        while await self._store.change((), partial(self._drop_piece, through)):
            pass
        return self._bounds

    def _drop_piece(self, through: int, change: Change) -> bool:
        dropped = retention.select(
            rows.oldest(change.connection, retention.PIECE),
            self._limits,
            now=change.now,
            held=self._held,
            told=through,
        )
        if dropped is None:
            return False
        rows.drop(change.connection, dropped.through)
        bounds = rows.bounds(change.connection)
        change.after_commit.append(partial(self._let_go, bounds.low, dropped.size))
        return dropped.whole_piece

    def _let_go(self, low: int, size: int) -> None:
        self._bounds = Bounds(low=max(low, self._bounds.low), high=self._bounds.high)
        self._held -= size
        self._tail.forget_below(low)
        self._show()

    def _show(self) -> None:
        self._metrics.log_low.set(self._bounds.low)
        self._metrics.log_high.set(self._bounds.high)


def _without_known(connection: Connection, outgoing: Sequence[Outgoing]) -> Sequence[Outgoing]:
    """Leave out the Nodes for which the log holds an event already (PROD-6), and bodies left with none."""
    known = rows.known_bodies(connection, (out.body.event_id for out in outgoing))
    if known:
        outgoing = [_still_owed(connection, out, known) for out in outgoing]
    return [out for out in outgoing if out.node_ids]


def _still_owed(connection: Connection, out: Outgoing, known: Iterable[tuple[int, str]]) -> Outgoing:
    held_under = [body_id for body_id, event_id in known if event_id == out.body.event_id]
    owed = [
        node_id
        for node_id in out.node_ids
        if not any(rows.holds(connection, node_bytes.raw(node_id), body_id) for body_id in held_under)
    ]
    return Outgoing(body=out.body, node_ids=owed)


def _entries(places: Iterable[rows.Place]) -> tuple[tuple[int, str], ...]:
    return tuple((sequence, node_bytes.text(node)) for sequence, node, _ in places)
