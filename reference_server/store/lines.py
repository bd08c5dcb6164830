"""The lines to a Postgres database: lent to one thread at a time, with a deadline for every wait."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from reference_server.ports import Unavailable
from reference_server.store import dialing, refusals
from reference_server.store.dialing import Dialer, Line

T = TypeVar("T")

# A transaction of a producer takes a few milliseconds; more lines than this only wait for the interpreter.
LINES = 8

# Whoever has waited so long for a line is told that the database is away: all of them hang.
_WAIT_SECONDS = 3.0

# Once the database was out of reach, callers are refused at once for so long: not each waits for it anew.
_REST_SECONDS = 0.5


class Lines:
    """A bounded number of lines, opened when needed; a broken or a cancelled one is never lent again."""

    def __init__(self, dialer: Dialer, *, size: int = LINES) -> None:
        self._dialer = dialer
        self._idle: list[Line] = []
        self._size = size
        self._slots = trio.CapacityLimiter(size)
        # Threads of cancelled calls end a moment after their callers, and others do not wait for them.
        self._threads = trio.CapacityLimiter(2 * size)
        self._dialing = trio.Lock()
        self._rests_until = 0.0
        self._closed = False

    async def lend(self, work: Callable[[Line], T]) -> T:
        """Run `work` in a thread with a line of its own. Raises Unavailable.

        A cancelled call cuts its line, so that the thread ends and the database rolls back.
        """
        async with self._slot():
            line = await self._line()
            try:
                return await self._in_thread(lambda: _done(work, line))
            except trio.Cancelled:
                line.cut()
                raise
            except Unavailable as failure:
                if refusals.is_out_of_reach(failure):
                    self._close()  # what broke one line broke all that stand idle
                raise
            finally:
                if not line.is_cut:
                    self._idle.append(line)

    async def aclose(self) -> None:
        """Wait for what runs, then close every line."""
        self._closed = True
        with trio.CancelScope(shield=True):
            holders = [object() for _ in range(self._size)]
            for holder in holders:
                await self._slots.acquire_on_behalf_of(holder)
            await trio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._closed:
            raise Unavailable("the database is closed")
        holder = object()
        with trio.move_on_after(_WAIT_SECONDS) as waited:
            await self._slots.acquire_on_behalf_of(holder)
        if waited.cancelled_caught:
            raise Unavailable("the database takes too long to answer")
        try:
            yield
        finally:
            self._slots.release_on_behalf_of(holder)

    async def _line(self) -> Line:
        if self._idle:
            return self._idle.pop()
        async with self._dialing:
            if trio.current_time() < self._rests_until:
                raise Unavailable("the database cannot be reached")
            try:
                return await dialing.dialed(self._dial, self._threads)
            except Unavailable:
                self._rests_until = trio.current_time() + _REST_SECONDS
                raise

    def _dial(self) -> Line:
        with refusals.as_unavailable():
            return self._dialer.line()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._threads, abandon_on_cancel=True)


def _done(work: Callable[[Line], T], line: Line) -> T:
    """The work's result, or its own refusal, rolled back; a line that failed or was cut is closed."""
    try:
        with refusals.as_unavailable():
            return work(line)
    except (Unavailable, *refusals.OF_LINES):
        line.cut()
        raise
    finally:
        if line.is_cut:
            line.close()
