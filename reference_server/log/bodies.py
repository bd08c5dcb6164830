"""Bodies that replays have read lately: those of a broadcast are read once for all its Nodes."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from reference_server.ports import SignedBody


class BodyCache:
    """Bodies by row id, bounded in bytes, least recently used out first; shared by the reading threads."""

    __slots__ = ("_bodies", "_bytes", "_lock", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bodies: OrderedDict[int, SignedBody] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def find(self, ids: Iterable[int]) -> dict[int, SignedBody]:
        """Those that are here."""
        with self._lock:
            found = {body_id: body for body_id in ids if (body := self._bodies.get(body_id)) is not None}
            for body_id in found:
                self._bodies.move_to_end(body_id)
        return found

    def add(self, bodies: Mapping[int, SignedBody]) -> None:
        """Keep what was read."""
        with self._lock:
            for body_id, body in bodies.items():
                if body_id not in self._bodies:
                    self._bodies[body_id] = body
                    self._bytes += len(body.wire)
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._bodies.popitem(last=False)[1].wire)
