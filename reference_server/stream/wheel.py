"""One timer wheel for all keep-alives: a slot per tick, a stream looked at once per silence (SSE-4)."""

from collections.abc import Callable, Iterable

from reference_server.stream.session import Session

# A silence may be longer than asked by one tick; SSE-4 tolerates 5 s on 25.
_TICKS = 100


class Wheel:
    """Streams by the tick at which their silence is looked at; `turn` is called once a tick.

    A stream that was written to meanwhile moves on to a later slot; nothing happens at a write.
    """

    __slots__ = ("_expired", "_hand", "_seconds", "_slots", "tick_seconds")

    def __init__(self, seconds: float, expired: Callable[[Session], bool]) -> None:
        """`expired` is told of each silent stream and says whether to keep watching it."""
        self._seconds = seconds
        self.tick_seconds = seconds / _TICKS
        self._expired = expired
        self._slots: list[list[Session]] = [[] for _ in range(_TICKS + 1)]
        self._hand = 0

    def watch(self, session: Session) -> None:
        """Look at a stream for the first time one silence from now."""
        self._put(session, _TICKS)

    def turn(self, now: float) -> None:
        """Move on by one tick; `now` is the clock of `last_write`."""
        self._hand = (self._hand + 1) % len(self._slots)
        due, self._slots[self._hand] = self._slots[self._hand], []
        for session in due:
            left = session.last_write + self._seconds - now
            if left > 0:
                self._put(session, min(int(left / self.tick_seconds) + 1, _TICKS))
            elif self._expired(session):
                self._put(session, _TICKS)

    def _put(self, session: Session, ticks: int) -> None:
        self._slots[(self._hand + ticks) % len(self._slots)].append(session)

    def watched(self) -> Iterable[Session]:
        """Every stream on the wheel."""
        return (session for slot in self._slots for session in slot)
