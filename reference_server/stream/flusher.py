"""Writes what streams have pending: one task for all, one more only for a peer whose window is full."""

from collections.abc import Callable

import trio

from reference_server.stream.limits import Limits
from reference_server.stream.session import End, Move, Session, Stage

# Measured (performance.md): rarely enough to cost nothing, often enough that the reader gets in between.
_WRITES_PER_TURN = 256

# Looked at for every write; a member of an Enum costs a tenth of a microsecond each time it is named.
_OVER, _ENDING = Stage.OVER, Stage.ENDING

Lose = Callable[[Session, End], None]


class Flusher:
    """`mark` a stream that has something pending; `run` writes it, joined, without waiting for anyone."""

    def __init__(self, limits: Limits, lose: Lose) -> None:
        self._patience = limits.dead_peer_seconds
        self._lose = lose
        self._dirty: list[Session] = []
        self._woken = trio.Event()
        self._passed = trio.Event()
        self._passing = False
        self._nursery: trio.Nursery | None = None

    def mark(self, session: Session) -> None:
        """Have a stream's pending bytes written in the next pass."""
        if not session.dirty and not session.blocked:
            session.dirty = True
            self._dirty.append(session)
            self._woken.set()

    async def wait_pass(self) -> None:
        """Returns once all that is pending now has been offered to its peers."""
        if self._passing:
            await self._passed.wait()
        if self._dirty:
            await self._passed.wait()

    async def run(self) -> None:
        """Write until cancelled."""
        async with trio.open_nursery() as self._nursery:
            while True:
                await self._woken.wait()
                self._woken = trio.Event()
                self._passing = True
                await self._pass()
                self._passing = False
                self._passed.set()
                self._passed = trio.Event()
                await trio.lowlevel.checkpoint()

    async def _pass(self) -> None:
        batch, self._dirty = self._dirty, []
        now = trio.current_time()
        for count, session in enumerate(batch, 1):
            session.dirty = False
            if not session.blocked and not self.push(session, now) and self._nursery is not None:
                session.blocked = True
                self._nursery.start_soon(self.drain, session)
            if count % _WRITES_PER_TURN == 0:
                await trio.lowlevel.checkpoint()
                now = trio.current_time()

    def push(self, session: Session, now: float) -> bool:
        """Offer a stream's bytes to its peer; False when the window is full and some are left."""
        while session.stage is not _OVER:
            data = session.unsent or session.take()
            if not data:
                break
            try:
                sent = session.peer.send_nowait(data)
            except OSError:
                self._lose(session, End.PEER_LEFT)
                return True
            if sent:
                session.last_write = now
            if sent < len(data):
                session.unsent = memoryview(data)[sent:]
                return False
            session.unsent = None
            if not session.pending and session.stage is not _ENDING:
                break
        if session.stage is _ENDING:
            session.make(Move.SAY_ALL)
            session.peer.finish()
        return True

    async def drain(self, session: Session) -> None:
        """Write until nothing is left; a peer that takes nothing for too long is cut."""
        session.blocked = True
        try:
            while session.stage is not Stage.OVER:
                with trio.move_on_after(self._patience) as patience:
                    await session.peer.wait_writable()
                if patience.cancelled_caught:
                    self._lose(session, End.DEAD_PEER)
                elif self.push(session, trio.current_time()):
                    return
        except trio.ClosedResourceError:
            pass  # the stream was lost meanwhile
        finally:
            session.blocked = False
