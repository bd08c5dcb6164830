"""How an agent that lost its place gets from the key that it pinned to the active one (KEY-6)."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from reference_server.errors import Refusal
from reference_server.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The two ends of a Node's signature chain and the links between, wire forms as sent, oldest first."""

    active_key_id: str
    active_public_key: bytes
    pinned_key_id: str
    pinned_public_key: bytes
    rotations: list[bytes]


def ladder(connection: Connection, node_id: str) -> Ladder:
    """The chain since the Node registered; it pinned the key of that time, or else the first one after it.

    Raises Refusal `node_not_found`, `signing_key_not_provisioned`.
    """
    nodes, keys = tables.nodes, tables.signing_keys
    live = (nodes.c.id == node_id) & nodes.c.deregistered_at.is_(None)
    node = connection.execute(select(nodes.c.domain_id, nodes.c.registered_rung).where(live)).first()
    if node is None:
        raise Refusal("node_not_found")
    since = (keys.c.domain_id == node.domain_id) & (keys.c.rung >= node.registered_rung)
    statement = select(keys.c.key_id, keys.c.public_key).where(since).order_by(keys.c.rung)
    chain = connection.execute(statement).all()
    if not chain:
        raise Refusal("signing_key_not_provisioned")
    pinned, active = chain[0], chain[-1]
    return Ladder(
        active_key_id=active.key_id,
        active_public_key=active.public_key,
        pinned_key_id=pinned.key_id,
        pinned_public_key=pinned.public_key,
        rotations=_rotations(connection, node.domain_id, node.registered_rung),
    )


def _rotations(connection: Connection, domain_id: str, after_rung: int) -> list[bytes]:
    rotations = tables.signing_key_rotations
    later = (rotations.c.domain_id == domain_id) & (rotations.c.rung > after_rung)
    statement = select(rotations.c.envelope).where(later).order_by(rotations.c.rung)
    return [bytes(wire) for wire in connection.execute(statement).scalars()]
