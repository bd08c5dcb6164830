"""The closed table of event types: what producers raise, and its name on the wire (section 7, TYPE-1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class WireType(StrEnum):
    """The names that agents see."""

    NODE_STATE_UPDATED = "node_state_updated"
    POLICY_UPDATED = "policy_updated"
    BRIDGE_CONFIG_UPDATED = "bridge_config_updated"
    PEER_REGISTERED = "peer_registered"
    PEER_DEREGISTERED = "peer_deregistered"
    PEER_PSK_ASSIGNED = "peer_psk_assigned"
    PEER_KEY_ROTATED = "peer_key_rotated"
    PEER_ENDPOINT_CHANGED = "peer_endpoint_changed"
    ROTATE_KEYS = "rotate_keys"
    SIGNING_KEY_ROTATED = "signing_key_rotated"
    ACTION_REQUEST = "action_request"
    SESSION_SETUP = "session_setup"
    SESSION_REVOKED = "session_revoked"
    NODE_SECRETS_UPDATED = "node_secrets_updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One wire type, its outbox sources, and the OpenAPI component that its payload satisfies (TYPE-2)."""

    wire: WireType
    schema: str
    sources: tuple[str, ...]


# An outbox source that another family might claim too would make the table ambiguous; a test forbids it.
FAMILIES: tuple[Family, ...] = (
    Family(
        wire=WireType.NODE_STATE_UPDATED,
        schema="NodeStateUpdatedPayload",
        sources=("tenancy.NodeReachabilityChanged", "tenancy.NodeStateEntryChanged"),
    ),
    Family(
        wire=WireType.POLICY_UPDATED,
        schema="PolicyUpdatedPayload",
        sources=("policy_revision_created", "policy_deleted"),
    ),
    Family(
        wire=WireType.BRIDGE_CONFIG_UPDATED,
        schema="BridgeConfigUpdatedPayload",
        sources=(
            "bridge.RelayConfigured",
            "bridge.UserAccessConfigured",
            "bridge.UserAccessRemoved",
            "bridge.PublicIngressConfigured",
            "bridge.PublicIngressRemoved",
            "bridge.SiteToSiteConfigured",
            "bridge.SiteToSiteRemoved",
        ),
    ),
    Family(wire=WireType.PEER_REGISTERED, schema="NodeStatePeer", sources=("NodeRegistered",)),
    Family(wire=WireType.PEER_DEREGISTERED, schema="PeerDeregisteredPayload", sources=("NodeDeregistered",)),
    Family(wire=WireType.PEER_PSK_ASSIGNED, schema="PeerPskAssignedPayload", sources=("PeerPSKAssigned",)),
    Family(wire=WireType.PEER_KEY_ROTATED, schema="PeerKeyRotatedPayload", sources=("PeerKeyRotated",)),
    Family(
        wire=WireType.PEER_ENDPOINT_CHANGED,
        schema="PeerEndpointChangedPayload",
        sources=("PeerEndpointChanged",),
    ),
    Family(wire=WireType.ROTATE_KEYS, schema="RotateKeysPayload", sources=("NodeKeyRotationRequested",)),
    Family(
        wire=WireType.SIGNING_KEY_ROTATED, schema="SigningKeyRotatedPayload", sources=("SigningKeyRotated",)
    ),
    Family(wire=WireType.ACTION_REQUEST, schema="SSEEventActionRequest", sources=("ExecutionDispatched",)),
    Family(wire=WireType.SESSION_SETUP, schema="SSEEventSessionSetup", sources=("SessionIssued",)),
    Family(wire=WireType.SESSION_REVOKED, schema="SSEEventSessionRevoked", sources=("SessionRevoked",)),
    Family(
        wire=WireType.NODE_SECRETS_UPDATED,
        schema="NodeSecretsUpdatedPayload",
        sources=("NodeSecretsUpdated",),
    ),
)

# contract_facts 5.3: named by the contract as outbox events, without a type on the wire.
UNPUBLISHED: frozenset[str] = frozenset(
    {"DomainCreated", "ProjectCreated", "integrity_alert", "NodeCapabilitiesUpdated"}
)

_BY_SOURCE: Mapping[str, Family] = MappingProxyType(
    {source: family for family in FAMILIES for source in family.sources}
)
_BY_WIRE: Mapping[WireType, Family] = MappingProxyType({family.wire: family for family in FAMILIES})


class UnknownSource(ValueError):
    """An outbox type that the table does not hold."""


def family_of(source: str) -> Family | None:
    """The family of an outbox type; None where it is never published. Raises UnknownSource (TYPE-1)."""
    if source in UNPUBLISHED:
        return None
    try:
        return _BY_SOURCE[source]
    except KeyError:
        raise UnknownSource(f"no outbox type {source!r}") from None


def wire_type_for(source: str) -> WireType | None:
    """The wire type of an outbox type; None where it is never published. Raises UnknownSource (TYPE-1)."""
    family = family_of(source)
    return None if family is None else family.wire


def source_for(wire: WireType) -> str:
    """The outbox type that raises a wire type (the first of its family): for `publish` of the faults."""
    return _BY_WIRE[wire].sources[0]
