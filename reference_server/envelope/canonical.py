"""Canonical bytes: what is signed, and how a producer's JSON becomes the payload inside it (ENV-2…5)."""

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from reference_server.envelope import strict

PayloadRefused = strict.PayloadRefused

# ENV-4: short escapes for five controls, \u00xx for the others, and the five characters of encoding/json.
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = [*map(chr, range(0x20)), "<", ">", "&", "\u2028", "\u2029"]
ESCAPES: Mapping[str, str] = MappingProxyType({c: f"\\u{ord(c):04x}" for c in _LONG} | _SHORT)
_TO_ESCAPE = re.compile("[" + re.escape("".join(ESCAPES)) + "]")

# The five that valid JSON holds raw only inside strings, so that bytes may be replaced blindly (ENV-5).
_RAW_IN_PAYLOAD = tuple((c.encode(), ESCAPES[c].encode()) for c in "<>&\u2028\u2029")
_MAY_CHANGE = re.compile(rb"[ \t\n\r<>&]|\xe2\x80[\xa8\xa9]")

_STRING_OR_SPACE = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")|[ \t\n\r]+')
_SPACE = re.compile(rb"[ \t\n\r]")

_SIGNATURE_MEMBER = b',"signature":"'
_SYNTAX = msgspec.json.Decoder(msgspec.Raw)


def compact(payload: bytes) -> bytes:
    """The payload as it will be signed: own order and spelling, no white space, ENV-4 escapes (ENV-5).

    Raises PayloadRefused for what no door admits: bad JSON or UTF-8, lone surrogates, U+0000, a repeated
    member name, a number that is not finite, nesting over strict.MAX_DEPTH.
    """
    return read(payload)[1]


def read(payload: bytes) -> tuple[object, bytes]:
    """The parsed value and the compact bytes of a payload. Raises PayloadRefused as compact does."""
    value = strict.parse(payload)
    if _MAY_CHANGE.search(payload) is None:
        return value, payload
    payload = _STRING_OR_SPACE.sub(rb"\1", payload)
    for raw, escaped in _RAW_IN_PAYLOAD:
        payload = payload.replace(raw, escaped)
    return value, payload


def is_compact(payload: bytes) -> bool:
    """Whether received bytes are one JSON value as ENV-5 writes it; repeated inner names are let be."""
    if _MAY_CHANGE.search(payload) is not None and not _only_spaces_in_strings(payload):
        return False
    try:
        payload.decode()
        return bytes(_SYNTAX.decode(payload)) == payload
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _only_spaces_in_strings(payload: bytes) -> bool:
    if any(raw in payload for raw, _ in _RAW_IN_PAYLOAD):
        return False
    return _SPACE.search(_STRING_OR_SPACE.sub(lambda found: b'""' if found[1] else b" ", payload)) is None


def string(text: str) -> bytes:
    """The inside of a JSON string, escaped as ENV-4 asks. Raises PayloadRefused for a lone surrogate."""
    if _TO_ESCAPE.search(text) is not None:
        text = _TO_ESCAPE.sub(lambda found: ESCAPES[found[0]], text)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise PayloadRefused("a lone surrogate", where="in a member of the envelope") from None


def render(
    *, event_id: str, event_type: str, scope: str, key_id: str, issued_at: str, payload: bytes
) -> bytes:
    """The canonical bytes of an envelope (ENV-2); `payload` must already be compact."""
    return b'{"id":"%b","type":"%b","scope":"%b","key_id":"%b","issued_at":"%b","payload":%b}' % (
        string(event_id),
        string(event_type),
        string(scope),
        string(key_id),
        string(issued_at),
        payload,
    )


def wire(canonical: bytes, signature: bytes) -> bytes:
    """The wire form: canonical bytes with the base64 `signature` as last member (ENV-3)."""
    return canonical[:-1] + _SIGNATURE_MEMBER + signature + b'"}'
