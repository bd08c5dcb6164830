"""Envelopes as an agent reads them: clause by clause, from the received bytes, never a re-written copy."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from conformance.agent import lexemes

HEADER = ("id", "type", "scope", "key_id", "issued_at")
PAYLOAD = "payload"
SIGNATURE = "signature"
ORDER = (*HEADER, PAYLOAD, SIGNATURE)

# RFC 8032: an Ed25519 signature has 64 bytes, which are 88 characters of padded base64.
SIGNATURE_BYTES = 64

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{0,8}[1-9]))?Z")
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BY_NUMBER = {chr(code): f"\\u{code:04x}" for code in (*range(0x20), 0x3C, 0x3E, 0x26, 0x2028, 0x2029)}
_SPELLING = str.maketrans({**_BY_NUMBER, **_SHORT})

# As much of a wrong value as a finding shows: a signature and what may hang on it.
_SHOWN = 120

# What stands about a wrong byte, on each side.
_CONTEXT = 24

_SURROGATE = re.compile("[\ud800-\udfff]")

# What ENV-4 never leaves raw inside strings, as UTF-8.
_RAW_FORBIDDEN = re.compile(rb"[<>&]|\xe2\x80[\xa8\xa9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One clause broken at an offset of the data bytes."""

    clause: str
    at: int
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An envelope as it was spelled: `payload` and `canonical` are slices of the received bytes."""

    id: str
    type: str
    scope: str
    key_id: str
    issued_at: str
    payload: bytes
    signature: str
    canonical: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the bytes hold: an envelope if all its members could be read, and every clause that they break."""

    envelope: Envelope | None
    violations: tuple[Violation, ...]


def read(data: bytes) -> Reading:
    """Reads `data` and names what it breaks of ENV-1 to ENV-7, all but the signature itself; never raises."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        return _unreadable("SSE-5", wrong.start, "bytes that are no UTF-8")
    try:
        found, end = lexemes.members(data)
    except lexemes.NotJson as wrong:
        return _unreadable("ENV-1", wrong.at, str(wrong))
    if end != len(data):
        return _unreadable("ENV-1", end, f"{len(data) - end} bytes after the object")
    names = tuple(str(json.loads(member.name)) for member in found)
    if names != ORDER:
        return _unreadable("ENV-1", 0, f"members {', '.join(names) or 'none'}")
    return _read_members(data, found)


def verify(envelope: Envelope, public_key: bytes) -> bool:
    """True if the signature is the key's over the canonical bytes (ENV-7). `public_key`: 32 raw bytes."""
    signature = signature_bytes(envelope.signature)
    return signature is not None and signed(envelope.canonical, signature, public_key)


def signed(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """True if `signature` is the Ed25519 signature of `message` by that key."""
    try:
        VerifyKey(public_key).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def sign(message: bytes, seed: bytes) -> bytes:
    """The 64 bytes that the key of that 32-byte seed signs `message` with."""
    return SigningKey(seed).sign(message).signature


def public_key(seed: bytes) -> bytes:
    """The 32 bytes that verify what `sign` signs."""
    return bytes(SigningKey(seed).verify_key)


def judge(data: bytes, keys: Mapping[str, bytes]) -> Reading:
    """`read`, then ENV-8 (the key id is trusted) and ENV-7 (the signature is that key's)."""
    reading = read(data)
    envelope = reading.envelope
    if envelope is None or reading.violations:
        return reading
    key = keys.get(envelope.key_id)
    if key is None:
        wrong = Violation(clause="ENV-8", at=0, seen=f"key_id {envelope.key_id!r}, which is not trusted")
    elif not verify(envelope, key):
        wrong = Violation(clause="ENV-7", at=0, seen=f"a signature that is not {envelope.key_id!r}'s")
    else:
        return reading
    return Reading(envelope=envelope, violations=(wrong,))


def signature_bytes(text: str) -> bytes | None:
    """The 64 bytes behind standard padded base64 in its one spelling, else None (ENV-7)."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    exact = len(raw) == SIGNATURE_BYTES and base64.b64encode(raw).decode("ascii") == text
    return raw if exact else None


def spelled(text: str) -> str:
    """`text` as a string of the canonical bytes, quotes included (ENV-4)."""
    return f'"{text.translate(_SPELLING)}"'


def instant(text: str) -> datetime | None:
    """The UTC instant in ENV-6 form, cut to microseconds, else None."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        return None
    try:
        whole = datetime.fromisoformat(match[1] + "+00:00")
    except ValueError:
        return None
    return whole.replace(microsecond=int((match[2] or "").ljust(6, "0")[:6]))


def _read_members(data: bytes, found: tuple[lexemes.Member, ...]) -> Reading:
    by_name = dict(zip(ORDER, found, strict=True))
    texts = {name: _text(data, by_name[name]) for name in (*HEADER, SIGNATURE)}
    broken = list(_broken(data, by_name, texts))
    if None in texts.values():
        return Reading(envelope=None, violations=tuple(broken))
    payload, last = by_name[PAYLOAD], by_name[SIGNATURE]
    envelope = Envelope(
        **{name: str(text) for name, text in texts.items()},
        payload=data[payload.value_at : payload.value_end],
        canonical=data[: data.rfind(b",", 0, last.at)] + b"}",
    )
    return Reading(envelope=envelope, violations=tuple(broken))


def _broken(
    data: bytes, by_name: Mapping[str, lexemes.Member], texts: Mapping[str, str | None]
) -> Iterator[Violation]:
    yield from _spacing(data, by_name)
    for name in HEADER:
        at, text = by_name[name].value_at, texts[name]
        if text is None:
            yield Violation(clause="ENV-1", at=at, seen=f"{name} that is no string")
        elif data[at : by_name[name].value_end] != spelled(text).encode():
            yield Violation(clause="ENV-4", at=at, seen=f"{name} spelled otherwise: {around(data, at)}")
    yield from _payload_spelling(data, by_name[PAYLOAD])
    issued_at = texts["issued_at"]
    if issued_at is not None and instant(issued_at) is None:
        yield Violation(clause="ENV-6", at=by_name["issued_at"].value_at, seen=f"issued_at {issued_at!r}")
    yield from _signature_spelling(data, by_name[SIGNATURE], texts[SIGNATURE])


def _signature_spelling(data: bytes, member: lexemes.Member, text: str | None) -> Iterator[Violation]:
    raw = data[member.value_at : member.value_end].decode()
    if text is None or signature_bytes(text) is None:
        yield Violation(clause="ENV-7", at=member.value_at, seen=f"signature {raw[:_SHOWN]}")
    elif raw != f'"{text}"':
        yield Violation(clause="ENV-3", at=member.value_at, seen=f"signature spelled {raw[:_SHOWN]}")


def _spacing(data: bytes, by_name: Mapping[str, lexemes.Member]) -> Iterator[Violation]:
    """White space between the members is ENV-2's, inside the payload ENV-5's (the more special one)."""
    at = 0
    payload = by_name[PAYLOAD]
    for lexeme in lexemes.lexemes(data):
        if lexeme.at != at:
            inside = payload.value_at <= at < payload.value_end
            clause = "ENV-5" if inside else "ENV-2"
            yield Violation(clause=clause, at=at, seen=f"white space: {around(data, at)}")
        at = lexeme.end


def _payload_spelling(data: bytes, payload: lexemes.Member) -> Iterator[Violation]:
    for match in _RAW_FORBIDDEN.finditer(data, payload.value_at, payload.value_end):
        raw, at = match.group().decode(), match.start()
        where = f"in the payload: {around(data, at)}, where \\u{ord(raw):04x} should stand"
        yield Violation(clause="ENV-4", at=at, seen=f"raw {raw!r} {where}")


def around(data: bytes, at: int) -> str:
    """The bytes about an offset, as text, for people to see what is wrong there."""
    cut = data[max(at - _CONTEXT, 0) : at + _CONTEXT]
    return f"…{cut.decode('utf-8', 'replace')}…"


def _text(data: bytes, member: lexemes.Member) -> str | None:
    raw = data[member.value_at : member.value_end]
    text = json.loads(raw) if raw.startswith(b'"') else None
    return None if text is None or _lone_surrogate(text) else str(text)


def _lone_surrogate(text: str) -> bool:
    return _SURROGATE.search(text) is not None


def _unreadable(clause: str, at: int, seen: str) -> Reading:
    return Reading(envelope=None, violations=(Violation(clause=clause, at=at, seen=seen),))
