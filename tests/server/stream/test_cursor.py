"""Cursors: grammar and window (GATE-9, CUR-4)."""

import pytest

from reference_server.ports import Bounds
from reference_server.stream import cursor


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ([], None),
        ([b""], None),
        ([b"0"], 0),
        ([b"17"], 17),
        ([b"0017"], 17),
        ([b"0" * 5000 + b"7"], 7),
        ([b"18446744073709551615"], 2**64 - 1),
    ],
)
def test_cursors(lines: list[bytes], value: int | None) -> None:
    assert cursor.parse(lines) == value


@pytest.mark.parametrize(
    "lines",
    [
        [b"-1"], [b"+1"], [b"1.0"], [b"1e3"], [b"0x1"], [b"1 2"], [b"1_000"], [b"18446744073709551616"],
        [b"9" * 5000], ["١".encode()], [b"null"], [b"1", b"1"], [b"", b""], [b"1", b""], [b"1, 2"],
    ],
)  # fmt: skip
def test_what_is_no_cursor(lines: list[bytes]) -> None:
    with pytest.raises(cursor.NotACursor):
        cursor.parse(lines)


@pytest.mark.parametrize(
    ("low", "high", "inside", "outside"),
    [
        (1, 0, [0], [1, 2]),  # never held anything
        (1, 5, [0, 1, 5], [6]),
        (6, 5, [5], [4, 6]),  # all gone
        (3, 9, [2, 3, 9], [1, 0, 10, 2**64 - 1]),
    ],
)
def test_the_window(low: int, high: int, inside: list[int], outside: list[int]) -> None:
    bounds = Bounds(low=low, high=high)
    assert all(cursor.is_inside(bounds, n) for n in inside)
    assert not any(cursor.is_inside(bounds, n) for n in outside)
