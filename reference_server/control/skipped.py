"""Parked rows handled by an operator: never behind the relay's back, audited on the Domain's chain (OUT-6).

Each function is one row in one transaction that holds the row's Domain.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec
from sqlalchemy import Connection, select, update

from reference_server.control import audit, blocks
from reference_server.outbox import append, parked
from reference_server.ports import Change
from reference_server.store import tables

_REQUEUE_RELATION = "outbox_row.requeue"
_DISCARD_RELATION = "outbox_row.discard"

# Whoever holds the cursor is alone with the parked rows: a relay has it through its batch (OUT-4).
_CURSOR = select(tables.sse_relay_cursor.c.stream).with_for_update()


class StaysParked(ValueError):
    """A row that must not be requeued; the text says why."""


def requeue(change: Change, outbox_id: int, *, subject: str) -> str:
    """Put a new row with the present state and key in place of a parked one; answers its event id.

    Where the present state cannot be told the old payload goes out, and its Nodes are told to pull as well.
    Raises parked.NotParked, StaysParked.
    """
    _hold_relay_off(change)
    row = parked.find(change.connection, outbox_id)
    if row.waits_for_key:
        raise StaysParked("it leaves by itself, in its order, once its Domain has a signing key")
    present = _PRESENT.get(row.source, _as_it_was)
    payload = present(change.connection, row.node_ids, parked.payload_of(change.connection, outbox_id))
    try:
        event_id = parked.requeue(change, outbox_id, payload=payload)
    except append.AppendRefused as refusal:
        raise StaysParked(str(refusal)) from None
    if present is _as_it_was:
        nodes = tables.nodes
        change.connection.execute(update(nodes).where(nodes.c.id.in_(row.node_ids)).values(reconcile=True))
    _audit(change, row, _REQUEUE_RELATION, [row.reason, row.event_id, event_id], subject)
    return event_id


def discard(change: Change, outbox_id: int, *, subject: str) -> parked.Parked:
    """Give a parked row up for good; its Nodes are told to pull (LOG-8). Raises parked.NotParked."""
    _hold_relay_off(change)
    row = parked.discard(change, outbox_id)
    _audit(change, row, _DISCARD_RELATION, [row.reason, row.event_id], subject)
    return row


def _hold_relay_off(change: Change) -> None:
    change.connection.execute(_CURSOR).all()


def _audit(change: Change, row: parked.Parked, relation: str, path: Sequence[str], subject: str) -> None:
    audit.append_entry(
        change,
        chain_id=row.domain_id,
        relation=relation,
        object_type="outbox_row",
        object_id=str(row.outbox_id),
        relation_path=path,
        subject=subject,
    )


# ---- the present state, where it follows from the tables

_Present = Callable[[Connection, Sequence[str], bytes], bytes]


def _as_it_was(_connection: Connection, _node_ids: Sequence[str], payload: bytes) -> bytes:
    return payload


def _node_state(connection: Connection, node_ids: Sequence[str], payload: bytes) -> bytes:
    """A state is told to its own Node alone."""
    return blocks.read_node_state(connection, node_ids[0]) if len(node_ids) == 1 else payload


def _for_ever(_connection: Connection, _node_ids: Sequence[str], payload: bytes) -> bytes:
    """That a Node has gone stays true: its id never comes back."""
    return payload


def _peer(connection: Connection, _node_ids: Sequence[str], payload: bytes) -> bytes:
    nodes, peers = tables.nodes, tables.peers
    try:
        node_id = msgspec.json.decode(payload)["node_id"]
    except (msgspec.DecodeError, KeyError, TypeError):
        raise StaysParked("its payload names no Node") from None
    found = (
        select(nodes.c.mesh_ip, peers.c.public_key)
        .join(peers, peers.c.node_id == nodes.c.id)
        .where(nodes.c.id == node_id, nodes.c.deregistered_at.is_(None))
    )
    row = connection.execute(found).first()
    if row is None:
        raise StaysParked("it tells of a Node that is gone")
    return blocks.peer(node_id, row.mesh_ip, row.public_key)


_PRESENT: Mapping[str, _Present] = MappingProxyType(
    {
        "tenancy.NodeReachabilityChanged": _node_state,
        "tenancy.NodeStateEntryChanged": _node_state,
        "NodeRegistered": _peer,
        "NodeDeregistered": _for_ever,
    }
)
