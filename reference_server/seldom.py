"""What would be told many times a second is told once a minute."""

import threading
import time
from collections.abc import Callable, Hashable

SECONDS = 60.0


class Seldom:
    """Says, by key, whether a minute has passed since it last said yes; any thread may ask.

    It remembers the keys of one minute.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[Hashable, float] = {}  # the oldest first
        self._one = threading.Lock()

    def due(self, key: Hashable = None) -> bool:
        """True for the first to ask in a minute."""
        with self._one:
            now = self._clock()
            while self._said and now - next(iter(self._said.values())) >= SECONDS:
                del self._said[next(iter(self._said))]
            if key in self._said:
                return False
            self._said[key] = now
            return True
