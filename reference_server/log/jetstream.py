"""The log on NATS JetStream: read by the streams of every replica, written by one relay (LOG-1…3, LOG-7)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import trio
from nats.js.errors import APIError
from sqlalchemy import bindparam, select

from reference_server.log import direct, messages, publishing, subjects
from reference_server.log.live import LiveTail
from reference_server.log.nats_link import NatsLink
from reference_server.log.recent import Recent
from reference_server.metrics import Metrics
from reference_server.ports import (
    Appended,
    Bounds,
    Change,
    Landed,
    Lease,
    Outgoing,
    Tail,
    Unavailable,
)
from reference_server.store.tables import outbox_events

# Entries in one answer of read_tail: a dispatch of this many takes some milliseconds.
_TAIL_ENTRIES = 8_192

# One answer of read_node: large pieces make replays cheap, bounded ones keep a stream's memory small.
_NODE_ENTRIES = 1_024
_NODE_BYTES = 512 * 1024

# The newest entries, by Node: JetStream finds a Node's messages by walking over all the others, so that of a
# thousand agents that come back at once each would have it walk over what all of them missed. A million
# entries of broadcasts fit.
_RECENT_BYTES = 32 * 1024 * 1024

# Replays that are read side by side: what they ask for arrives faster than it is read, and everything else on
# the connection, its pings too, waits behind it. A server cuts a client that lets 64 MiB wait.
_NODES_AT_ONCE = 4

# The newest messages of a full batch are some ten round trips.
_COMPARE_SECONDS = 5.0

_ROWS_OF = select(outbox_events.c.event_id, outbox_events.c.id).where(
    outbox_events.c.event_id.in_(bindparam("events", expanding=True))
)


class JetStreamLog:
    """EventStream and LogAppender over the stream that `ensure` made."""

    def __init__(self, link: NatsLink, metrics: Metrics) -> None:
        self._link = link
        self._metrics = metrics
        self._live: LiveTail | None = None
        self._asking: _Asking | None = None
        self._recent = Recent(_RECENT_BYTES)
        self._reads = trio.CapacityLimiter(_NODES_AT_ONCE)

    # ---- as streams read it

    async def bounds(self) -> Bounds:
        """See EventStream; callers that come together share one question that is asked after all of them."""
        asking = self._asking
        if asking is None:
            asking = self._asking = _Asking()
            try:
                await trio.lowlevel.checkpoint()  # whoever comes in this turn of the loop joins
            finally:
                self._asking = None
            await asking.ask(self._ask_bounds)
        return await asking.wait()

    async def _ask_bounds(self) -> Bounds:
        try:
            info = await self._link.call(lambda: self._link.stream.stream_info(subjects.STREAM))
        except APIError as refusal:
            raise Unavailable("the log is not there") from refusal
        state = info.state
        low = state.first_seq if state.messages else state.last_seq + 1
        self._recent.forget_below(low)
        self._metrics.log_low.set(low)
        self._metrics.log_high.set(state.last_seq)
        return Bounds(low=low, high=state.last_seq)

    async def read_tail(self, after: int) -> Tail:
        """See EventStream. One consumer reads for all; where its place is not `after` it begins anew."""
        live = await self._live_after(after)
        try:
            while True:
                taken = await live.take(_TAIL_ENTRIES)
                if taken:
                    tail = Tail(appended=messages.entries(taken), read_to=taken[-1][0])
                    self._recent.add(after, tail)
                    return tail
                high = (await self.bounds()).high
                if high < live.taken_to:
                    raise Unavailable("the log was made again")
                if high > live.taken_to and await live.is_drained():
                    live.taken_to = high  # what there was is evicted
                    self._recent.clear()
                    return Tail(appended=(), read_to=high)
        except Unavailable:
            self._live = None
            self._recent.clear()
            await live.stop()
            raise

    async def _live_after(self, after: int) -> LiveTail:
        live = self._live
        if live is not None and live.taken_to == after:
            return live
        if live is not None:
            self._live = None
            await live.stop()
        self._recent.clear()
        live = LiveTail(self._link, after)
        await live.start()
        self._live = live
        return live

    async def read_node(self, node_id: str, after: int, up_to: int) -> Tail:
        """See EventStream."""
        if after >= up_to:
            return Tail(appended=(), read_to=up_to)
        held = self._recent.read(node_id, after, up_to, entries=_NODE_ENTRIES, size=_NODE_BYTES)
        if held is not None:
            return held
        ask = partial(
            direct.next_of,
            self._link,
            subjects.of_node("*", node_id),
            after + 1,
            entries=_NODE_ENTRIES,
            size=_NODE_BYTES,
        )
        async with self._reads:
            batch = await self._link.call(ask)
        found = [message for message in batch.messages if message[0] <= up_to]
        whole = not batch.pending or len(found) < len(batch.messages)
        read_to = up_to if whole else found[-1][0]
        return Tail(appended=messages.entries(found), read_to=read_to)

    async def evict(self, through: int | None = None) -> Bounds:
        """Drop entries up to a sequence (all that are retained now, for None); answers the new bounds."""
        keep_from = ((await self.bounds()).high if through is None else through) + 1
        try:
            await self._link.call(lambda: self._link.stream.purge_stream(subjects.STREAM, seq=keep_from))
        except APIError as refusal:
            raise Unavailable("the log is not there") from refusal
        return await self.bounds()

    # ---- as the relay writes it

    def append(self, change: Change, outgoing: Sequence[Outgoing], lease: Lease) -> Landed:
        """See LogAppender. An unsure relay first compares with the newest message of each subject (OUT-3)."""
        if not lease.sure:
            outgoing = self._without_known(change, outgoing)
        seconds = lease.until - time.monotonic()
        if seconds <= 0:
            return Landed(appended=(), owed={out.body.event_id: out.node_ids for out in outgoing})

        async def work() -> publishing.Acknowledged:
            until = asyncio.get_running_loop().time() + seconds
            return await publishing.publish(self._link.publisher, outgoing, until=until)

        done = self._link.call_sync(work, seconds=seconds + publishing.ACK_SECONDS)
        return _landed(outgoing, done.places)

    def _without_known(self, change: Change, outgoing: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Leave out what stands on the log: on each subject everything up to its newest message's row."""
        wanted = sorted(
            {subjects.of_node(out.body.domain_id, node_id) for out in outgoing for node_id in out.node_ids}
        )
        found = self._link.call_sync(partial(direct.last_of, self._link, wanted), seconds=_COMPARE_SECONDS)
        newest = {subject: message_id.partition(".")[0] for _, subject, message_id, _ in found}
        events = {*newest.values(), *(out.body.event_id for out in outgoing)}
        rows: Mapping[str, int] = {
            event_id: row_id
            for event_id, row_id in change.connection.execute(_ROWS_OF, {"events": sorted(events)})
        }
        reached = {subject: rows.get(event_id, 0) for subject, event_id in newest.items()}
        return [
            Outgoing(
                body=out.body,
                node_ids=[
                    node_id
                    for node_id in out.node_ids
                    if rows[out.body.event_id] > reached.get(subjects.of_node(out.body.domain_id, node_id), 0)
                ],
            )
            for out in outgoing
        ]


def _landed(outgoing: Sequence[Outgoing], places: Mapping[int, Sequence[tuple[int, str]]]) -> Landed:
    appended: list[Appended] = []
    owed: dict[str, Sequence[str]] = {}
    for number, out in enumerate(outgoing):
        entries = sorted(places.get(number, ()))
        reached = {node_id for _, node_id in entries}
        if entries:
            appended.append(Appended(body=out.body, entries=entries))
        if missing := [node_id for node_id in out.node_ids if node_id not in reached]:
            owed[out.body.event_id] = missing
    return Landed(appended=appended, owed=owed)


class _Asking:
    """One question and everybody who waits for its answer."""

    __slots__ = ("_answer", "_done")

    def __init__(self) -> None:
        self._done = trio.Event()
        self._answer: Bounds | None = None

    async def ask(self, question: Callable[[], Awaitable[Bounds]]) -> None:
        """Ask, and tell everybody; a cancelled or failed question has no answer."""
        try:
            self._answer = await question()
        finally:
            self._done.set()

    async def wait(self) -> Bounds:
        """The answer. Raises Unavailable."""
        await self._done.wait()
        if self._answer is None:
            raise Unavailable("the log cannot be reached")
        return self._answer
