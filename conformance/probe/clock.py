"""The run's clock: nanoseconds since the run began, anchored once to the wall."""

import time


class RunClock:
    """One monotonic clock for every transcript of a run."""

    __slots__ = ("_origin", "started_wall")

    def __init__(self) -> None:
        self._origin = time.monotonic_ns()
        self.started_wall = time.time()

    def now(self) -> int:
        """Nanoseconds since the run began."""
        return time.monotonic_ns() - self._origin
