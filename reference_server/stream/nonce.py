"""The NonceStore of one process, in memory: bounded by what the log retains (LOG-5, LOG-6)."""

from collections.abc import Sequence
from itertools import islice, takewhile

from reference_server.ports import Layer, Sighting


class MemoryNonces:
    """Remembers the lowest sequence of each nonce until `forget_below` passes it.

    Fed in sequence order by one reader, so the oldest stand first.
    """

    __slots__ = ("_first", "layer")

    shared = False

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self._first: dict[str, int] = {}

    async def admit(self, sightings: Sequence[tuple[str, int]]) -> Sequence[Sighting]:
        """See NonceStore."""
        first = self._first
        before = len(first)
        recorded = [first.setdefault(nonce, sequence) for nonce, sequence in sightings]
        if len(first) - before == len(sightings):
            return [Sighting.FIRST] * len(sightings)
        return self._told_apart(sightings, recorded, before)

    def _told_apart(
        self, sightings: Sequence[tuple[str, int]], recorded: Sequence[int], before: int
    ) -> Sequence[Sighting]:
        """At least one nonce was known: new ones are those behind the first `before` of the dict."""
        fresh = set(islice(reversed(self._first), len(self._first) - before))
        answers = []
        for (nonce, sequence), at in zip(sightings, recorded, strict=True):
            if nonce in fresh and sequence == at:
                fresh.discard(nonce)
                answers.append(Sighting.FIRST)
            elif sequence > self._first[nonce]:
                answers.append(Sighting.REPLAY)
            else:
                answers.append(Sighting.SAME if sequence == at else Sighting.FIRST)
                self._first[nonce] = sequence  # the lowest wins
        return answers

    async def look_up(self, nonces: Sequence[str]) -> Sequence[int | None]:
        """See NonceStore."""
        return list(map(self._first.get, nonces))

    async def forget_below(self, low: int) -> None:
        """See NonceStore."""
        first = self._first
        gone = [nonce for nonce, _ in takewhile(lambda item: item[1] < low, first.items())]
        for nonce in gone:
            del first[nonce]
