"""Identifiers and the clock."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from reference_server.clock import SystemClock
from reference_server.ids import Uuid7Ids

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class _Standing:
    """A clock that shows what it is told."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


def test_ids_ascend_even_when_time_stands_or_goes_back() -> None:
    clock = _Standing()
    ids = Uuid7Ids(clock)
    made = [ids.uuid7() for _ in range(2000)]
    clock.at -= timedelta(seconds=1)
    made += [ids.uuid7() for _ in range(2000)]
    clock.at += timedelta(seconds=10)
    made.append(ids.uuid7())
    assert all(_UUID7.fullmatch(one) for one in made)
    assert all(before < after for before, after in pairwise(made))


def test_ids_carry_their_time() -> None:
    clock = _Standing()
    made = Uuid7Ids(clock).uuid7()
    assert int(made.replace("-", "")[:12], 16) == int(clock.at.timestamp() * 1000)


def test_the_clock_only_moves_forward() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.advance(3600)
    assert timedelta(seconds=3600) <= clock.now() - before < timedelta(seconds=3660)
    for seconds in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="forward"):
            clock.advance(seconds)
