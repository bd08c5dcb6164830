"""The two bearer forms: a Node's `nsk_…` credential and an operator's opaque token (CRED-1…3)."""

import base64
import hashlib
import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

# CRED-1: node id and NSK, 16 and 32 bytes, 64 characters of base64url without padding.
NSK_BYTES = 32
_NODE_ID_BYTES = 16
NSK_PREFIX = b"nsk_"
_NSK_FORM = re.compile(rb"nsk_[a-z]+_([A-Za-z0-9_-]{64})")

# What register's `nsk` member looks like by itself: 32 bytes in standard base64 (GATE-5).
_BARE_NSK = re.compile(rb"[A-Za-z0-9+/]{43}=")

# RFC 9110 section 11.4 and RFC 6750 section 2.1: the scheme in any case, spaces, one token without spaces.
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]+)")

# 256 bits; the prefix lets secret scanners and people see what it is.
_OPERATOR_TOKEN_BYTES = 32
_OPERATOR_PREFIX = "pso_"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCredential:
    """The content of a Node's bearer; `secret` is its NSK."""

    node_id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"NodeCredential(node_id={self.node_id!r})"  # CRED-4: a traceback shows no NSK


def bearer_of(authorization: Sequence[bytes]) -> bytes | None:
    """The token of the one Authorization line; None where there is none, several, or another scheme."""
    if len(authorization) != 1:
        return None
    match = _BEARER.fullmatch(authorization[0])
    return match[1] if match else None


def fresh_nsk() -> bytes:
    """A new NSK: 32 random bytes."""
    return secrets.token_bytes(NSK_BYTES)


def fresh_operator_token() -> str:
    """A new operator token; it can be mistaken for no Node credential."""
    return _OPERATOR_PREFIX + secrets.token_urlsafe(_OPERATOR_TOKEN_BYTES)


def render(environment: str, node_id: str, secret: bytes) -> str:
    """The bearer of a Node (CRED-1); `environment` is `[a-z]+`."""
    content = base64.urlsafe_b64encode(uuid.UUID(node_id).bytes + secret).decode()
    return f"{NSK_PREFIX.decode()}{environment}_{content}"


def parse(token: bytes) -> NodeCredential | None:
    """The credential in a bearer that begins with NSK_PREFIX; None where it does not follow CRED-1."""
    match = _NSK_FORM.fullmatch(token)
    if match is None:
        return None
    content = base64.urlsafe_b64decode(match[1])
    node_id, secret = content[:_NODE_ID_BYTES], content[_NODE_ID_BYTES:]
    return NodeCredential(node_id=str(uuid.UUID(bytes=node_id)), secret=secret)


def is_bare_nsk(token: bytes) -> bool:
    """Whether a bearer is the raw NSK that registration also shows, in standard base64 (GATE-5)."""
    return _BARE_NSK.fullmatch(token) is not None


def keyed_hash(key: bytes, node_id: str, secret: bytes) -> bytes:
    """What the store holds of an NSK (CRED-2): 32 bytes, useless without the server's key."""
    return hashlib.blake2b(
        uuid.UUID(node_id).bytes + secret, digest_size=32, key=key, person=b"busproof nsk"
    ).digest()


def token_hash(key: bytes, token: bytes) -> bytes:
    """What is held of an operator token: 32 bytes under the server's key."""
    return hashlib.blake2b(token, digest_size=32, key=key, person=b"busproof token").digest()
