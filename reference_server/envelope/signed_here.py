"""The wire forms that this process signed itself: they count as verified (LOG-4)."""

import threading
from collections import OrderedDict

# Some 40,000 ordinary envelopes; what has fallen out is verified like anybody's.
_MAX_BYTES = 16 * 1024 * 1024


class SignedHere:
    """A bounded set of wire forms, oldest out first; holds the very bytes, so nothing can pass for another.

    The relay adds from its thread while the stream side asks from the event loop.
    """

    __slots__ = ("_bytes", "_lock", "_max_bytes", "_wires")

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._wires: OrderedDict[bytes, None] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    def add(self, wire: bytes) -> None:
        """Remember a wire form."""
        with self._lock:
            if wire in self._wires:
                return
            self._wires[wire] = None
            self._bytes += len(wire)
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._wires.popitem(last=False)[0])

    def __contains__(self, wire: object) -> bool:
        """Whether exactly these bytes were signed here, not long ago; Python keeps the hash of bytes."""
        return wire in self._wires
