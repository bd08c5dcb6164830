"""What the relay takes: pending rows by id, and rows whose Domain has got its key at last (OUT-2, OUT-5)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Select, bindparam, exists, func, literal_column, select
from sqlalchemy import Row as Fetched

from reference_server.outbox.lifecycle import Status
from reference_server.relay.decide import Reason, Row
from reference_server.store import node_bytes
from reference_server.store.tables import outbox_events, signing_keys, sse_relay_skipped

# A batch holds no more payload than this in memory. Few rows come at once (of the largest 32 MB), many by and
# by until it is reached: over Postgres that is three round trips more.
_CLAIM_BYTES = 8 * 1024 * 1024
_AT_ONCE = 64
_BY_AND_BY = MappingProxyType({"yield_per": 128})

# Pending rows are asked for so many at first, then twice as many each time: a row may address a thousand
# Nodes, and a batch that takes four of them must not be sent four thousand.
_FIRST_ROWS = 16
_BEFORE_ALL = -(2**63)

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
    select(signing_keys.c.sealed_seed).where(signing_keys.c.key_id == _row.key_id).scalar_subquery(),
    # Told with the rows: where nothing is parked, the questions about parked rows are not asked.
    select(func.min(_skipped.domain_id)).scalar_subquery(),
)
_waits = _skipped.reason == Reason.NO_SIGNING_KEY.value

# Spelled in the statement, not bound, so that the partial index applies under any planner.
IS_PENDING = _row.status == literal_column(f"'{Status.PENDING}'")


def _domains_given_a_key() -> Select[Any]:
    """Goes from one parked Domain to the next through the index, however many rows each of them has."""
    first = select(func.min(_skipped.domain_id).label("domain_id")).cte("parked", recursive=True)
    following = (
        select(func.min(_skipped.domain_id)).where(_skipped.domain_id > first.c.domain_id).scalar_subquery()
    )
    parked = first.union_all(select(following).where(first.c.domain_id.is_not(None)))
    return select(parked.c.domain_id).where(exists().where(signing_keys.c.domain_id == parked.c.domain_id))


# Statements are built once: building one costs more than running it.
_DOMAINS_GIVEN_A_KEY = _domains_given_a_key()
_PENDING = (
    select(*_columns)
    .where(IS_PENDING, _row.id > bindparam("after"))
    .order_by(_row.id)
    .limit(bindparam("wanted"))
)
_RELEASED = (
    select(*_columns)
    .join(sse_relay_skipped, _skipped.outbox_id == _row.id)
    .where(_skipped.domain_id.in_(bindparam("domains", expanding=True)), _waits, _row.key_id.is_not(None))
    .order_by(_row.id)
    .limit(bindparam("wanted"))
)
_WAITS_AFTER = (
    select(_skipped.outbox_id)
    .where(_skipped.domain_id == bindparam("domain"), _waits, _skipped.outbox_id > bindparam("row"))
    .limit(1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Rows in order, whether there are more of them, and whether rows of any Domain were parked then."""

    rows: list[Row]
    more: bool = False
    any_parked: bool = True


def pending(connection: Connection, limit: int) -> Claim:
    """The oldest pending rows, no more of them than `limit` publishes need."""
    claimed: list[Row] = []
    after, size, room, wanted = _BEFORE_ALL, _CLAIM_BYTES, limit, min(_FIRST_ROWS, limit)
    any_parked = False
    while True:
        found = _claimed(connection, _PENDING, {"after": after, "wanted": wanted}, size)
        claimed += found.rows
        any_parked |= found.any_parked
        size -= sum(map(_size, found.rows))
        room -= sum(max(1, len(row.recipients)) for row in found.rows)
        if len(found.rows) < wanted or room <= 0 or size <= 0:
            return Claim(rows=claimed, more=found.more, any_parked=any_parked)
        after, wanted = found.rows[-1].id, min(2 * wanted, room)


def domains_given_a_key(connection: Connection) -> list[str]:
    """Domains that have a key, and rows parked for whatever reason."""
    return list(connection.execute(_DOMAINS_GIVEN_A_KEY).scalars())


def released(connection: Connection, domain_ids: Collection[str], limit: int) -> Claim:
    """The oldest rows of some Domains that were parked for want of a key and have one now."""
    return _claimed(connection, _RELEASED, {"domains": list(domain_ids), "wanted": limit})


def _size(row: Row) -> int:
    return len(row.payload) + len(row.recipients) * node_bytes.WIDTH


def _claimed(
    connection: Connection, statement: Select[Any], asked: Mapping[str, Any], room: int = _CLAIM_BYTES
) -> Claim:
    claimed: list[Row] = []
    any_parked = False
    wanted: int = asked["wanted"]
    options = _BY_AND_BY if wanted > _AT_ONCE else None
    with connection.execute(statement, asked, execution_options=options) as found:
        for columns in found:
            row = _record(columns)
            any_parked = columns[-1] is not None
            room -= _size(row)
            if claimed and room < 0:
                return Claim(rows=claimed, more=True, any_parked=any_parked)
            claimed.append(row)
    return Claim(rows=claimed, more=len(claimed) == wanted, any_parked=any_parked)


def _record(columns: Fetched[Any]) -> Row:
    *told, status, sealed_seed, _ = tuple(columns)
    row_id, event_id, domain_id, source, recipients, payload, key_id, envelope = told
    return Row(
        id=row_id,
        event_id=event_id,
        domain_id=domain_id,
        source=source,
        recipients=node_bytes.unpack(recipients),
        payload=payload,
        key_id=key_id,
        envelope=envelope,
        status=Status(status),
        sealed_seed=sealed_seed,
    )


def domains_waiting(connection: Connection, domain_ids: Iterable[str], claimed: Sequence[Row]) -> set[str]:
    """Which of the Domains have rows parked for want of a key that are not among the claimed ones."""
    last = {row.domain_id: row.id for row in claimed if row.status is Status.PARKED}  # the last one stays
    return {
        domain_id for domain_id in domain_ids if _waits_after(connection, domain_id, last.get(domain_id, 0))
    }


def _waits_after(connection: Connection, domain_id: str, row_id: int) -> bool:
    return connection.execute(_WAITS_AFTER, {"domain": domain_id, "row": row_id}).first() is not None
