"""The audit chains: one per Domain and the platform's, each row hashed onto the one before (AUD-1).

A row is written inside the transaction of what it tells, so it shares that transaction's id with the
outbox rows (OUT-1). Who did it stands there as a pseudonym that differs from chain to chain.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from sqlalchemy import Connection, insert, select

from reference_server.control import jcs
from reference_server.envelope import instant
from reference_server.ports import Change
from reference_server.store import tables
from reference_server.store.upserts import upsert

# The chain of everything that belongs to no Domain: admission decisions, platform definitions.
PLATFORM = "platform"

# AUD-1: what the first row of a chain hangs on, and its number.
GENESIS_HASH = bytes(32)
FIRST_SEQ = 1

# `server_facts` row of the key under which subjects become pseudonyms (contract_facts 4.3).
_PSEUDONYM_KEY_FACT = "audit_pseudonym_key"
_PSEUDONYM_KEY_BYTES = 32

# Who is named where no caller stands behind a change (evaluator, sweeper).
SYSTEM = "system"

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Reason(StrEnum):
    """AuditReason of the contract."""

    GRANTED = "granted"
    OUT_OF_SCOPE = "out_of_scope"
    INSUFFICIENT_RELATION = "insufficient_relation"
    CAVEAT_VIOLATION = "caveat_violation"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one row tells. `subject` is plain here, a pseudonym in the row; `occurred_at` in microseconds."""

    relation: str
    object_type: str
    object_id: str
    reason: str = Reason.GRANTED
    relation_path: Sequence[str] = ()
    subject: str = SYSTEM
    correlation_id: str | None = None
    occurred_at: int | None = None  # None: the transaction's own instant
    request_context: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a chain ends: the number that the next row gets, and the hash that it hangs on."""

    next_seq: int
    last_hash: bytes


def append_entry(
    change: Change,
    *,
    chain_id: str,
    relation: str,
    object_type: str,
    object_id: str,
    reason: str = Reason.GRANTED,
    relation_path: Sequence[str] = (),
    subject: str = SYSTEM,
    correlation_id: str | None = None,
) -> int:
    """Write one row at the end of a chain inside the caller's transaction and return its seq (AUD-1).

    `chain_id` is a Domain's id, whose lock the caller holds, or PLATFORM.
    """
    entry = Entry(
        relation=relation,
        object_type=object_type,
        object_id=object_id,
        reason=reason,
        relation_path=relation_path,
        subject=subject,
        correlation_id=correlation_id,
    )
    return append_entries(change, chain_id=chain_id, entries=(entry,))


def append_entries(change: Change, *, chain_id: str, entries: Sequence[Entry]) -> int:
    """Write rows at the end of a chain, in order; the head moves by their number. Returns the last seq."""
    head = read_head(change.connection, chain_id)
    key = _pseudonym_key(change.connection)
    rows = []
    for entry in entries:
        pseudonym = _pseudonym(key, chain_id, entry.subject)
        canonical = _canonical(change, chain_id, head.next_seq, entry, pseudonym)
        entry_hash = chained_hash(head.last_hash, canonical)
        rows.append(
            {
                "chain_id": chain_id,
                "seq": head.next_seq,
                "occurred_at": _occurred_at(change, entry),
                "transaction_id": change.transaction_id,
                "canonical": canonical,
                "prev_hash": head.last_hash,
                "entry_hash": entry_hash,
            }
        )
        head = Head(next_seq=head.next_seq + 1, last_hash=entry_hash)
    if rows:
        change.connection.execute(insert(tables.audit_entries), rows)
        _move_head(change.connection, chain_id, head)
    return head.next_seq - 1


def read_head(connection: Connection, chain_id: str) -> Head:
    """The chain's end; a chain without rows ends before FIRST_SEQ, on the genesis hash."""
    heads = tables.audit_chain_heads
    row = connection.execute(
        select(heads.c.next_seq, heads.c.last_hash).where(heads.c.chain_id == chain_id)
    ).first()
    return (
        Head(next_seq=FIRST_SEQ, last_hash=GENESIS_HASH)
        if row is None
        else Head(next_seq=row[0], last_hash=row[1])
    )


def chained_hash(prev_hash: bytes, canonical: bytes) -> bytes:
    """entry_hash of AUD-1: SHA-256 over the former hash and the SHA-256 of the row."""
    return hashlib.sha256(prev_hash + hashlib.sha256(canonical).digest()).digest()


def _canonical(change: Change, chain_id: str, seq: int, entry: Entry, pseudonym: str) -> bytes:
    return jcs.encode(
        {
            "seq": seq,
            "domain_id": chain_id,
            "occurred_at": instant.render(_occurred_at(change, entry)),
            "reason": str(entry.reason),
            "subject": {"pseudonym": pseudonym},
            "relation": entry.relation,
            "relation_path": list(entry.relation_path),
            "object": {"type": entry.object_type, "id": entry.object_id},
            "decision": {"result": str(entry.reason), "caveat_context": {}},
            "correlation_id": entry.correlation_id or change.correlation_id or change.transaction_id,
            "request_context": dict(entry.request_context),
            "transaction_id": change.transaction_id,
        }
    )


def _occurred_at(change: Change, entry: Entry) -> int:
    return change.now if entry.occurred_at is None else entry.occurred_at


def _move_head(connection: Connection, chain_id: str, head: Head) -> None:
    place = {"next_seq": head.next_seq, "last_hash": head.last_hash}
    upsert(connection, tables.audit_chain_heads, {"chain_id": chain_id}, place)


def _pseudonym(key: bytes, chain_id: str, subject: str) -> str:
    return hmac.new(key, f"{chain_id}\0{subject}".encode(), hashlib.sha256).hexdigest()


def _pseudonym_key(connection: Connection) -> bytes:
    facts = tables.server_facts
    known = connection.execute(select(facts.c.value).where(facts.c.name == _PSEUDONYM_KEY_FACT)).scalar()
    if known is not None:
        return bytes(known)
    fresh = secrets.token_bytes(_PSEUDONYM_KEY_BYTES)
    connection.execute(insert(facts).values(name=_PSEUDONYM_KEY_FACT, value=fresh))
    return fresh
