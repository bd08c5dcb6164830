"""The wall clock of the server, which the fault channel may move forward."""

import math
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's clock plus what it was moved forward by; never moved back."""

    __slots__ = ("_ahead",)

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC) + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock forward for good. Raises ValueError for what is not forward or not finite."""
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError("the clock only moves forward")
        self._ahead += timedelta(seconds=seconds)
