"""Every open stream of this process: who they are, what they are fed, when they end (SSE-7…9, GATE-15)."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

import trio

from reference_server.metrics import Metrics
from reference_server.ports import (
    Appended,
    Bounds,
    Caller,
    EventStream,
    NonceStore,
    SignatureVerifier,
    Tail,
    Unavailable,
)
from reference_server.stream.flusher import Flusher
from reference_server.stream.limits import Limits
from reference_server.stream.reader import Judged, Reader
from reference_server.stream.ready import Readied, Ready, Refused
from reference_server.stream.replay import Replay
from reference_server.stream.session import End, Move, Session, Stage
from reference_server.stream.standing import Vouching
from reference_server.stream.wheel import Wheel
from reference_server.stream.withheld import REPLAYED, Withheld, Withholding
from reference_server.wire import frames
from reference_server.wire.messages import Peer

# A stream never gathers more than this share of its bound between two passes of the flusher.
_SHARE_PER_PASS = 4

# Looks at streams that are on their way out; far below Limits.ending_seconds.
_REAP_SECONDS = 0.25

# The loop over the entries of a broadcast looks at these a thousand times.
_LIVE, _JOINING = Stage.LIVE, Stage.JOINING

# Streams looked at between two yields (GATE-15).
_LOOKS_PER_TURN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What the gates found out: whose stream, for whom, and after which sequence it starts."""

    node_id: str
    domain_id: str
    caller: Caller
    after: int
    rung: int


class Hub:
    """One per process. `run` it; `serve` holds one stream until it is over."""

    def __init__(
        self,
        *,
        log: EventStream,
        nonces: NonceStore,
        verifier: SignatureVerifier,
        standing: Vouching,
        tell_withheld: Callable[[Withheld], None],
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._log = log
        self._nonces = nonces
        self._standing = standing
        self._limits = limits
        self._metrics = metrics
        self._sessions: dict[Session, float | None] = {}  # by when an ending one must be over
        self._by_node: dict[str, tuple[Session, ...]] = {}
        self._emptied = trio.lowlevel.ParkingLot()
        self._stopping = False
        self._room = limits.pending_bytes // _SHARE_PER_PASS
        self._wheel = Wheel(limits.keep_alive_seconds, self._silent)
        self._withholding = Withholding(metrics, tell_withheld)
        self._flusher = Flusher(limits, self.lose)
        readied = Readied(verifier)
        self.reader = Reader(log=log, nonces=nonces, readied=readied, audience=self)
        self._replay = Replay(
            log=log,
            nonces=nonces,
            readied=readied,
            reader=self.reader,
            flusher=self._flusher,
            withholding=self._withholding,
            end=self.end,
        )

    # ---- life

    async def run(self) -> None:
        """Feed, write and watch streams until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.reader.run)
            nursery.start_soon(self._flusher.run)
            nursery.start_soon(self._turn_wheel)
            nursery.start_soon(self._reap)
            nursery.start_soon(self._recheck)

    async def stop(self, grace_seconds: float) -> None:
        """End every stream at a frame boundary; what is not over within the grace is cut (SSE-8)."""
        self._stopping = True
        self.end_all(End.STOPPING)
        with trio.move_on_after(grace_seconds):
            while self._sessions:
                await self._emptied.park()
        for session in list(self._sessions):
            self.lose(session, End.STOPPING)

    async def window(self) -> Bounds:
        """The log's Bounds, while one more stream can be served. Raises Unavailable."""
        if self._stopping or len(self._sessions) >= self._limits.total:
            raise Unavailable("no more streams here")
        return await self.reader.window()

    async def serve(self, admitted: Admitted, peer: Peer, chunked: bool) -> None:
        """Hold a stream whose head has been sent, until its connection is over."""
        session = Session(
            node_id=admitted.node_id,
            domain_id=admitted.domain_id,
            caller=admitted.caller,
            rung=admitted.rung,
            after=admitted.after,
            peer=peer,
            chunked=chunked,
        )
        self._enter(session)
        try:
            await self._replay.run(session)
            if session.stage is not Stage.OVER:  # the number of a closed connection may be another's already
                await peer.wait_gone()
        finally:
            self.lose(session, End.PEER_LEFT)

    def _enter(self, session: Session) -> None:
        others = self._by_node.get(session.node_id, ())
        if len(others) >= self._limits.per_node:
            self.end(others[0], End.NEWER_STREAM)
        self._by_node[session.node_id] = (*self._by_node.get(session.node_id, ()), session)
        self._sessions[session] = None
        session.last_write = trio.current_time()
        self._wheel.watch(session)
        self._metrics.streams.inc()
        self._metrics.streams_opened.inc()
        if self._stopping or not self.reader.current:
            self.end(session, End.STOPPING if self._stopping else End.BUS_AWAY)

    # ---- ends

    def end(self, session: Session, reason: End) -> None:
        """End a stream behind its last whole frame."""
        if not session.can(Move.END):
            return
        session.make(Move.END)
        session.end = reason
        session.release()
        self._unlist(session)
        self._sessions[session] = trio.current_time() + self._limits.ending_seconds
        self._flusher.mark(session)

    def lose(self, session: Session, reason: End) -> None:
        """Let go of a connection that is gone, or cut one."""
        if session.stage is Stage.OVER:
            return
        left = session.stage is Stage.FINISHED or reason is End.PEER_LEFT
        session.make(Move.LOSE)
        session.end = session.end or reason
        session.pending, session.pending_bytes, session.unsent = [], 0, None
        session.release()
        self._unlist(session)
        del self._sessions[session]
        self._metrics.streams.dec()
        self._metrics.streams_ended.labels(reason=session.end).inc()
        if not self._sessions:
            self._emptied.unpark_all()
        if left:
            session.peer.close()
        else:
            session.peer.abort()

    def end_streams(self, node_id: str) -> int:
        """End a Node's streams: its credential or its relation is gone (GATE-15); answers how many."""
        return self._end_several(self._by_node.get(node_id, ()), End.NOT_ADMITTED_ANY_MORE)

    def drop_streams(self, node_id: str | None = None) -> int:
        """End a Node's streams, or all, as a lost network would; answers how many."""
        chosen = tuple(self._sessions) if node_id is None else self._by_node.get(node_id, ())
        return self._end_several(chosen, End.DROPPED)

    def end_all(self, reason: End) -> None:
        """End every stream."""
        self._end_several(tuple(self._sessions), reason)

    def end_of_body(self, appended: Appended, reason: End) -> None:
        """See Audience."""
        for _, node_id in appended.entries:
            self._end_several(self._by_node.get(node_id, ()), reason)

    def _end_several(self, sessions: tuple[Session, ...], reason: End) -> int:
        count = 0
        for session in sessions:
            count += session.can(Move.END)
            self.end(session, reason)
        return count

    def _unlist(self, session: Session) -> None:
        left = tuple(other for other in self._by_node.get(session.node_id, ()) if other is not session)
        if left:
            self._by_node[session.node_id] = left
        else:
            self._by_node.pop(session.node_id, None)

    # ---- feeding

    def wants(self, appended: Appended) -> bool:
        """See Audience."""
        by_node = self._by_node
        return any(node_id in by_node for _, node_id in appended.entries)

    def dispatch(self, tail: Tail, judged: Judged, replayed: Collection[int]) -> None:
        """See Audience."""
        delivered = size = 0
        for appended in tail.appended:
            ready = judged.get(appended.body.wire)
            if isinstance(ready, Ready):
                count = self._hand_out(appended, ready, replayed)
                delivered += count
                size += count * ready.size
                self._room -= ready.size
            elif ready is not None:
                self._refuse(appended, ready)
            if replayed:
                self._tell_replayed(appended, replayed)
        self._metrics.frames.inc(delivered)
        self._metrics.frame_bytes.inc(size)

    def _hand_out(self, appended: Appended, ready: Ready, replayed: Collection[int]) -> int:
        delivered = 0
        by_node, mark = self._by_node, self._flusher.mark
        for sequence, node_id in appended.entries:
            sessions = by_node.get(node_id)
            if sessions is None or (replayed and sequence in replayed):
                continue
            for session in sessions:
                if session.stage is _LIVE:
                    reason = session.deliver(sequence, ready)
                    if reason is not None:
                        self._withhold(appended, sequence, node_id, reason)
                    delivered += 1
                    if session.blocked:
                        self._check_backlog(session)
                    elif not session.dirty:
                        mark(session)
                elif session.stage is _JOINING:
                    self._hold(session, sequence, appended, ready)
        return delivered

    def _check_backlog(self, session: Session) -> None:
        if session.backlog() > self._limits.pending_bytes:
            self.lose(session, End.SLOW_READER)

    def _hold(self, session: Session, sequence: int, appended: Appended, ready: Ready) -> None:
        session.hold(sequence, appended, ready)
        if session.held_bytes > self._limits.pending_bytes:
            session.release()
            session.make(Move.FALL_BACK)

    def _refuse(self, appended: Appended, refused: Refused) -> None:
        for sequence, node_id in appended.entries:
            if node_id in self._by_node:
                self._withhold(appended, sequence, node_id, refused.reason)

    def _tell_replayed(self, appended: Appended, replayed: Collection[int]) -> None:
        for sequence, node_id in appended.entries:
            if sequence in replayed:
                self._withhold(appended, sequence, node_id, REPLAYED)

    def _withhold(self, appended: Appended, sequence: int, node_id: str, reason: str) -> None:
        self._withholding.withhold(
            Withheld(
                reason=reason,
                event_id=appended.body.event_id,
                node_id=node_id,
                domain_id=appended.body.domain_id,
                sequence=sequence,
            )
        )

    async def wait_room(self) -> None:
        """See Audience: no stream that reads in time gathers more than its share before it is written."""
        if self._room < 0:
            self._room = self._limits.pending_bytes // _SHARE_PER_PASS
            await self._flusher.wait_pass()

    # ---- watching

    def _silent(self, session: Session) -> bool:
        """A silence has lasted (SSE-4); says whether to watch on."""
        if session.stage is Stage.LIVE and not session.pending and not session.blocked:
            session.say(frames.KEEP_ALIVE)
            self._flusher.mark(session)
        return session.can(Move.END)

    async def _turn_wheel(self) -> None:
        due = trio.current_time()
        while True:
            due += self._wheel.tick_seconds
            await trio.sleep_until(due)
            self._wheel.turn(trio.current_time())

    async def _reap(self) -> None:
        """Let go of streams that were to end and whose peers do not read, or do not close."""
        while True:
            await trio.sleep(_REAP_SECONDS)
            now = trio.current_time()
            late = [session for session, until in self._sessions.items() if until is not None and until < now]
            for session in late:
                self.lose(session, End.DEAD_PEER)

    async def _recheck(self) -> None:
        """Hold open streams against revocations (GATE-15); drop nonces as the log drops entries (LOG-5)."""
        while True:
            await trio.sleep(self._limits.recheck_seconds)
            with suppress(Unavailable):  # GATE-15 counts while the database answers
                await self._look_again()
            await self._forget_evicted()

    async def _look_again(self) -> None:
        """Only streams that are new, or whose Domain was changed, need another look."""
        version = self._standing.version
        doubtful = [
            (session, now)
            for session in self._sessions
            if session.vouched != (now := version(session.domain_id)) or session.caller.node_id is None
        ]
        if not doubtful:
            return
        fallen = await self._standing.fallen()
        for count, (session, now) in enumerate(doubtful, 1):
            if await self._standing.holds(fallen, session.caller, session.node_id):
                session.vouched = now
            else:
                self.end(session, End.NOT_ADMITTED_ANY_MORE)
            if count % _LOOKS_PER_TURN == 0:
                await trio.lowlevel.checkpoint()

    async def _forget_evicted(self) -> None:
        with suppress(Unavailable):
            await self._nonces.forget_below((await self._log.bounds()).low)
