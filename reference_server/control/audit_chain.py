"""Walking an audit chain: the first row that does not hang together (AUD-1, AUD-2)."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from reference_server.control import audit
from reference_server.store import tables

# A walk holds this many rows in memory at a time.
_ROWS_AT_ONCE = 500

# The observed hash of a row that is not there.
NO_ROW = b""

_Row = tuple[int, bytes, bytes, bytes]  # seq, canonical, prev_hash, entry_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first bad place of a chain: what the hash should be, and what stands there (empty: no such row)."""

    seq: int
    expected_hash: bytes
    observed_hash: bytes


def verify_chain(
    connection: Connection, chain_id: str, *, from_seq: int = audit.FIRST_SEQ, to_seq: int | None = None
) -> Divergence | None:
    """The first divergent row with from_seq <= seq <= to_seq (default: the head), or None where all is sound.

    A row diverges when it is missing, when it hangs on another hash than the former row's, when its own hash
    does not follow from its bytes, or, the last one, when the chain's head says another hash.
    """
    head = audit.read_head(connection, chain_id)
    last = head.next_seq - 1
    up_to = last if to_seq is None else min(to_seq, last)
    former = _hash_before(connection, chain_id, from_seq)
    due = from_seq
    for seq, canonical, prev_hash, entry_hash in _rows(connection, chain_id, from_seq, to_seq):
        computed = audit.chained_hash(former, canonical)
        if seq != due or seq > last:
            return Divergence(seq=due, expected_hash=head.last_hash, observed_hash=NO_ROW)
        if prev_hash != former:  # a broken link shows its two ends
            return Divergence(seq=seq, expected_hash=former, observed_hash=prev_hash)
        if entry_hash != computed:
            return Divergence(seq=seq, expected_hash=computed, observed_hash=entry_hash)
        former, due = entry_hash, seq + 1
    if due <= up_to:
        return Divergence(seq=due, expected_hash=head.last_hash, observed_hash=NO_ROW)
    if from_seq <= last == up_to and former != head.last_hash:
        return Divergence(seq=last, expected_hash=head.last_hash, observed_hash=former)
    return None


def _rows(connection: Connection, chain_id: str, from_seq: int, to_seq: int | None) -> Iterator[_Row]:
    entries = tables.audit_entries
    statement = (
        select(entries.c.seq, entries.c.canonical, entries.c.prev_hash, entries.c.entry_hash)
        .where(entries.c.chain_id == chain_id, entries.c.seq >= from_seq)
        .order_by(entries.c.seq)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    if to_seq is not None:
        statement = statement.where(entries.c.seq <= to_seq)
    for row in connection.execute(statement):
        yield row.seq, row.canonical, row.prev_hash, row.entry_hash


def _hash_before(connection: Connection, chain_id: str, seq: int) -> bytes:
    if seq <= audit.FIRST_SEQ:
        return audit.GENESIS_HASH
    entries = tables.audit_entries
    found = connection.execute(
        select(entries.c.entry_hash).where(entries.c.chain_id == chain_id, entries.c.seq == seq - 1)
    ).scalar()
    return audit.GENESIS_HASH if found is None else bytes(found)
