"""Who calls, told on the command line: an Authorization header is an identity, not sent with every request.

So that a request without a credential is one, and the credential is known to the vault like any other.
"""

import base64
import binascii
import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from conformance.target.model import Identity, Target

NODE, OPERATOR = "node_a", "operator"

Headers = Sequence[tuple[str, str]]

_HEADER = "authorization"
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
# CRED-1: nsk, an environment word, base64url of the Node's id and its key.
_NODE_CREDENTIAL = re.compile(r"nsk_[a-z]+_([A-Za-z0-9_-]+)")
_ID_BYTES, _NSK_BYTES = 16, 32

# Headers by which a gateway in front of a target may let a caller pass; their values stay out of all output.
_SECRET = re.compile(r"auth|cookie|key|secret|token", re.IGNORECASE)


class NoCaller(ValueError):
    """The header names no caller; nothing was sent."""


def with_caller(target: Target, headers: Headers) -> Target:
    """The target with the caller of the header, if there is one: a Node by its credential, else an operator.

    Raises NoCaller for an Authorization that is no bearer.
    """
    found = [value for name, value in headers if name.lower() == _HEADER]
    if not found:
        return target
    bearer = _BEARER.fullmatch(found[-1])
    if bearer is None:
        raise NoCaller("--header Authorization must be 'Bearer …'")
    credential = bearer[1]
    node_id = node_of(credential)
    label = OPERATOR if node_id is None else NODE
    known = target.identities.get(label)
    domain_id = known.domain_id if known is not None and known.node_id == node_id else None
    own = Identity(label=label, credential=credential, node_id=node_id, domain_id=domain_id)
    return replace(target, identities=MappingProxyType({**target.identities, label: own}))


def has_node(target: Target) -> bool:
    """True if requests can be sent as a Node that is known."""
    known = target.identities.get(NODE)
    return known is not None and known.credential is not None and known.node_id is not None


def without_caller(headers: Headers) -> tuple[tuple[str, str], ...]:
    """The headers that are sent with every request."""
    return tuple((name, value) for name, value in headers if name.lower() != _HEADER)


def secrets(headers: Headers) -> tuple[tuple[str, str], ...]:
    """The headers whose value lets somebody pass, by its look: (name, value)."""
    return tuple((name, value) for name, value in headers if _SECRET.search(name))


def node_of(credential: str) -> str | None:
    """The Node's id in its credential (CRED-1); None if it is no Node's."""
    match = _NODE_CREDENTIAL.fullmatch(credential)
    if match is None:
        return None
    try:
        packed = base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4))
    except binascii.Error:
        return None
    return str(uuid.UUID(bytes=packed[:_ID_BYTES])) if len(packed) == _ID_BYTES + _NSK_BYTES else None
