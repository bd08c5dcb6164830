"""The envelope: built and signed in one step, and read strictly from its own bytes (ENV-1…9)."""

import re
from dataclasses import dataclass

import msgspec

from reference_server.envelope import canonical, instant, signing
from reference_server.ports import SignedBody

_SCOPE_PREFIX = "domain:"

_TEXT = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_HEAD = re.compile(
    rb'\{"id":%b,"type":%b,"scope":%b,"key_id":%b,"issued_at":%b,"payload":' % ((_TEXT,) * 5), re.DOTALL
)
_PLAIN = re.compile(rb'[^"\\<>&\x00-\x1f\x80-\xff]*+')
_TAIL = b',"signature":"'
_TAIL_LENGTH = len(_TAIL) + signing.SIGNATURE_TEXT_LENGTH + len(b'"}')


class NotAnEnvelope(ValueError):
    """Bytes that are not the wire form of an envelope; `clause` is the one that they break."""

    def __init__(self, clause: str, reason: str) -> None:
        super().__init__(f"{clause}: {reason}")
        self.clause = clause
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One envelope as received; `payload` and `canonical` are the received bytes, `signature` 64 raw ones."""

    id: str
    type: str
    scope: str
    key_id: str
    issued_at: str
    payload: bytes
    signature: bytes
    canonical: bytes

    def verified_by(self, public_key: bytes) -> bool:
        """Whether the key of this envelope is `public_key` (ENV-7)."""
        return signing.verify(self.canonical, self.signature, public_key)


def scope_of(domain_id: str) -> str:
    """The scope of a Domain (ENV-9)."""
    return _SCOPE_PREFIX + domain_id


def build(
    *,
    event_id: str,
    event_type: str,
    domain_id: str,
    key_id: str,
    issued_at: int,
    payload: bytes,
    signing_key: bytes,
) -> SignedBody:
    """Sign an envelope: compact payload in, wire form out. `issued_at` in microseconds, key from key_pair."""
    signed = canonical.render(
        event_id=event_id,
        event_type=event_type,
        scope=scope_of(domain_id),
        key_id=key_id,
        issued_at=instant.render(issued_at),
        payload=payload,
    )
    wire = canonical.wire(signed, signing.encode(signing.sign(signed, signing_key)))
    return SignedBody(event_id=event_id, event_type=event_type, domain_id=domain_id, key_id=key_id, wire=wire)


def parse(wire: bytes) -> Envelope:
    """The envelope in the data of one frame, exactly as ENV-1…7 write it. Raises NotAnEnvelope.

    Checks the form alone: neither signature nor key, nor whether id, type and scope make sense.
    """
    head = _HEAD.match(wire)
    if head is None or wire[-_TAIL_LENGTH:].find(_TAIL) != 0 or not wire.endswith(b'"}'):
        raise NotAnEnvelope("ENV-1", "not exactly the seven members in their order")
    payload = wire[head.end() : -_TAIL_LENGTH]
    if not canonical.is_compact(payload):
        raise NotAnEnvelope("ENV-5", "the payload is not one compact JSON value")
    event_id, event_type, scope, key_id, issued_at = map(_text, head.groups())
    try:
        instant.parse_canonical(issued_at)
    except instant.NotAnInstant as failure:
        raise NotAnEnvelope("ENV-6", str(failure)) from None
    try:
        signature = signing.decode(wire[len(_TAIL) - _TAIL_LENGTH : -2])
    except ValueError as failure:
        raise NotAnEnvelope("ENV-7", str(failure)) from None
    return Envelope(
        id=event_id,
        type=event_type,
        scope=scope,
        key_id=key_id,
        issued_at=issued_at,
        payload=payload,
        signature=signature,
        canonical=wire[:-_TAIL_LENGTH] + b"}",
    )


def _text(spelled: bytes) -> str:
    if _PLAIN.fullmatch(spelled) is not None:
        return spelled.decode()
    try:
        text = msgspec.json.decode(b'"%b"' % spelled, type=str)
        respelled = canonical.string(text)
    except (msgspec.MsgspecError, canonical.PayloadRefused, UnicodeDecodeError):
        raise NotAnEnvelope("ENV-1", "a member that is not a JSON string") from None
    if respelled != spelled:
        raise NotAnEnvelope("ENV-4", "a string is not escaped in the canonical way")
    return text
