"""What a stream must bring: exactly its frames, in order, under rising ids. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(slots=True)
class Order:
    """The numbers that are due: from `due` on, in steps of `step`."""

    due: int
    step: int
    last_id: int = 0

    def holds(self, ids: Iterable[bytes], serials: Sequence[bytes]) -> bool:
        """Whether the next frames are the next ones; what they bring is no longer due."""
        places = [self.last_id, *map(int, ids)]
        after = self.due + self.step * len(serials)
        good = len(places) == len(serials) + 1 and list(map(int, serials)) == list(
            range(self.due, after, self.step)
        )
        self.due, self.last_id = after, places[-1]
        return good and all(one < next_one for one, next_one in pairwise(places))


def counts(kind: str, streams: int, rows: int) -> list[int]:
    """How many frames each stream must end with: a row is for one of them in turn (`single`), or for all."""
    if kind != "single":
        return [rows] * streams
    return [rows // streams + (number < rows % streams) for number in range(streams)]
