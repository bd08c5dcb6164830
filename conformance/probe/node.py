"""Nodes and Domains of a scenario's own, made through the operator surface and entered in the ledger."""

import base64
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from conformance.probe.obstacle import CannotAct
from conformance.probe.transcript import Exchange

# Slugs of everything the suite creates start so; the clean-up touches nothing else.
SLUG_PREFIX = "busproof-"

NSK_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHandle:
    """A Node that the scenario may use up: `identity` is its label for requests and streams."""

    id: str
    domain_id: str
    identity: str
    credential: str = field(repr=False)
    mesh_ip: str = ""
    public_key: str = ""
    signing_key_id: str = ""
    signing_public_key: str = ""
    registered: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainHandle:
    """A Domain made by a scenario."""

    id: str
    slug: str


class Ledger(Protocol):
    """Where created Domains and Nodes are written down before and after they are made, for the clean-up."""

    def intend(self, slug: str) -> None:
        """A Domain of this slug is about to be created."""

    def created(self, slug: str, domain_id: str) -> None:
        """The Domain exists now."""

    def refused(self, slug: str) -> None:
        """The target answered that it did not create the Domain."""

    def node(self, domain_id: str, node_id: str) -> None:
        """A Node exists in it now."""


Send = Callable[..., Awaitable[Exchange]]


def credential_of(node_id: str, nsk: str) -> str:
    """The bearer of a Node (CRED-1): `nsk` is used as it is if it is one already, else composed."""
    if nsk.startswith("nsk_"):
        return nsk
    secret = base64.b64decode(nsk, validate=True)
    if len(secret) != NSK_BYTES:
        raise CannotAct(f"the registration's nsk holds {len(secret)} bytes, not {NSK_BYTES}")
    packed = base64.urlsafe_b64encode(uuid.UUID(node_id).bytes + secret).rstrip(b"=")
    return f"nsk_busproof_{packed.decode('ascii')}"
