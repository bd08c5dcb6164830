"""A stream under observation: read in the background, every piece with its time, until somebody ends it."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import trio

from conformance.probe.frames import Frame, FrameSplitter
from conformance.probe.recorder import Tape
from conformance.probe.transcript import Ending, Head, Received

# A head must come at once (SSE-6); this is only how long a scenario waits before it goes on without.
HEAD_SECONDS = 10.0

# A frame follows its commit within a second (SSE-7); waiting longer keeps a slow answer in the transcript.
FRAME_SECONDS = 10.0

# A refusal is a few hundred bytes; whoever has not sent them by then is left with what there is.
REFUSAL_SECONDS = 3.0


class StreamProbe:
    """One open stream. Its waits never raise: they return what is there when the time is over."""

    __slots__ = ("_changed", "_reads", "_scope", "_splitter", "finished", "seen", "tape")

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.seen: list[Frame] = []
        self.finished = trio.Event()
        self._changed = trio.Event()
        self._splitter = FrameSplitter()
        self._scope = trio.CancelScope()
        self._reads = trio.Event()
        self._reads.set()
        tape.on_piece = self._arrived
        tape.before_read = self._may_read

    async def head(self, within: float = HEAD_SECONDS) -> Head | None:
        """The response head, or None if none came in time."""
        await self._wait(lambda: self.tape.head is not None, within)
        return self.tape.head

    async def frames(self, n: int, within: float = FRAME_SECONDS) -> tuple[Frame, ...]:
        """The first `n` event frames since the stream began, fewer if the time or the stream ended before."""
        await self._wait(lambda: len(self.events) >= n, within)
        return self.events[:n]

    async def until(self, wanted: Callable[[Frame], bool], within: float = FRAME_SECONDS) -> Frame | None:
        """The first block (comments too) that satisfies `wanted`, also one that is already here."""
        await self._wait(lambda: any(wanted(frame) for frame in self.seen), within)
        return next((frame for frame in self.seen if wanted(frame)), None)

    async def ended(self, within: float = FRAME_SECONDS) -> bool:
        """True if the stream is over, by whomever, within the time."""
        await self._wait(lambda: False, within)
        return self.finished.is_set()

    async def refused_in_full(self) -> None:
        """Waits for the rest of an answer that is no stream: its head often comes before its problem."""
        if self.tape.head is not None and self.tape.head.status != HTTPStatus.OK:
            await self.ended(REFUSAL_SECONDS)

    def pause(self) -> None:
        """Stops reading, so that the peer's bytes pile up; a read that is under way is the last."""
        self._reads = trio.Event()

    def go_on(self) -> None:
        """Reads again."""
        self._reads.set()

    def leave(self) -> None:
        """Hangs up on purpose."""
        self.tape.end(Ending.LEFT)
        self._scope.cancel()

    @property
    def events(self) -> tuple[Frame, ...]:
        """The event frames so far."""
        return tuple(frame for frame in self.seen if not frame.comment)

    @property
    def last_id(self) -> str | None:
        """The id of the last event frame so far."""
        return next((frame.id for frame in reversed(self.seen) if frame.id), None)

    async def pump(self, drive: Callable[[], Awaitable[None]]) -> None:
        """Reads to the end; the stage runs it in the background."""
        try:
            with self._scope:
                await drive()
        finally:
            self.tape.end(Ending.LEFT)
            self.finished.set()
            self._wake()

    async def _may_read(self) -> None:
        await self._reads.wait()

    def _arrived(self, piece: Received) -> None:
        self.seen.extend(self._splitter.feed(piece.at, piece.body))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _wait(self, reached: Callable[[], bool], within: float) -> None:
        with trio.move_on_after(within):
            while not reached() and not self.finished.is_set():
                await self._changed.wait()
