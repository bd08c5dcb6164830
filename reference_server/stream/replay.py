"""From a cursor to the live tail: read the log in pieces, then join without gap or repeat (CUR-2)."""

from collections.abc import Callable, Sequence

import trio

from reference_server.ports import Appended, EventStream, NonceStore, SignedBody, Tail, Unavailable
from reference_server.stream.flusher import Flusher
from reference_server.stream.reader import Reader
from reference_server.stream.ready import Readied, Ready, Refused
from reference_server.stream.session import End, Move, Session, Stage
from reference_server.stream.withheld import REPLAYED, Withheld, Withholding

Mapped = dict[bytes, Ready | Refused]


class Evicted(Exception):
    """Entries went before the replay had read them."""


class Replay:
    """Brings a stream from where its cursor stands to the reader's place.

    The stream holds what the tail brings while a piece that may be the last is read; when it was not the
    last, what was held is dropped and read again with the next piece.
    """

    def __init__(
        self,
        *,
        log: EventStream,
        nonces: NonceStore,
        readied: Readied,
        reader: Reader,
        flusher: Flusher,
        withholding: Withholding,
        end: Callable[[Session, End], None],
    ) -> None:
        self._log = log
        self._nonces = nonces
        self._readied = readied
        self._reader = reader
        self._flusher = flusher
        self._withholding = withholding
        self._end = end

    async def run(self, session: Session) -> None:
        """Returns when the stream is live, or on its way out."""
        place = session.last
        try:
            while session.stage is Stage.REPLAYING:
                place = await self._step(session, place)
        except Evicted:
            self._end(session, End.EVICTED)
        except Unavailable:
            self._end(session, End.BUS_AWAY)

    async def _step(self, session: Session, place: int) -> int:
        """One piece; answers the sequence up to which everything was read."""
        session.make(Move.HOLD)
        target = self._reader.read_to
        if place >= target:
            self._join(session)
            return place
        tail = await self._log.read_node(session.node_id, place, target)
        if (await self._log.bounds()).low - 1 > place:
            raise Evicted
        recorded = await self._look_up(session, tail)
        judged = await self._judge(tail)
        if session.stage not in (Stage.JOINING, Stage.REPLAYING):
            return place
        self._deliver(session, tail, recorded, judged)
        if session.stage is Stage.JOINING and tail.read_to >= target:
            self._join(session)
        else:
            await self._fall_back(session)
        return tail.read_to

    async def _look_up(self, session: Session, tail: Tail) -> Sequence[int | None]:
        event_ids = [appended.body.event_id for appended in tail.appended for _ in appended.entries]
        return await self._nonces.look_up_node(session.node_id, event_ids)

    async def _judge(self, tail: Tail) -> Mapped:
        known = self._readied.known
        judged: Mapped = {}
        missing: list[SignedBody] = []
        for appended in tail.appended:
            ready = known.get(appended.body.wire)
            if ready is None:
                missing.append(appended.body)
            else:
                judged[appended.body.wire] = ready
        if missing:
            judged.update(await self._readied.prepare(missing))
        return judged

    def _deliver(self, session: Session, tail: Tail, recorded: Sequence[int | None], judged: Mapped) -> None:
        firsts = iter(recorded)
        for appended in tail.appended:
            ready = judged[appended.body.wire]
            for sequence, _ in appended.entries:
                first = next(firsts)
                if first is not None and first < sequence:
                    self._withhold(session, appended, sequence, REPLAYED)
                elif isinstance(ready, Refused):
                    self._withhold(session, appended, sequence, ready.reason)
                elif (reason := session.deliver(sequence, ready)) is not None:
                    self._withhold(session, appended, sequence, reason)

    def _withhold(self, session: Session, appended: Appended, sequence: int, reason: str) -> None:
        self._withholding.withhold(
            Withheld(
                reason=reason,
                event_id=appended.body.event_id,
                node_id=session.node_id,
                domain_id=appended.body.domain_id,
                sequence=sequence,
            )
        )

    def _join(self, session: Session) -> None:
        """Go live behind the last piece, with what the tail brought meanwhile."""
        session.make(Move.CATCH_UP)
        for sequence, appended, ready in session.release():
            reason = session.deliver(sequence, ready)
            if reason is not None:
                self._withhold(session, appended, sequence, reason)
        if session.pending:
            self._flusher.mark(session)

    async def _fall_back(self, session: Session) -> None:
        """Write what was read before reading on, at the peer's own pace."""
        session.release()
        if session.stage is Stage.JOINING:
            session.make(Move.FALL_BACK)
        if session.pending and not self._flusher.push(session, trio.current_time()):
            await self._flusher.drain(session)
        else:
            await trio.lowlevel.checkpoint()
