"""Last-Event-ID: its grammar (GATE-9) and the window that it must fall into (CUR-4)."""

import re
from collections.abc import Sequence

from reference_server.ports import Bounds

_DIGITS = re.compile(rb"0*([0-9]{1,20})")
_HIGHEST = 2**64 - 1


class NotACursor(ValueError):
    """A header that no server ever gave out."""


def parse(lines: Sequence[bytes]) -> int | None:
    """The cursor in every Last-Event-ID line of a request; None: absent or empty. Raises NotACursor."""
    if len(lines) > 1:
        raise NotACursor("more than one")
    if not lines or not lines[0]:
        return None
    match = _DIGITS.fullmatch(lines[0])
    if match is None or int(match[1]) > _HIGHEST:
        raise NotACursor("not a decimal number of 0 to 2^64-1")
    return int(match[1])


def is_inside(bounds: Bounds, cursor: int) -> bool:
    """Whether every entry after the cursor is still there, and the cursor is not of the future (CUR-4)."""
    return bounds.low - 1 <= cursor <= bounds.high
