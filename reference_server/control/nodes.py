"""Nodes after their enrolment: listed, their credential revoked, deregistered (PROD-1, GATE-15, 10a)."""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection, Row, delete, select, update

from reference_server.control import audience, audit
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.outbox import append
from reference_server.ports import Change
from reference_server.store import tables

_TABLE = tables.nodes


def deregister(change: Change, *, node_id: str, subject: str) -> None:
    """Take a Node out of its Domain: its credential is revoked, the other Nodes are told (section 7).

    Its address is free at once; its id never comes back. Raises Refusal(`node_not_found`).
    """
    domain_id = domain_of(change.connection, node_id)
    change.connection.execute(update(_TABLE).where(_TABLE.c.id == node_id).values(deregistered_at=change.now))
    revoke_credential(change, node_id=node_id)
    _forget(change, node_id)
    append.append(
        change,
        domain_id=domain_id,
        source="NodeDeregistered",
        recipients=audience.live_nodes(change.connection, domain_id, without=node_id),
        payload=msgspec.json.encode({"node_id": node_id}),
    )
    audit.append_entry(
        change,
        chain_id=domain_id,
        relation="node.deregister",
        object_type="node",
        object_id=node_id,
        subject=subject,
    )


def revoke_credential(change: Change, *, node_id: str) -> None:
    """Revoke a Node's NSK for good; the Node itself stays as it is. The caller ends its streams (GATE-15)."""
    keys = tables.node_secret_keys
    in_force = (keys.c.node_id == node_id) & keys.c.revoked_at.is_(None)
    change.connection.execute(update(keys).where(in_force).values(revoked_at=change.now))


def domain_of(connection: Connection, node_id: str) -> str:
    """The Domain of a live Node, whose lock a change of it needs. Raises Refusal(`node_not_found`)."""
    statement = select(_TABLE.c.domain_id).where(_TABLE.c.id == node_id, _TABLE.c.deregistered_at.is_(None))
    domain_id: str | None = connection.execute(statement).scalar_one_or_none()
    if domain_id is None:
        raise Refusal("node_not_found")
    return domain_id


def after_id(
    connection: Connection, domain_id: str | None, node_id: str | None, count: int
) -> Sequence[Row[tuple[object, ...]]]:
    """Up to `count` live Nodes in the order of their registration, of one Domain or of all, after one."""
    statement = select(_TABLE).where(_TABLE.c.deregistered_at.is_(None)).order_by(_TABLE.c.id).limit(count)
    if domain_id is not None:
        statement = statement.where(_TABLE.c.domain_id == domain_id)
    if node_id is not None:
        statement = statement.where(_TABLE.c.id > node_id)
    return connection.execute(statement).all()


def render(row: Row[tuple[object, ...]]) -> Mapping[str, object]:
    """NodeSummary of a row."""
    node = row._mapping
    answer = {"id": node["id"], "domain_id": node["domain_id"]}
    answer |= {name: node[name] for name in ("name", "kind") if node[name]}
    return answer | {"created_at": instant.render(node["created_at"])}


def _forget(change: Change, node_id: str) -> None:
    """Drop what only a live Node has: its Peer, its entries, its edge keys, what was asked of it."""
    for table in (tables.peers, tables.state_entries, tables.peer_psks, tables.peer_key_rotations):
        change.connection.execute(delete(table).where(table.c.node_id == node_id))
    labels = tables.label_assignments
    of_node = (labels.c.object_kind == "node") & (labels.c.object_id == node_id)
    change.connection.execute(delete(labels).where(of_node))
