"""The SQL of the embedded log. Plain statements: these run for every entry of every broadcast."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection

from reference_server.ports import Bounds, SignedBody

Place: TypeAlias = tuple[int, bytes, int]  # sequence, Node, body id

_HIGH = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'log_entries'), 0)"
_LOW = "SELECT min(sequence) FROM log_entries"
_TOP_BODY = "SELECT coalesce(max(id), 0) FROM log_bodies"
_HELD = "SELECT coalesce(sum(length(b.wire)), 0) FROM log_entries e JOIN log_bodies b ON b.id = e.body_id"
_KNOWN = "SELECT id, event_id FROM log_bodies WHERE event_id IN (SELECT value FROM json_each(?))"
_HOLDS = "SELECT 1 FROM log_entries WHERE node = ? AND body_id = ? LIMIT 1"
_ADD_BODY = "INSERT INTO log_bodies VALUES (?, ?, ?, ?, ?, ?, ?)"
_ADD_ENTRY = "INSERT INTO log_entries (sequence, node, body_id) VALUES (?, ?, ?)"
_AFTER = "SELECT sequence, node, body_id FROM log_entries WHERE sequence > ? ORDER BY sequence LIMIT ?"
_OF_NODE = """
    SELECT e.sequence, e.node, e.body_id, length(b.wire)
    FROM log_entries e JOIN log_bodies b ON b.id = e.body_id
    WHERE e.node = ? AND e.sequence > ? AND e.sequence <= ? ORDER BY e.sequence LIMIT ?"""
_BODIES = """
    SELECT id, event_id, event_type, domain_id, key_id, wire FROM log_bodies
    WHERE id IN (SELECT value FROM json_each(?))"""
_OLDEST = """
    SELECT e.sequence, length(b.wire), b.appended_at FROM log_entries e JOIN log_bodies b ON b.id = e.body_id
    ORDER BY e.sequence LIMIT ?"""
_DROP_ENTRIES = "DELETE FROM log_entries WHERE sequence <= ?"
_DROP_BODIES = """
    DELETE FROM log_bodies
    WHERE id < coalesce((SELECT body_id FROM log_entries ORDER BY sequence LIMIT 1), 9223372036854775807)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oldest:
    """An entry that retention looks at."""

    sequence: int
    size: int  # bytes of its body
    appended_at: int


def bounds(connection: Connection) -> Bounds:
    """What the log holds (CUR-4); AUTOINCREMENT keeps the high when every entry is gone."""
    high = int(connection.exec_driver_sql(_HIGH).scalar_one())
    low = connection.exec_driver_sql(_LOW).scalar_one()
    return Bounds(low=high + 1 if low is None else int(low), high=high)


def high(connection: Connection) -> int:
    """The highest sequence ever assigned."""
    return int(connection.exec_driver_sql(_HIGH).scalar_one())


def top_body(connection: Connection) -> int:
    """The highest body id that is held."""
    return int(connection.exec_driver_sql(_TOP_BODY).scalar_one())


def held_bytes(connection: Connection) -> int:
    """What is retained: each entry counts its body's bytes, as in JetStream."""
    return int(connection.exec_driver_sql(_HELD).scalar_one())


def known_bodies(connection: Connection, event_ids: Iterable[str]) -> list[tuple[int, str]]:
    """The (id, event id) of bodies that the log already holds for some events."""
    found = connection.exec_driver_sql(_KNOWN, (json.dumps(list(event_ids)),))
    return [(body_id, event_id) for body_id, event_id in found]


def holds(connection: Connection, node: bytes, body_id: int) -> bool:
    """Whether a body was appended for a Node."""
    return connection.exec_driver_sql(_HOLDS, (node, body_id)).first() is not None


def add(
    connection: Connection, bodies: Sequence[tuple[int, SignedBody]], places: list[Place], now: int
) -> None:
    """Insert bodies under their ids, and entries under their sequences."""
    rows = [(i, b.event_id, b.event_type, b.domain_id, b.key_id, b.wire, now) for i, b in bodies]
    connection.exec_driver_sql(_ADD_BODY, rows)
    connection.exec_driver_sql(_ADD_ENTRY, places)


def after(connection: Connection, sequence: int, limit: int) -> list[Place]:
    """Entries of all Nodes beyond a sequence."""
    return [tuple(row) for row in connection.exec_driver_sql(_AFTER, (sequence, limit))]


def of_node(
    connection: Connection, node: bytes, sequence: int, up_to: int, limit: int
) -> list[tuple[Place, int]]:
    """Entries of one Node with sequence < entry <= up_to, each with the size of its body."""
    found = connection.exec_driver_sql(_OF_NODE, (node, sequence, up_to, limit))
    return [((at, owner, body_id), size) for at, owner, body_id, size in found]


def bodies(connection: Connection, ids: Iterable[int]) -> dict[int, SignedBody]:
    """Bodies by id."""
    found = connection.exec_driver_sql(_BODIES, (json.dumps(list(ids)),))
    return {
        body_id: SignedBody(event_id=event, event_type=kind, domain_id=domain, key_id=key, wire=wire)
        for body_id, event, kind, domain, key, wire in found
    }


def oldest(connection: Connection, limit: int) -> list[Oldest]:
    """The entries that retention drops first."""
    found = connection.exec_driver_sql(_OLDEST, (limit,))
    return [Oldest(sequence=at, size=size, appended_at=since) for at, size, since in found]


def drop(connection: Connection, through: int) -> None:
    """Delete entries up to a sequence, and the bodies that no entry needs any more."""
    connection.exec_driver_sql(_DROP_ENTRIES, (through,))
    connection.exec_driver_sql(_DROP_BODIES)
