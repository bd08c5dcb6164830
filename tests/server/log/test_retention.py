"""What the log lets go, as arithmetic."""

from reference_server.log import retention
from reference_server.log.retention import Dropped, Limits
from reference_server.log.rows import Oldest

_OLDEST = [Oldest(sequence=at, size=100, appended_at=at * 10) for at in range(1, 6)]


def test_nothing_over_nothing_goes() -> None:
    limits = Limits(max_age=1000, max_bytes=500)
    assert retention.select(_OLDEST, limits, now=60, held=500) is None
    assert retention.select([], limits, now=10**9, held=0, told=10**9) is None


def test_age() -> None:
    limits = Limits(max_age=25, max_bytes=None)
    dropped = retention.select(_OLDEST, limits, now=60, held=500)
    assert dropped == Dropped(through=3, size=300, whole_piece=False)


def test_bytes() -> None:
    limits = Limits(max_age=None, max_bytes=350)
    dropped = retention.select(_OLDEST, limits, now=60, held=500)
    assert dropped == Dropped(through=2, size=200, whole_piece=False)


def test_told() -> None:
    limits = Limits(max_age=None, max_bytes=None)
    dropped = retention.select(_OLDEST, limits, now=60, held=500, told=9)
    assert dropped == Dropped(through=5, size=500, whole_piece=True)
