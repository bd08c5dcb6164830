"""The newest part of the log, kept in memory so that a live reader needs no SQL."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from operator import itemgetter

from reference_server.ports import Appended, Tail

# What an entry costs beside its body: a tuple and a number.
_ENTRY_BYTES = 96

_SEQUENCE = itemgetter(0)


class TailCache:
    """Consecutive pieces of the log up to its head, bounded in bytes, oldest out first."""

    __slots__ = ("_bytes", "_max_bytes", "_pieces", "complete_after")

    def __init__(self, max_bytes: int, high: int) -> None:
        self._max_bytes = max_bytes
        self._pieces: deque[Appended] = deque()
        self._bytes = 0
        self.complete_after = high  # every entry beyond this sequence is here

    def add(self, appended: Sequence[Appended]) -> None:
        """Take what was just appended, in order."""
        for piece in appended:
            self._pieces.append(piece)
            self._bytes += _cost(piece)
        while self._bytes > self._max_bytes:
            self._drop_oldest()

    def forget_below(self, low: int) -> None:
        """Drop pieces that the log no longer retains."""
        while self._pieces and self._pieces[0].entries[-1][0] < low:
            self._drop_oldest()

    def read(self, after: int, limit: int) -> Tail:
        """Entries after a sequence that is not below `complete_after`; at least one must be there."""
        found: deque[Appended] = deque()
        for piece in reversed(self._pieces):
            if piece.entries[-1][0] <= after:
                break
            found.appendleft(piece)
        return bounded(found, after, limit)

    def _drop_oldest(self) -> None:
        piece = self._pieces.popleft()
        self._bytes -= _cost(piece)
        self.complete_after = piece.entries[-1][0]


def bounded(pieces: Sequence[Appended] | deque[Appended], after: int, limit: int) -> Tail:
    """The entries of some pieces that stand after a sequence, at most `limit` of them."""
    taken: list[Appended] = []
    for piece in pieces:
        entries = piece.entries
        if entries[0][0] <= after or len(entries) > limit:
            start = bisect_right(entries, after, key=_SEQUENCE)
            entries = entries[start : start + limit]
            piece = Appended(body=piece.body, entries=entries)  # noqa: PLW2901  # the part that was asked for
        taken.append(piece)
        limit -= len(entries)
        if limit == 0:
            break
    return Tail(appended=taken, read_to=taken[-1].entries[-1][0])


def _cost(piece: Appended) -> int:
    return len(piece.body.wire) + _ENTRY_BYTES * len(piece.entries)
