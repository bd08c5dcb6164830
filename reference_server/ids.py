"""Fresh identifiers: UUIDv7 (RFC 9562 section 5.7), ascending within the process."""

import os
import threading
from datetime import UTC, datetime, timedelta

from reference_server.ports import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

# RFC 9562 section 5.7: 12 bits of rand_a and 62 of rand_b stand behind the 48 bits of the time.
_RANDOM_BITS = 74
_RAND_B_BITS = 62
_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62

# RFC 9562 section 6.2, method 2: the random part grows by a random step within one millisecond, so that
# an id cannot be guessed from its neighbour; 32 bits leave room for 2^41 ids in a millisecond.
_STEP_BYTES = 4


class Uuid7Ids:
    """Makes lower-case UUIDv7 texts, each greater than the one before; safe to call from any thread."""

    __slots__ = ("_clock", "_lock", "_millisecond", "_random")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._millisecond = 0
        self._random = 0

    def uuid7(self) -> str:
        """A fresh identifier."""
        with self._lock:
            self._advance((self._clock.now() - _EPOCH) // _MILLISECOND)
            millisecond, random = self._millisecond, self._random
        rand_a, rand_b = random >> _RAND_B_BITS, random & ((1 << _RAND_B_BITS) - 1)
        text = f"{(millisecond << 80) | _VERSION | (rand_a << 64) | _VARIANT | rand_b:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _advance(self, millisecond: int) -> None:
        if millisecond <= self._millisecond:
            self._random += 1 + int.from_bytes(os.urandom(_STEP_BYTES))
            if self._random >> _RANDOM_BITS == 0:
                return
            millisecond = self._millisecond + 1
        self._millisecond = millisecond
        self._random = int.from_bytes(os.urandom(10)) >> (80 - _RANDOM_BITS + 1)  # half the room stays free
