"""Go duration strings, the spelling of reachability policies (contract_facts 7.5)."""

import re
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

# Go's time.ParseDuration; in microseconds.
_UNITS: Mapping[str, Fraction] = MappingProxyType(
    {
        "ns": Fraction(1, 1000),
        "us": Fraction(1),
        "µs": Fraction(1),  # U+00B5
        "μs": Fraction(1),  # U+03BC
        "ms": Fraction(1000),
        "s": Fraction(1_000_000),
        "m": Fraction(60_000_000),
        "h": Fraction(3_600_000_000),
    }
)
_TERM = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"\+?(?:{_TERM.pattern})+", re.ASCII)
_LONGEST = 64

SECOND = 1_000_000
_MINUTE = 60 * SECOND
_HOUR = 60 * _MINUTE


class NotADuration(ValueError):
    """The text is no Go duration of zero or more."""


def parse(text: str) -> int:
    """Whole microseconds of a Go duration that is not negative. Raises NotADuration."""
    if text in ("0", "+0"):
        return 0
    if len(text) > _LONGEST or not _DURATION.fullmatch(text):
        raise NotADuration(text[:_LONGEST])
    total = sum((_number(term[1]) * _UNITS[term[2]] for term in _TERM.finditer(text)), Fraction())
    return int(total)


def render(micros: int) -> str:
    """The text that Go's Duration.String gives: `30s`, `1m30s`; `micros` is a second or more, or 0."""
    hours, rest = divmod(micros, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    seconds, fraction = divmod(rest, SECOND)
    tail = f"{seconds}.{fraction:06d}".rstrip("0").rstrip(".") if fraction else str(seconds)
    if hours:
        return f"{hours}h{minutes}m{tail}s"
    return f"{minutes}m{tail}s" if minutes else f"{tail}s"


def _number(text: str) -> Fraction:
    whole, _, part = text.partition(".")
    return Fraction(int((whole or "0") + part), 10 ** len(part))
