"""Whether an Accept header admits a media type (RFC 9110 section 12.5.1, SSE-10)."""

from collections.abc import Sequence

# A header with more ranges than this is no client's; the rest is not looked at.
_RANGES = 64


def admits(lines: Sequence[bytes], kind: bytes, subtype: bytes) -> bool:
    """Whether the type may be sent; no header, or an empty one, admits everything.

    The most specific range that matches decides; what cannot be read as a range matches nothing.
    """
    ranges = [part.strip() for part in b",".join(lines).lower().split(b",") if part.strip()][:_RANGES]
    if not ranges:
        return True
    wanted = {b"%b/%b" % (kind, subtype): 2, b"%b/*" % kind: 1, b"*/*": 0}
    best, quality = -1, 0.0
    for media_range in ranges:
        name, *parameters = (part.strip() for part in media_range.split(b";"))
        closeness = wanted.get(name, -1)
        if closeness > best:
            best, quality = closeness, _quality(parameters)
    return quality > 0


def _quality(parameters: Sequence[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
