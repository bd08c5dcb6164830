"""Instants as text: RFC 3339 in UTC with `Z` and the shortest fraction (ENV-6), and back.

The store holds microseconds since 1970; the wire holds text. Agents may write nine digits of fraction,
we write at most six.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000

# ENV-6: no fraction if zero, else 1 to 9 digits of which the last is not zero.
_CANONICAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{0,8}[1-9])?Z")

# RFC 3339 section 5.6, `date-time`.
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


class NotAnInstant(ValueError):
    """The text is not an instant in the form asked for."""


def micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return (instant - _EPOCH) // _MICROSECOND


def moment(micros_since_1970: int) -> datetime:
    """The aware UTC datetime of a number of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros_since_1970)


def render(instant: datetime | int) -> str:
    """The ENV-6 text of an aware datetime or of microseconds since 1970."""
    seconds, fraction = divmod(micros(instant) if isinstance(instant, datetime) else instant, _SECOND)
    if fraction == 0:
        return _whole(seconds) + "Z"
    return f"{_whole(seconds)}.{fraction:06d}".rstrip("0") + "Z"


@lru_cache(maxsize=64)  # envelopes signed in one second share this part
def _whole(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def parse(text: str) -> datetime:
    """The instant of any RFC 3339 text, cut to microseconds, in UTC. Raises NotAnInstant.

    This is for the doors (request bodies, flags); an envelope's `issued_at` goes through parse_canonical.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise NotAnInstant("not an RFC 3339 date-time")
    day, time, fraction, zone = match.groups()
    zone = "+00:00" if zone in "Zz" else zone
    try:
        return datetime.fromisoformat(f"{day}T{time}.{(fraction or '')[:6]:0<6}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise NotAnInstant("no such day or time") from None


def parse_canonical(text: str) -> datetime:
    """The instant of an ENV-6 text, cut to microseconds. Raises NotAnInstant for any other spelling."""
    if _CANONICAL.fullmatch(text) is None:
        raise NotAnInstant("not RFC 3339 in UTC with Z and the shortest fraction")
    return parse(text)
