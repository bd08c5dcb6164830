"""Makes envelopes of the suite's own: for its tests, its hand-made transcripts and signers under test."""

import base64
import re
from collections.abc import Mapping

from conformance.agent.envelope import HEADER, sign, spelled
from conformance.agent.lexemes import lexemes

_ESCAPED = re.compile(rb"[<>&]|\xe2\x80[\xa8\xa9]")


def canonical(header: Mapping[str, str], payload: bytes) -> bytes:
    """The canonical bytes (ENV-2) of a header's five members and a payload's own bytes; raises NotJson."""
    parts = [f'"{name}":{spelled(header[name])}' for name in HEADER]
    return ("{" + ",".join(parts) + ',"payload":').encode() + compact(payload) + b"}"


def wire(header: Mapping[str, str], payload: bytes, seed: bytes) -> bytes:
    """The wire form (ENV-3), signed by the key of that 32-byte seed."""
    signed = canonical(header, payload)
    signature = base64.b64encode(sign(signed, seed))
    return signed[:-1] + b',"signature":"' + signature + b'"}'


def compact(payload: bytes) -> bytes:
    """The payload without insignificant white space and with ENV-5's escapes; raises NotJson."""
    joined = b"".join(payload[each.at : each.end] for each in lexemes(payload))
    return _ESCAPED.sub(lambda match: f"\\u{ord(match.group().decode()):04x}".encode(), joined)
