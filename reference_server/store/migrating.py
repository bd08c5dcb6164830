"""Moving a schema from revision to revision on purpose, and what a move back would lose (OUT-9)."""

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, func, select

from reference_server.store import schema, tables
from reference_server.store.refusals import StoreRefused

# Before the first revision.
BASE = "base"

# So many parked rows are named one by one; the others are counted.
_NAMED = 20

# Everything that a move below the first revision takes along, by the word that an operator knows it by.
_KEPT: Mapping[str, Table] = MappingProxyType(
    {
        "Domains": tables.domains,
        "Nodes": tables.nodes,
        "signing keys": tables.signing_keys,
        "outbox rows": tables.outbox_events,
        "log entries": tables.log_entries,
        "audit rows": tables.audit_entries,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a schema is, and what is pending, oldest first, as (revision, what it does)."""

    current: str
    pending: Sequence[tuple[str, str]]


def standing(connection: Connection, place: str) -> Standing:
    """Where the schema is. Raises StoreRefused for a database of something else, or of a newer program."""
    current = schema.revision(connection, place)
    if current in (None, "none"):
        return Standing(current=BASE, pending=_known())
    names = [name for name, _ in _known()]
    if current not in names:
        raise StoreRefused(f"the store {place} was written by a newer version of this program")
    return Standing(current=current, pending=_known()[names.index(current) + 1 :])


def upgrade(connection: Connection, place: str, to: str) -> None:
    """Bring the schema forward. Raises StoreRefused for a revision that is unknown, or lies behind."""
    now = standing(connection, place)
    if _rank(to) < _rank(now.current):
        raise StoreRefused(f"the store {place} is at {now.current}, beyond {to}; downgrade goes back")
    if now.current == BASE and to == schema.HEAD and schema.revision(connection, place) is None:
        schema.bring_to_head(connection, place)
    elif to not in (BASE, now.current):
        _run(connection, lambda config: command.upgrade(config, to))


def downgrade(connection: Connection, place: str, to: str) -> None:
    """Take the schema back, whatever that loses. Raises StoreRefused as `upgrade`, the other way round."""
    now = standing(connection, place)
    if _rank(to) > _rank(now.current):
        raise StoreRefused(f"the store {place} is at {now.current}, before {to}; upgrade goes forward")
    if to != now.current:
        _run(connection, lambda config: command.downgrade(config, to))


def losses(connection: Connection, place: str, to: str) -> list[str]:
    """What a move back to `to` would lose, one line each; relay cursors and parked rows come first."""
    now = standing(connection, place)
    if to != BASE or now.current == BASE:
        return []  # every later revision adds to tables that stay
    kept = [(what, _count(connection, table)) for what, table in _KEPT.items()]
    rest = ", ".join(f"{count} {what}" for what, count in kept if count)
    return [*_cursors(connection), *_parked(connection), *([rest] if rest else [])]


def _cursors(connection: Connection) -> list[str]:
    cursor = tables.sse_relay_cursor.c
    found = select(cursor.stream, cursor.last_outbox_id, cursor.last_sequence).order_by(cursor.stream)
    return [
        f"the relay cursor of {stream}: outbox row {row}, log sequence {sequence}"
        for stream, row, sequence in connection.execute(found)
    ]


def _parked(connection: Connection) -> list[str]:
    skipped = tables.sse_relay_skipped.c
    count = _count(connection, tables.sse_relay_skipped)
    if not count:
        return []
    found = select(skipped.outbox_id, skipped.reason).order_by(skipped.outbox_id).limit(_NAMED)
    named = [f"{row} ({reason})" for row, reason in connection.execute(found)]
    more = [f"{count - len(named)} more"] if count > len(named) else []
    return [f"{count} parked {'row' if count == 1 else 'rows'}: {', '.join([*named, *more])}"]


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _rank(revision: str) -> int:
    names = [BASE, *(name for name, _ in _known())]
    if revision not in names:
        raise StoreRefused(f"there is no revision {revision!r}; there are {', '.join(names)}")
    return names.index(revision)


def _known() -> list[tuple[str, str]]:
    """Every revision of this program, oldest first, and what it does."""
    found = ScriptDirectory.from_config(schema.configured()).walk_revisions()
    return [(script.revision, script.doc) for script in found][::-1]


def _run(connection: Connection, move: Callable[[Config], Any]) -> None:
    """Run migrations in the caller's transaction; what they would lose has been asked before."""
    config = schema.configured()
    config.cmd_opts = Namespace(x=["force"])
    config.attributes["connection"] = connection
    move(config)
