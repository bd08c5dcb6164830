"""The NonceStore of one process, in memory: bounded by what the log retains (LOG-5, LOG-6)."""

from collections.abc import Collection, Sequence

from reference_server.ports import Appended, Layer, Sighting
from reference_server.stream.places import Places, parts, retained, see


class MemoryNonces:
    """Remembers the lowest sequence of each nonce until `forget_below` passes its last repetition.

    A nonce is `<event id>.<node id>`; kept by event, a broadcast costs one look and one small table. Fed in
    sequence order by one reader, so the oldest events stand first.
    """

    __slots__ = ("_events", "layer")

    shared = False

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self._events: dict[str, Places] = {}

    async def admit(self, sightings: Sequence[tuple[str, int]]) -> Sequence[Sighting]:
        """See NonceStore."""
        return [self._see(*parts(nonce), sequence) for nonce, sequence in sightings]

    async def admit_entries(self, appended: Sequence[Appended]) -> Collection[int]:
        """See NonceStore."""
        replayed: set[int] = set()
        for piece in appended:
            event_id, entries = piece.body.event_id, piece.entries
            if event_id not in self._events:
                places = {node_id: sequence for sequence, node_id in entries}
                if len(places) == len(entries):  # an event that is new, each Node once
                    self._events[event_id] = places
                    continue
            for sequence, node_id in entries:
                if self._see(event_id, node_id, sequence) is Sighting.REPLAY:
                    replayed.add(sequence)
        return replayed

    def _see(self, event_id: str, node_id: str, sequence: int) -> Sighting:
        places = self._events.get(event_id, {})
        if node_id not in places:
            self._events.pop(event_id, None)
            self._events[event_id] = places  # forgotten with the newest of its entries
        return see(places, node_id, sequence)

    async def look_up(self, nonces: Sequence[str]) -> Sequence[int | None]:
        """See NonceStore."""
        return [self._first(*parts(nonce)) for nonce in nonces]

    async def look_up_node(self, node_id: str, event_ids: Sequence[str]) -> Sequence[int | None]:
        """See NonceStore."""
        events = self._events
        return [
            None if (places := events.get(event_id)) is None else places.get(node_id)
            for event_id in event_ids
        ]

    def _first(self, event_id: str, node_id: str) -> int | None:
        return self._events.get(event_id, {}).get(node_id)

    async def forget_below(self, low: int) -> None:
        """See NonceStore."""
        gone = []
        for event_id, places in self._events.items():
            left = retained(places, low)
            if left is places:
                break
            if left:
                self._events[event_id] = left
            else:
                gone.append(event_id)
        for event_id in gone:
            del self._events[event_id]
