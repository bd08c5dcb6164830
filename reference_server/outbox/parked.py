"""Parked rows as an operator handles them: listed, requeued as a new row, or given up (OUT-6)."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, select, update

from reference_server.outbox import append
from reference_server.outbox.lifecycle import Move, Status, after
from reference_server.ports import Change
from reference_server.store import node_bytes
from reference_server.store.tables import nodes, outbox_events, sse_relay_skipped

# The one reason that provisioning a key lifts; the relay's table of reasons has it under the same name.
NO_SIGNING_KEY = "no_signing_key"

_row = outbox_events.c
_skipped = sse_relay_skipped.c


class NotParked(LookupError):
    """There is no parked row of that id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """One parked row; its payload is left out of listings."""

    outbox_id: int
    event_id: str
    domain_id: str
    source: str
    reason: str
    parked_at: int
    node_ids: tuple[str, ...]

    @property
    def waits_for_key(self) -> bool:
        """Whether it leaves by itself, in its order, once its Domain has a key (OUT-5)."""
        return self.reason == NO_SIGNING_KEY


def list_parked(connection: Connection, *, after_id: int = 0, limit: int = 100) -> list[Parked]:
    """Parked rows by id, a page at a time."""
    found = _parked().where(_row.id > after_id).order_by(_row.id).limit(limit)
    return [_record(row) for row in connection.execute(found)]


def find(connection: Connection, outbox_id: int) -> Parked:
    """One parked row. Raises NotParked."""
    row = connection.execute(_parked().where(_row.id == outbox_id)).first()
    if row is None:
        raise NotParked(outbox_id)
    return _record(row)


def payload_of(connection: Connection, outbox_id: int) -> bytes:
    """What a row would say. Raises NotParked."""
    kept = connection.execute(select(_row.payload).where(_row.id == outbox_id)).scalar()
    if kept is None:
        raise NotParked(outbox_id)
    return bytes(kept)


def requeue(change: Change, outbox_id: int, *, payload: bytes | None = None) -> str:
    """Append a new row with the present key in place of a parked one; answers the new event id.

    `payload` is the present state, where the producer can still tell it; else the old one goes out. The
    Domain's lock must be held. Raises NotParked, AppendRefused.
    """
    parked = find(change.connection, outbox_id)
    if payload is None:
        payload = payload_of(change.connection, outbox_id)
    event_id = append.append(
        change,
        domain_id=parked.domain_id,
        source=parked.source,
        recipients=parked.node_ids,
        payload=payload,
    )
    _leave(change, outbox_id, Move.SETTLE)
    return event_id


def discard(change: Change, outbox_id: int) -> Parked:
    """Give a parked row up and have its Nodes pull (LOG-8); the caller audits it. Raises NotParked."""
    parked = find(change.connection, outbox_id)
    change.connection.execute(update(nodes).where(nodes.c.id.in_(parked.node_ids)).values(reconcile=True))
    _leave(change, outbox_id, Move.DISCARD)
    return parked


def _leave(change: Change, outbox_id: int, move: Move) -> None:
    change.connection.execute(
        update(outbox_events).where(_row.id == outbox_id).values(status=after(Status.PARKED, move))
    )
    change.connection.execute(delete(sse_relay_skipped).where(_skipped.outbox_id == outbox_id))


def _parked() -> Select[Any]:
    return select(
        _row.id,
        _row.event_id,
        _row.domain_id,
        _row.source,
        _skipped.reason,
        _skipped.parked_at,
        _row.recipients,
    ).join(sse_relay_skipped, _skipped.outbox_id == _row.id)


def _record(row: Row[Any]) -> Parked:
    outbox_id, event_id, domain_id, source, reason, parked_at, recipients = tuple(row)
    return Parked(
        outbox_id=outbox_id,
        event_id=event_id,
        domain_id=domain_id,
        source=source,
        reason=reason,
        parked_at=parked_at,
        node_ids=tuple(node_bytes.unpack(recipients)),
    )
