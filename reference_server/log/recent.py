"""The newest part of the log by Node, kept by whoever reads the tail: resumes by the thousand ask nobody."""

from array import array
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field

from reference_server.ports import Appended, SignedBody, Tail

# A part is dropped as a whole; some sixteen of them fill the bound.
_PARTS = 16

# What a place costs, a Node in a part beside its places, and a body beside its bytes.
_PLACE_BYTES, _NODE_BYTES, _BODY_BYTES = 16, 400, 400


@dataclass(slots=True, kw_only=True)
class _Part:
    """Consecutive entries: by Node their sequences, and beside each the number of its body."""

    after: int
    read_to: int
    bodies: list[SignedBody] = field(default_factory=list)
    places: dict[str, tuple["array[int]", "array[int]"]] = field(default_factory=dict)
    size: int = 0

    def add(self, appended: Appended) -> None:
        number, before = len(self.bodies), len(self.places)
        self.bodies.append(appended.body)
        for sequence, node_id in appended.entries:
            held = self.places.get(node_id)
            if held is None:
                held = self.places[node_id] = (array("Q"), array("L"))
            held[0].append(sequence)
            held[1].append(number)
        self.size += _BODY_BYTES + len(appended.body.wire) + _PLACE_BYTES * len(appended.entries)
        self.size += _NODE_BYTES * (len(self.places) - before)


class Recent:
    """What the tail brought without a gap, bounded in bytes, oldest out first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: deque[_Part] = deque()
        self._bytes = 0

    def clear(self) -> None:
        """The log may be another one from now on."""
        self._parts.clear()
        self._bytes = 0

    def add(self, after: int, tail: Tail) -> None:
        """Take what the tail brought behind `after`."""
        if self._parts and self._parts[-1].read_to != after:
            self.clear()
        if not self._parts or self._parts[-1].size > self._max_bytes // _PARTS:
            self._parts.append(_Part(after=after, read_to=after))
        part = self._parts[-1]
        before = part.size
        for appended in tail.appended:
            part.add(appended)
        part.read_to = tail.read_to
        self._bytes += part.size - before
        while self._bytes > self._max_bytes:
            self._bytes -= self._parts.popleft().size

    def forget_below(self, low: int) -> None:
        """Drop what the log no longer retains; a part that holds some of that goes whole."""
        while self._parts and self._parts[0].after < low - 1:
            self._bytes -= self._parts.popleft().size

    def read(self, node_id: str, after: int, up_to: int, *, entries: int, size: int) -> Tail | None:
        """A Node's entries with after < sequence <= up_to, bounded; None where not all of them are here."""
        if not self._parts or after < self._parts[0].after or up_to > self._parts[-1].read_to:
            return None
        found: list[Appended] = []
        for part in self._parts:
            sequences, numbers = part.places.get(node_id, _NONE)
            for at in range(bisect_right(sequences, after), bisect_right(sequences, up_to)):
                body = part.bodies[numbers[at]]
                found.append(Appended(body=body, entries=((sequences[at], node_id),)))
                size -= len(body.wire)
                if len(found) == entries or size <= 0:
                    return Tail(appended=found, read_to=sequences[at])
        return Tail(appended=found, read_to=up_to)


_NONE: tuple["array[int]", "array[int]"] = (array("Q"), array("L"))
