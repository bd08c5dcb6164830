"""The load canary: notices when our own machine stalls, so that no target is blamed for it."""

import time
from collections.abc import Callable

import trio

# Short against every time that a check measures (the shortest is the 1 s of SSE-7).
BEAT_SECONDS = 0.05

# A stall this long can turn a kept 1 s limit into a missed one.
STALL_NS = 250_000_000


class Canary:
    """Sleeps in short beats and writes down each that came late: (when it began, how late), nanoseconds."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.stalls: list[tuple[int, int]] = []

    async def sing(self) -> None:
        """Runs until cancelled."""
        while True:
            began, busy = self._now(), time.monotonic_ns()
            await trio.sleep(BEAT_SECONDS)
            late = time.monotonic_ns() - busy - int(BEAT_SECONDS * 1e9)
            if late > STALL_NS:
                self.stalls.append((began, late))

    def longest(self, since: int, until: int) -> int:
        """The longest stall that touches the interval, 0 if there was none."""
        return max(
            (late for began, late in self.stalls if began + late >= since and began <= until), default=0
        )
