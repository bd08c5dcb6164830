"""The relay's statements: claim, settle, park, and the cursor that moves with them (OUT-2…5)."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)

from reference_server.log import subjects
from reference_server.outbox.lifecycle import Move, Status, after
from reference_server.ports import Change
from reference_server.relay.decide import Decision, Reason, Row
from reference_server.store import node_bytes
from reference_server.store.tables import outbox_events, signing_keys, sse_relay_cursor, sse_relay_skipped

_skipped = sse_relay_skipped.c
_row = outbox_events.c
_columns = (
    _row.id,
    _row.event_id,
    _row.domain_id,
    _row.source,
    _row.recipients,
    _row.payload,
    _row.key_id,
    _row.envelope,
    _row.status,
)
_waits = _skipped.reason == Reason.NO_SIGNING_KEY
# Spelled in the statement, not bound: only so does the partial index of pending rows apply.
_is_pending = _row.status == literal_column(f"'{Status.PENDING}'")

# A batch holds no more payload than this in memory; rows are fetched a few at a time until it is reached.
_CLAIM_BYTES = 8 * 1024 * 1024
_FETCH = 128

Claim: TypeAlias = tuple[list[Row], bool]  # rows in order, and whether there are more of them

# One statement per move; what is published owes nobody anything any more (OUT-4).
_STAND = update(outbox_events).where(_row.id == bindparam("row_id")).values(status=bindparam("stands"))
_PUBLISHED = _STAND.values(recipients=b"")


def pending(connection: Connection, limit: int) -> Claim:
    """The oldest pending rows."""
    claim = select(*_columns).where(_is_pending).order_by(_row.id).limit(limit)
    return _claimed(connection, claim, limit)


def domains_given_a_key(connection: Connection) -> list[str]:
    """Domains that have a key and rows parked for want of one; looks at each parked Domain once."""
    first = select(func.min(_skipped.domain_id).label("domain_id")).cte("parked", recursive=True)
    following = (
        select(func.min(_skipped.domain_id)).where(_skipped.domain_id > first.c.domain_id).scalar_subquery()
    )
    parked = first.union_all(select(following).where(first.c.domain_id.is_not(None)))
    keyed = select(parked.c.domain_id).where(exists().where(signing_keys.c.domain_id == parked.c.domain_id))
    return list(connection.execute(keyed).scalars())


def released(connection: Connection, domain_ids: Collection[str], limit: int) -> Claim:
    """The oldest rows of some Domains that were parked for want of a key and have one now."""
    claim = (
        select(*_columns)
        .join(sse_relay_skipped, _skipped.outbox_id == _row.id)
        .where(_skipped.domain_id.in_(domain_ids), _waits, _row.key_id.is_not(None))
        .order_by(_row.id)
        .limit(limit)
    )
    return _claimed(connection, claim, limit)


def _claimed(connection: Connection, claim: Select[Any], limit: int) -> Claim:
    claimed: list[Row] = []
    room = _CLAIM_BYTES
    with connection.execute(claim.execution_options(yield_per=_FETCH)) as found:
        for row_id, event_id, domain_id, source, recipients, payload, key_id, envelope, status in found:
            room -= len(payload) + len(recipients)
            if claimed and room < 0:
                return claimed, True
            row = Row(
                id=row_id,
                event_id=event_id,
                domain_id=domain_id,
                source=source,
                recipients=node_bytes.unpack(recipients),
                payload=payload,
                key_id=key_id,
                envelope=envelope,
                status=Status(status),
            )
            claimed.append(row)
    return claimed, len(claimed) == limit


def domains_waiting(connection: Connection, domain_ids: Iterable[str], claimed: Sequence[Row]) -> set[str]:
    """Which of the Domains have rows parked for want of a key that are not among the claimed ones."""
    last = {
        row.domain_id: row.id for row in claimed if row.status is Status.PARKED
    }  # ascending: the last wins
    return {
        domain_id for domain_id in domain_ids if _waits_after(connection, domain_id, last.get(domain_id, 0))
    }


def _waits_after(connection: Connection, domain_id: str, row_id: int) -> bool:
    found = select(_skipped.outbox_id).where(
        _skipped.domain_id == domain_id, _waits, _skipped.outbox_id > row_id
    )
    return connection.execute(found.limit(1)).first() is not None


def sealed_seeds(connection: Connection, key_ids: Collection[str]) -> dict[str, bytes]:
    """The sealed private parts that still exist, by key id."""
    keys = signing_keys.c
    found = select(keys.key_id, keys.sealed_seed).where(
        keys.key_id.in_(key_ids), keys.sealed_seed.is_not(None)
    )
    return {key_id: sealed for key_id, sealed in connection.execute(found)}


def settle(change: Change, decisions: Sequence[Decision]) -> None:
    """Move every row as decided."""
    connection = change.connection
    for move, statement in ((Move.PUBLISH, _PUBLISHED), (Move.SETTLE, _STAND), (Move.PARK, _STAND)):
        moved = [
            {"row_id": decision.row.id, "stands": after(decision.row.status, move)}
            for decision in decisions
            if decision.move is move
        ]
        if moved:
            connection.execute(statement, moved)
    left = [decision.row.id for decision in decisions if decision.row.status is Status.PARKED]
    if left:
        connection.execute(
            delete(sse_relay_skipped).where(_skipped.outbox_id == bindparam("row_id")),
            [{"row_id": row_id} for row_id in left],
        )
    parked = [
        {
            "outbox_id": decision.row.id,
            "domain_id": decision.row.domain_id,
            "reason": decision.reason,
            "detail": decision.row.source,
            "parked_at": change.now,
        }
        for decision in decisions
        if decision.move is Move.PARK
    ]
    if parked:
        connection.execute(insert(sse_relay_skipped), parked)


def move_cursor(change: Change, *, last_outbox_id: int, last_sequence: int | None) -> None:
    """Record how far the relay has come; `last_sequence` None where nothing was appended (OUT-3)."""
    cursor = sse_relay_cursor.c
    at = {"last_outbox_id": last_outbox_id, "moved_at": change.now}
    if last_sequence is not None:
        at["last_sequence"] = last_sequence
    moved = update(sse_relay_cursor).where(cursor.stream == subjects.STREAM).values(at)
    if change.connection.execute(moved).rowcount == 0:
        first = {"stream": subjects.STREAM, "last_sequence": 0} | at
        change.connection.execute(insert(sse_relay_cursor).values(first))


def destroy_private_parts(change: Change) -> list[str]:
    """Destroy the private parts of retired keys that no unsent row names; answers their key ids (KEY-3)."""
    keys = signing_keys.c
    retired = select(keys.key_id).where(keys.retired_at.is_not(None), keys.sealed_seed.is_not(None))
    candidates = set(change.connection.execute(retired).scalars())
    if not candidates:
        return []
    spent = sorted(candidates - _named_by_unsent(change.connection))
    if spent:
        change.connection.execute(update(signing_keys).where(keys.key_id.in_(spent)).values(sealed_seed=None))
    return spent


def _named_by_unsent(connection: Connection) -> set[str | None]:
    named_by_pending = select(_row.key_id).where(_is_pending)
    named_by_parked = select(_row.key_id).join(sse_relay_skipped, _skipped.outbox_id == _row.id)
    return set(connection.execute(named_by_pending.union(named_by_parked)).scalars())
