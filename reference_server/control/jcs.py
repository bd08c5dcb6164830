"""RFC 8785 (JCS) for the values that audit rows hold: texts, integers, truth values, null, lists and objects.

Numbers are restricted to integers that a double holds exactly, so the one hard part of the RFC, the
spelling of fractions, never arises.
"""

from collections.abc import Mapping, Sequence

# RFC 8785 section 3.2.2.2: two-letter escapes where JSON has them, \u00xx in lower case for other controls.
_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x20)} | {
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0C: "\\f",
    0x0D: "\\r",
    0x22: '\\"',
    0x5C: "\\\\",
}

# RFC 8785 appendix B: beyond this a double no longer tells neighbours apart.
LARGEST_EXACT_INTEGER = 2**53 - 1

Value = str | int | bool | None | Sequence["Value"] | Mapping[str, "Value"]


def encode(value: Value) -> bytes:
    """The one canonical UTF-8 form of `value` (RFC 8785).

    Raises TypeError for a type outside `Value`, ValueError for an integer that is not exact and for a lone
    surrogate.
    """
    return _text(value).encode("utf-8")


def _text(value: Value) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_quoted(name)}:{_text(value[name])}" for name in _sorted(value)) + "}"
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return "[" + ",".join(_text(item) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} has no place in an audit row")


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


def _integer(number: int) -> str:
    if abs(number) > LARGEST_EXACT_INTEGER:
        raise ValueError("an integer beyond the exact range of a double")
    return str(number)


def _sorted(members: Mapping[str, Value]) -> list[str]:
    """Names in the order of their UTF-16 code units (section 3.2.3)."""
    return sorted(members, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
