"""Rotation of a Node's mesh key: asked for by an operator, carried out by the Node (A-27)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from reference_server.control import audience, audit, psks
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.outbox import append
from reference_server.ports import Change
from reference_server.store import tables

_REQUEST_SOURCE = "NodeKeyRotationRequested"
_REQUEST_RELATION = "node_key_rotation.request"
_COMPLETE_SOURCE = "PeerKeyRotated"
_COMPLETE_RELATION = "node_key_rotation.complete"

_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """RotationTriggerResponse."""

    rotation_id: str
    peer_id: str
    already_pending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """RotationImpactEdge: a far end, and the key in force between the two."""

    peer_node_id: str
    current_kid: str
    current_wrap_key_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """RotationImpactPreview."""

    node_id: str
    peer_id: str
    affected_peer_count: int
    affected_edges: Sequence[Edge]
    already_pending: bool
    estimated_duration_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """KeysRotateResponse: a reference, never key material."""

    rotation_id: str
    kid: str
    wrap_key_version: int


def request(change: Change, domain_id: str, node_id: str, *, subject: str) -> Requested:
    """Ask a Node to rotate its mesh key, once: while a rotation is pending its handle is given again.

    Raises Refusal `node_not_found`.
    """
    peer_id = _peer(change.connection, node_id, "node_not_found").id
    pending = _pending(change.connection, node_id)
    if pending is not None:
        return Requested(rotation_id=pending.id, peer_id=peer_id, already_pending=True)
    rotation_id = change.ids.uuid7()
    row = {"id": rotation_id, "node_id": node_id, "peer_id": peer_id, "requested_at": change.now}
    change.connection.execute(insert(tables.peer_key_rotations).values(row))
    payload = {"node_id": node_id, "rotation_id": rotation_id, "requested_at": instant.render(change.now)}
    _tell(change, domain_id, _REQUEST_SOURCE, [node_id], payload)
    _audit(change, domain_id, node_id, _REQUEST_RELATION, subject)
    return Requested(rotation_id=rotation_id, peer_id=peer_id, already_pending=False)


def preview(connection: Connection, domain_id: str, node_id: str) -> Preview:
    """What `request` would touch. Raises Refusal `node_not_found`."""
    peer_id = _peer(connection, node_id, "node_not_found").id
    edges = _edges(connection, domain_id, node_id)
    domains = tables.domains
    interval = connection.execute(
        select(domains.c.heartbeat_interval).where(domains.c.id == domain_id)
    ).scalar()
    return Preview(
        node_id=node_id,
        peer_id=peer_id,
        affected_peer_count=len(edges),
        affected_edges=edges,
        already_pending=_pending(connection, node_id) is not None,
        # At the latest the next heartbeat brings the wish to the Node.
        estimated_duration_seconds=int(interval or 0) // _MICROSECONDS,
    )


def complete(change: Change, domain_id: str, node_id: str, public_key: str, seal: psks.Seal) -> Receipt:
    """Put a Node's new key in force with a new PSK and tell all others; the same key again: the same receipt.

    `public_key` is in its one spelling. Raises Refusal `keys_rotate_peer_not_found`,
    `keys_rotate_no_pending_rotation`, `keys_rotate_public_key_unchanged`, in this order (A-27).
    """
    peer = _peer(change.connection, node_id, "keys_rotate_peer_not_found")
    former = _completed(change.connection, node_id, public_key)
    if former is not None and peer.public_key == public_key:
        return former
    pending = _pending(change.connection, node_id)
    if pending is None:
        raise Refusal("keys_rotate_no_pending_rotation")
    if peer.public_key == public_key:
        raise Refusal("keys_rotate_public_key_unchanged")
    receipt = _put_in_force(change, pending, public_key, psks.replace(change, node_id, seal))
    payload = {
        "node_id": node_id,
        "public_key": public_key,
        "kid": receipt.kid,
        "wrap_key_version": receipt.wrap_key_version,
    }
    others = audience.live_nodes(change.connection, domain_id, without=node_id)
    _tell(change, domain_id, _COMPLETE_SOURCE, others, payload)
    _audit(change, domain_id, node_id, _COMPLETE_RELATION, f"node:{node_id}")
    return receipt


def _put_in_force(change: Change, pending: Row[Any, Any], public_key: str, psk: psks.Psk) -> Receipt:
    peers, rotations = tables.peers, tables.peer_key_rotations
    change.connection.execute(
        update(peers).where(peers.c.node_id == pending.node_id).values(public_key=public_key)
    )
    outcome = {
        "completed_at": change.now,
        "new_public_key": public_key,
        "kid": psk.kid,
        "wrap_key_version": psk.wrap_key_version,
    }
    change.connection.execute(update(rotations).where(rotations.c.id == pending.id).values(outcome))
    return Receipt(rotation_id=pending.id, kid=psk.kid, wrap_key_version=psk.wrap_key_version)


def _peer(connection: Connection, node_id: str, missing: str) -> Row[Any, Any]:
    peers, nodes = tables.peers, tables.nodes
    statement = (
        select(peers.c.id, peers.c.public_key)
        .join(nodes, nodes.c.id == peers.c.node_id)
        .where(peers.c.node_id == node_id, nodes.c.deregistered_at.is_(None))
    )
    row = connection.execute(statement).first()
    if row is None:
        raise Refusal(missing)
    return row


def _pending(connection: Connection, node_id: str) -> Row[Any, Any] | None:
    rotations = tables.peer_key_rotations
    waits = (rotations.c.node_id == node_id) & rotations.c.completed_at.is_(None)
    return connection.execute(select(rotations.c.id, rotations.c.node_id).where(waits)).first()


def _completed(connection: Connection, node_id: str, public_key: str) -> Receipt | None:
    rotations = tables.peer_key_rotations
    statement = (
        select(rotations.c.id, rotations.c.kid, rotations.c.wrap_key_version)
        .where(rotations.c.node_id == node_id, rotations.c.new_public_key == public_key)
        .order_by(rotations.c.completed_at.desc(), rotations.c.id.desc())
    )
    row = connection.execute(statement).first()
    if row is None:
        return None
    return Receipt(rotation_id=row.id, kid=row.kid, wrap_key_version=row.wrap_key_version)


def _edges(connection: Connection, domain_id: str, node_id: str) -> list[Edge]:
    in_force = psks.in_force(connection, node_id)
    if in_force is None:
        return []
    others = audience.live_nodes(connection, domain_id, without=node_id)
    return [
        Edge(
            peer_node_id=other,
            current_kid=in_force.kid,
            current_wrap_key_version=in_force.wrap_key_version,
        )
        for other in others
    ]


def _tell(
    change: Change, domain_id: str, source: str, recipients: list[str], payload: Mapping[str, object]
) -> None:
    append.append(
        change,
        domain_id=domain_id,
        source=source,
        recipients=recipients,
        payload=msgspec.json.encode(payload),
    )


def _audit(change: Change, domain_id: str, node_id: str, relation: str, subject: str) -> None:
    audit.append_entry(
        change, chain_id=domain_id, relation=relation, object_type="node", object_id=node_id, subject=subject
    )
