"""Entries of a Node's state that operators write: each change is told to the Node (section 7, 10a)."""

import re
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, select

from reference_server.control import audit, blocks
from reference_server.errors import Refusal
from reference_server.outbox import append
from reference_server.ports import Change
from reference_server.store import tables
from reference_server.store.upserts import upsert

_SOURCE = "tenancy.NodeStateEntryChanged"
_PUT_RELATION = "node_state_entry.put"
_DELETE_RELATION = "node_state_entry.delete"

# Section 10a: the buckets that operators write.
PLATFORM_BUCKETS = frozenset({"metadata", "data"})

# contract_facts 1.6, @RKEY.
_KEY = re.compile(r"[a-z][a-z0-9._-]{0,127}", re.ASCII)

# OUT-6: one Node's entries, as the pull writes them, stay below this, so that no event is too large.
ENTRIES_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an entry stands."""

    node_id: str
    bucket: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What stands there: an opaque text, and the workload that it comes from."""

    value: str
    workload_tag: str | None = None


def is_key(text: str) -> bool:
    """Whether a text follows the grammar of keys (@RKEY)."""
    return _KEY.fullmatch(text) is not None


def put(change: Change, domain_id: str, place: Place, content: Content, *, subject: str) -> bool:
    """Set an entry, tell the Node and audit it; False, and nothing of that, where it stood so already.

    Raises Refusal as `write` does.
    """
    if not write(change, place, content):
        return False
    _tell(change, domain_id, place, relation=_PUT_RELATION, subject=subject)
    return True


def remove(change: Change, domain_id: str, place: Place, *, subject: str) -> None:
    """Drop an entry, tell the Node and audit it. Raises Refusal `state_entry_not_found`."""
    if not erase(change, place):
        raise Refusal("state_entry_not_found")
    _tell(change, domain_id, place, relation=_DELETE_RELATION, subject=subject)


def write(change: Change, place: Place, content: Content) -> bool:
    """Set an entry of a live Node and tell nobody; False where it stood so already.

    Raises Refusal `node_not_found`, `payload_too_large` for an entry that alone is too large, and
    `report_quota_exceeded` where all entries of the Node together are (OUT-6).
    """
    _refuse_unknown_node(change.connection, place.node_id)
    if _stored(change.connection, place) == content:
        return False
    values = {"value": content.value, "workload_tag": content.workload_tag, "updated_at": change.now}
    key = {"node_id": place.node_id, "bucket": place.bucket, "key": place.key}
    upsert(change.connection, tables.state_entries, key, values)
    _refuse_too_large(change.connection, place, content)
    return True


def erase(change: Change, place: Place) -> bool:
    """Drop an entry and tell nobody; False where there is none."""
    return change.connection.execute(delete(tables.state_entries).where(_at(place))).rowcount > 0


def _refuse_unknown_node(connection: Connection, node_id: str) -> None:
    nodes = tables.nodes
    live = select(nodes.c.id).where(nodes.c.id == node_id, nodes.c.deregistered_at.is_(None))
    if connection.execute(live).first() is None:
        raise Refusal("node_not_found")


def _stored(connection: Connection, place: Place) -> Content | None:
    entries = tables.state_entries
    row = connection.execute(select(entries.c.value, entries.c.workload_tag).where(_at(place))).first()
    return None if row is None else Content(value=row.value, workload_tag=row.workload_tag)


def _refuse_too_large(connection: Connection, place: Place, content: Content) -> None:
    if len(blocks.read_state(connection, place.node_id)) < ENTRIES_BYTES:
        return
    alone = blocks.state([(place.bucket, place.key, content.value, content.workload_tag)])
    raise Refusal("payload_too_large" if len(alone) >= ENTRIES_BYTES else "report_quota_exceeded")


def _tell(change: Change, domain_id: str, place: Place, *, relation: str, subject: str) -> None:
    payload = blocks.read_node_state(change.connection, place.node_id)
    append.append(change, domain_id=domain_id, source=_SOURCE, recipients=[place.node_id], payload=payload)
    audit.append_entry(
        change,
        chain_id=domain_id,
        relation=relation,
        object_type="node_state_entry",
        object_id=f"{place.node_id}/{place.bucket}/{place.key}",
        subject=subject,
    )


def _at(place: Place) -> ColumnElement[bool]:
    entries = tables.state_entries
    return (
        (entries.c.node_id == place.node_id)
        & (entries.c.bucket == place.bucket)
        & (entries.c.key == place.key)
    )
