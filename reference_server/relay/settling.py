"""Where rows go once decided, the cursor that moves with them, and keys that nobody needs (OUT-3, KEY-3)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

from sqlalchemy import Connection, Update, bindparam, delete, func, insert, select, update

from reference_server.log import subjects
from reference_server.outbox.lifecycle import Move, Status, after
from reference_server.ports import Change
from reference_server.relay.claims import IS_PENDING
from reference_server.relay.decide import Decision
from reference_server.store import node_bytes, upserts
from reference_server.store.tables import outbox_events, signing_keys, sse_relay_cursor, sse_relay_skipped

_skipped = sse_relay_skipped.c
_row = outbox_events.c
_cursor = sse_relay_cursor.c

# One statement per move; what is published owes nobody anything any more (OUT-4).
_STAND = (
    update(outbox_events)
    .where(_row.id.in_(bindparam("rows", expanding=True)))
    .values(status=bindparam("stands"))
)
_PUBLISHED = _STAND.values(recipients=b"")
_STATEMENTS = ((Move.PUBLISH, _PUBLISHED), (Move.SETTLE, _STAND), (Move.PARK, _STAND))

# Rows moved by one statement: one each would be a round trip each.
_ROWS_AT_ONCE = 500

_RELEASE = delete(sse_relay_skipped).where(_skipped.outbox_id == bindparam("row_id"))
_PARK = insert(sse_relay_skipped)
_OF_STREAM = _cursor.stream == subjects.STREAM
_HOLD_CURSOR = (
    select(_cursor.last_outbox_id, _cursor.last_sequence, _cursor.moved_at)
    .where(_OF_STREAM)
    .with_for_update(skip_locked=True)
)
_FENCE = func.set_config("idle_in_transaction_session_timeout", bindparam("said"), True)
# A file's lock dies with its process, and no other process could take its place.
_HOLD = MappingProxyType({"postgresql": _HOLD_CURSOR.add_columns(_FENCE), "sqlite": _HOLD_CURSOR})
_MOVE_CURSOR = update(sse_relay_cursor).where(_OF_STREAM)
_BEGINNING = MappingProxyType(
    {"stream": subjects.STREAM, "last_outbox_id": 0, "last_sequence": 0, "moved_at": 0}
)
_OWE = update(outbox_events).where(_row.id == bindparam("row_id")).values(recipients=bindparam("still"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the relays have come, and when the last of them moved it (microseconds)."""

    last_outbox_id: int
    last_sequence: int
    moved_at: int


def make_cursor(change: Change) -> None:
    """Have a cursor to hold; one that is there stays where it is."""
    upserts.insert_missing(change.connection, sse_relay_cursor, _BEGINNING)


def hold_cursor(change: Change, fence_seconds: float) -> Cursor | None:
    """The cursor, locked to the end of the transaction; None while another relay holds it (OUT-4).

    The database ends this transaction once its process has stood still for `fence_seconds`.
    """
    said = {"said": f"{fence_seconds * 1000:.0f}ms"}
    held = change.connection.execute(_HOLD[change.connection.dialect.name], said).first()
    if held is None:
        return None
    return Cursor(last_outbox_id=held[0], last_sequence=held[1], moved_at=held[2])


def settle(
    change: Change, decisions: Sequence[Decision], owed: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> None:
    """Move every row as decided; a row whose body is owed to some Nodes stays, for them alone (OUT-4)."""
    connection = change.connection
    still = [
        {"row_id": made.row.id, "still": node_bytes.pack(owed[made.row.event_id])}
        for made in decisions
        if made.row.event_id in owed
    ]
    if still:
        connection.execute(_OWE, still)
        decisions = [made for made in decisions if made.row.event_id not in owed]
    for move, statement in _STATEMENTS:
        _move(connection, statement, [made for made in decisions if made.move is move])
    left = [{"row_id": made.row.id} for made in decisions if made.row.status is Status.PARKED]
    if left:
        connection.execute(_RELEASE, left)
    parked = [_parked(decision, change.now) for decision in decisions if decision.move is Move.PARK]
    if parked:
        connection.execute(_PARK, parked)


def _move(connection: Connection, statement: Update, decisions: Sequence[Decision]) -> None:
    """Give the rows of one move the status that each has after it."""
    by_status: dict[str, list[int]] = {}
    for made in decisions:
        by_status.setdefault(after(made.row.status, made.move).value, []).append(made.row.id)
    for stands, rows in by_status.items():
        for at in range(0, len(rows), _ROWS_AT_ONCE):
            connection.execute(statement, {"rows": rows[at : at + _ROWS_AT_ONCE], "stands": stands})


def _parked(decision: Decision, now: int) -> dict[str, object]:
    return {
        "outbox_id": decision.row.id,
        "domain_id": decision.row.domain_id,
        "reason": decision.reason,
        "detail": decision.row.source,
        "parked_at": now,
    }


def move_cursor(change: Change, held: Cursor, *, last_outbox_id: int, last_sequence: int) -> Cursor:
    """Record how far the relay has come; what lies behind where it was moves nothing back (OUT-3)."""
    moved = Cursor(
        last_outbox_id=max(held.last_outbox_id, last_outbox_id),
        last_sequence=max(held.last_sequence, last_sequence),
        moved_at=max(held.moved_at + 1, change.now),
    )
    change.connection.execute(_MOVE_CURSOR, asdict(moved))
    return moved


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
