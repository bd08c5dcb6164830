"""The chains: what a row holds, how rows hang together, and that every damage is found."""

import hashlib
import json
from collections.abc import Callable
from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select, update

from reference_server.clock import SystemClock
from reference_server.control import audit, audit_chain
from reference_server.control.audit import Entry
from reference_server.ids import Uuid7Ids
from reference_server.ports import Change
from reference_server.store import tables
from reference_server.store.engine import MEMORY, SqliteStore

DOMAIN = "0198c0de-0000-7000-8000-00000000d001"
ROWS = tables.audit_entries
HEADS = tables.audit_chain_heads

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
ENTRIES = st.builds(
    Entry,
    relation=TEXT,
    object_type=TEXT,
    object_id=TEXT,
    reason=st.sampled_from(list(audit.Reason)),
    relation_path=st.lists(TEXT, max_size=3),
    subject=TEXT,
    correlation_id=st.none() | TEXT,
    occurred_at=st.none() | st.integers(0, 10**15),
)


async def store() -> SqliteStore:
    clock = SystemClock()
    return await SqliteStore.open(MEMORY, clock=clock, ids=Uuid7Ids(clock))


def appended(*batches: list[Entry], chain_id: str = DOMAIN) -> Callable[[Change], None]:
    def work(change: Change) -> None:
        for batch in batches:
            audit.append_entries(change, chain_id=chain_id, entries=batch)

    return work


def plain(number: int) -> Entry:
    return Entry(relation="r", object_type="node", object_id=str(number))


async def test_a_row_is_as_the_clause_says() -> None:
    kept = await store()
    seq = await kept.change(
        [DOMAIN],
        lambda change: audit.append_entry(
            change,
            chain_id=DOMAIN,
            relation="node_reachability.transition",
            object_type="domain",
            object_id="ab",
            relation_path=["a", "b"],
            subject="operator:root",
        ),
        correlation_id="c-9",
    )
    assert seq == 1
    row = await kept.read(lambda connection: connection.execute(select(ROWS)).one())
    told = json.loads(row.canonical)
    assert row.canonical == json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    assert (told["relation"], told["object"]) == (
        "node_reachability.transition",
        {"type": "domain", "id": "ab"},
    )
    assert (told["reason"], told["decision"]["result"]) == ("granted", "granted")
    assert (told["relation_path"], told["correlation_id"], told["seq"]) == (["a", "b"], "c-9", 1)
    assert not {"prev_hash", "entry_hash", "archive_etag", "archived_at"} & set(told)
    assert len(bytes.fromhex(told["subject"]["pseudonym"])) == 32
    assert b"root" not in row.canonical
    assert row.prev_hash == bytes(32)
    assert row.entry_hash == hashlib.sha256(bytes(32) + hashlib.sha256(row.canonical).digest()).digest()
    await kept.aclose()


async def test_a_pseudonym_is_the_same_within_a_chain_and_differs_between_chains() -> None:
    kept = await store()
    for chain_id in (DOMAIN, DOMAIN, audit.PLATFORM):
        await kept.change([], appended([plain(1)], chain_id=chain_id))
    rows = await kept.read(lambda connection: connection.execute(select(ROWS.c.canonical)).scalars().all())
    first, second, third = [json.loads(row)["subject"]["pseudonym"] for row in rows]
    assert first == second != third
    await kept.aclose()


async def test_chains_count_apart_and_a_failed_transaction_leaves_no_gap() -> None:
    kept = await store()

    def fails(change: Change) -> None:
        appended([plain(1)])(change)
        raise RuntimeError

    await kept.change([], appended([plain(1)], chain_id=audit.PLATFORM))
    with pytest.raises(RuntimeError):
        await kept.change([], fails)
    await kept.change([], appended([plain(1), plain(2)], []))
    for chain_id, rows in ((DOMAIN, 2), (audit.PLATFORM, 1)):
        head = await kept.read(partial(audit.read_head, chain_id=chain_id))
        assert head.next_seq == rows + 1
        assert await kept.read(partial(audit_chain.verify_chain, chain_id=chain_id)) is None
    await kept.aclose()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(ENTRIES, max_size=4), max_size=5), st.data())
def test_any_chain_verifies_and_any_damage_is_found_where_it_is(
    batches: list[list[Entry]], data: st.DataObject
) -> None:
    async def scenario() -> None:
        kept = await store()
        await kept.change([], appended(*batches))
        count = sum(map(len, batches))
        assert await kept.read(lambda connection: audit_chain.verify_chain(connection, DOMAIN)) is None
        if count:
            seq = data.draw(st.integers(1, count))
            damage = data.draw(st.sampled_from(sorted(DAMAGES)))
            await kept.change([], lambda change: DAMAGES[damage](change.connection, seq))
            found = await kept.read(lambda connection: audit_chain.verify_chain(connection, DOMAIN))
            assert found is not None
            assert found.seq == seq
            assert found.expected_hash != found.observed_hash
        await kept.aclose()

    trio.run(scenario)


def _canonical(connection: Connection, seq: int) -> None:
    row = connection.execute(select(ROWS.c.canonical).where(ROWS.c.seq == seq)).scalar_one()
    _set(connection, seq, canonical=row + b" ")


def _entry_hash(connection: Connection, seq: int) -> None:
    _set(connection, seq, entry_hash=bytes(32))


def _prev_hash(connection: Connection, seq: int) -> None:
    _set(connection, seq, prev_hash=b"\x01" * 32)


def _missing(connection: Connection, seq: int) -> None:
    connection.execute(delete(ROWS).where(ROWS.c.seq == seq))


def _rewritten(connection: Connection, seq: int) -> None:
    """A row whose hash fits again, so that only what follows, or the head, can tell."""
    row = connection.execute(select(ROWS).where(ROWS.c.seq == seq)).one()
    changed = row.canonical + b" "
    _set(connection, seq, canonical=changed, entry_hash=audit.chained_hash(row.prev_hash, changed))


DAMAGES: dict[str, Callable[[Connection, int], None]] = {
    "canonical": _canonical,
    "entry_hash": _entry_hash,
    "prev_hash": _prev_hash,
    "missing": _missing,
}


def _set(connection: Connection, seq: int, **values: object) -> None:
    connection.execute(update(ROWS).where(ROWS.c.seq == seq).values(**values))


@pytest.mark.parametrize(("seq", "found_at"), [(1, 2), (2, 3), (3, 3)])
async def test_a_row_that_was_rewritten_with_its_hash_shows_at_the_next_link(seq: int, found_at: int) -> None:
    kept = await store()
    await kept.change([], appended([plain(1), plain(2), plain(3)]))
    await kept.change([], lambda change: _rewritten(change.connection, seq))
    found = await kept.read(lambda connection: audit_chain.verify_chain(connection, DOMAIN))
    assert found is not None
    assert found.seq == found_at
    await kept.aclose()


async def test_a_segment_is_judged_by_itself() -> None:
    kept = await store()
    await kept.change([], appended([plain(number) for number in range(6)]))
    await kept.change([], lambda change: _canonical(change.connection, 3))

    async def verified(from_seq: int, to_seq: int | None) -> int | None:
        found = await kept.read(
            lambda connection: audit_chain.verify_chain(connection, DOMAIN, from_seq=from_seq, to_seq=to_seq)
        )
        return None if found is None else found.seq

    assert await verified(1, 2) is None
    assert await verified(1, 3) == 3
    assert await verified(4, None) is None
    assert await verified(4, 99) is None
    assert await verified(2, None) == 3
    await kept.aclose()


async def test_a_chain_without_rows_is_sound() -> None:
    kept = await store()
    assert await kept.read(lambda connection: audit_chain.verify_chain(connection, DOMAIN)) is None
    await kept.aclose()


async def test_rows_beyond_the_head_are_found() -> None:
    kept = await store()
    await kept.change([], appended([plain(1), plain(2)]))
    back = update(HEADS).values(next_seq=2)
    await kept.change([], lambda change: change.connection.execute(back))
    found = await kept.read(lambda connection: audit_chain.verify_chain(connection, DOMAIN))
    assert found is not None
    assert found.seq == 2
    await kept.aclose()
