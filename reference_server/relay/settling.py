"""Where rows go once decided, the cursor that moves with them, and keys that nobody needs (OUT-3, KEY-3)."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, insert, select, update

from reference_server.log import subjects
from reference_server.outbox.lifecycle import Move, Status, after
from reference_server.ports import Change
from reference_server.relay.claims import IS_PENDING
from reference_server.relay.decide import Decision
from reference_server.store.tables import outbox_events, signing_keys, sse_relay_cursor, sse_relay_skipped

_skipped = sse_relay_skipped.c
_row = outbox_events.c
_cursor = sse_relay_cursor.c

# One statement per move; what is published owes nobody anything any more (OUT-4).
_STAND = update(outbox_events).where(_row.id == bindparam("row_id")).values(status=bindparam("stands"))
_PUBLISHED = _STAND.values(recipients=b"")
_STATEMENTS = ((Move.PUBLISH, _PUBLISHED), (Move.SETTLE, _STAND), (Move.PARK, _STAND))

_RELEASE = delete(sse_relay_skipped).where(_skipped.outbox_id == bindparam("row_id"))
_PARK = insert(sse_relay_skipped)
_MOVE_CURSOR = (
    update(sse_relay_cursor)
    .where(_cursor.stream == subjects.STREAM)
    .values(
        last_outbox_id=bindparam("row"),
        last_sequence=func.coalesce(bindparam("sequence", type_=BigInteger), _cursor.last_sequence),
        moved_at=bindparam("now"),
    )
)
_SET_CURSOR = insert(sse_relay_cursor)


def settle(change: Change, decisions: Sequence[Decision]) -> None:
    """Move every row as decided."""
    connection = change.connection
    for move, statement in _STATEMENTS:
        moved = [_stand(decision) for decision in decisions if decision.move is move]
        if moved:
            connection.execute(statement, moved)
    left = [{"row_id": made.row.id} for made in decisions if made.row.status is Status.PARKED]
    if left:
        connection.execute(_RELEASE, left)
    parked = [_parked(decision, change.now) for decision in decisions if decision.move is Move.PARK]
    if parked:
        connection.execute(_PARK, parked)


def _stand(decision: Decision) -> dict[str, object]:
    return {"row_id": decision.row.id, "stands": after(decision.row.status, decision.move).value}


def _parked(decision: Decision, now: int) -> dict[str, object]:
    return {
        "outbox_id": decision.row.id,
        "domain_id": decision.row.domain_id,
        "reason": decision.reason,
        "detail": decision.row.source,
        "parked_at": now,
    }


def move_cursor(change: Change, *, last_outbox_id: int, last_sequence: int | None) -> None:
    """Record how far the relay has come; `last_sequence` None where nothing was appended (OUT-3)."""
    at = {"row": last_outbox_id, "sequence": last_sequence, "now": change.now}
    if change.connection.execute(_MOVE_CURSOR, at).rowcount == 0:
        first = {
            "stream": subjects.STREAM,
            "last_outbox_id": last_outbox_id,
            "last_sequence": last_sequence or 0,
            "moved_at": change.now,
        }
        change.connection.execute(_SET_CURSOR, first)


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
    named_by_pending = select(_row.key_id).where(IS_PENDING)
    named_by_parked = select(_row.key_id).join(sse_relay_skipped, _skipped.outbox_id == _row.id)
    return set(connection.execute(named_by_pending.union(named_by_parked)).scalars())
