"""What the log lets go: by age, by bytes, or because it was told to; always from its old end."""

from collections.abc import Sequence
from dataclasses import dataclass

from reference_server.log.rows import Oldest

# One piece: some 20 ms of the writer's time, after which producers have their turn.
PIECE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Retention by limits (LOG-2); None means no such limit."""

    max_age: int | None  # microseconds
    max_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A prefix of the log that goes: the last sequence of it, and the bytes that it held."""

    through: int
    size: int
    whole_piece: bool  # more may have to go


def select(oldest: Sequence[Oldest], limits: Limits, *, now: int, held: int, told: int = 0) -> Dropped | None:
    """Which of the oldest entries go now: `held` bytes are retained, `told` is evicted whatever its age."""
    size = 0
    count = 0
    for entry in oldest:
        too_old = limits.max_age is not None and entry.appended_at < now - limits.max_age
        too_many = limits.max_bytes is not None and held - size > limits.max_bytes
        if not (too_old or too_many or entry.sequence <= told):
            break
        size += entry.size
        count += 1
    if count == 0:
        return None
    return Dropped(through=oldest[count - 1].sequence, size=size, whole_piece=count == len(oldest))
