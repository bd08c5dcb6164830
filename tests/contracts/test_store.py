"""What every Store promises (OUT-1, OUT-7), over SQLite in memory, SQLite in a file, and Postgres."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest
import trio
from sqlalchemy import Connection, insert, select, update

from reference_server.clock import SystemClock
from reference_server.ids import Uuid7Ids
from reference_server.ports import Change, Unavailable
from reference_server.store import dialing, tables
from reference_server.store.engine import MEMORY, SqliteStore
from reference_server.store.postgres import PostgresStore

AnyStore: TypeAlias = SqliteStore | PostgresStore
Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[AnyStore]]

ACME, GLOBEX = "018f0000-0000-7000-8000-000000000001", "018f0000-0001-7000-8000-000000000002"

_facts = tables.server_facts


@pytest.fixture(params=["memory", "file", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the same store at each call."""
    clock = SystemClock()
    if request.param == "postgres":
        place = dialing.place_of(request.getfixturevalue("fresh_database")())

        @asynccontextmanager
        async def on_postgres() -> AsyncIterator[AnyStore]:
            store = await PostgresStore.open(place, clock=clock, ids=Uuid7Ids(clock))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.run)
                yield store
                nursery.cancel_scope.cancel()
            await store.aclose()

        return on_postgres

    path = MEMORY if request.param == "memory" else str(tmp_path / "store.db")

    @asynccontextmanager
    async def on_sqlite() -> AsyncIterator[AnyStore]:
        store = await SqliteStore.open(path, clock=clock, ids=Uuid7Ids(clock))
        yield store
        await store.aclose()

    return on_sqlite


def put(name: str, change: Change) -> None:
    change.connection.execute(insert(_facts), {"name": name, "value": b""})


def names(connection: Connection) -> list[str]:
    return list(connection.execute(select(_facts.c.name).order_by(_facts.c.name)).scalars())


def make_domain(domain_id: str, change: Change) -> None:
    row = {"id": domain_id, "name": "A", "slug": domain_id, "mesh_cidr": "10.0.0.0/24"}
    spans = {"heartbeat_interval": 1, "stale_after": 1, "unreachable_after": 1, "endpoint_ttl": 1}
    change.connection.execute(insert(tables.domains), row | spans | {"created_at": 1, "updated_at": 1})


async def test_commits_when_work_returns_and_rolls_back_when_it_raises(opened: Opened) -> None:
    async with opened() as store:
        await store.change([ACME], partial(put, "kept"))

        def fails(change: Change) -> None:
            put("lost", change)
            raise KeyError("producer")

        with pytest.raises(KeyError, match="producer"):
            await store.change([ACME], fails)
        assert await store.read(names) == ["kept"]


async def test_a_refused_statement_leaves_the_store_usable(opened: Opened) -> None:
    async with opened() as store:
        await store.change([ACME], partial(put, "once"))
        with pytest.raises(Exception, match=r"(?i)unique"):
            await store.change([ACME], partial(put, "once"))
        await store.change([ACME], partial(put, "twice"))
        assert await store.read(names) == ["once", "twice"]


async def test_a_change_carries_one_transaction_id_and_its_domains(opened: Opened) -> None:
    async with opened() as store:
        first, second = [
            await store.change(
                [ACME, GLOBEX], lambda change: (change.transaction_id, change.domains, change.now)
            )
            for _ in range(2)
        ]
        assert first[0] != second[0]
        assert first[1] == {ACME, GLOBEX}
        assert first[2] <= second[2]


async def test_versions_move_with_commits_alone(opened: Opened) -> None:
    async with opened() as store:
        await store.change([ACME, GLOBEX], lambda change: [make_domain(d, change) for d in (ACME, GLOBEX)])
        await heard(store)
        before = store.version(ACME), store.version(GLOBEX)

        def fails(change: Change) -> None:
            raise KeyError("producer")

        with pytest.raises(KeyError):
            await store.change([ACME], fails)
        assert (store.version(ACME), store.version(GLOBEX)) == before
        await store.change([ACME], partial(put, "moved"))
        assert store.version(ACME) != before[0]
        assert store.version(GLOBEX) == before[1]
        counted = await store.read(lambda connection: store.counted(connection, ACME))
        assert counted == store.version(ACME)


async def heard(store: AnyStore) -> None:
    """Wait until a store that listens to other processes does."""
    with trio.fail_after(10):
        while store.version(GLOBEX) != store.version(GLOBEX):  # noqa: ASYNC110  # new each time until then
            await trio.sleep(0.01)


async def test_a_domain_is_changed_by_one_transaction_at_a_time(opened: Opened) -> None:
    async with opened() as store:
        await store.change([ACME], partial(put, "0"))

        def count(change: Change) -> None:
            """Read, then write what was read: two at once would lose one."""
            number = int(change.connection.execute(select(_facts.c.name)).scalar_one())
            change.connection.execute(update(_facts).values(name=str(number + 1)))

        async with trio.open_nursery() as nursery:
            for _ in range(24):
                nursery.start_soon(store.change, [ACME], count)
        assert await store.read(names) == ["24"]


async def test_changes_of_several_domains_never_wait_for_each_other_in_a_circle(opened: Opened) -> None:
    async with opened() as store, trio.open_nursery() as nursery:
        for number in range(24):
            order = [ACME, GLOBEX] if number % 2 else [GLOBEX, ACME]
            nursery.start_soon(store.change, order, partial(put, f"{number:02}"))
    async with opened() as store:
        kept = await store.read(names)
    assert kept in ([], [f"{number:02}" for number in range(24)])  # in memory nothing is kept


async def test_a_read_sees_one_state_throughout(opened: Opened) -> None:
    async with opened() as store:
        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(store.change, [ACME], partial(put, f"{number:02}"))

            async def look() -> None:
                first, second = await store.read(lambda connection: (names(connection), names(connection)))
                assert first == second

            for _ in range(12):
                nursery.start_soon(look)
        assert len(await store.read(names)) == 12


async def test_a_reader_cannot_write(opened: Opened, request: pytest.FixtureRequest) -> None:
    if "memory" in request.node.name:
        return  # one connection serves everybody there
    async with opened() as store:
        with pytest.raises(Exception, match="cannot be written to"):
            await store.read(lambda c: c.execute(insert(_facts), {"name": "x", "value": b""}))
        assert await store.read(names) == []


async def test_what_follows_a_commit_runs_in_the_event_loop_and_only_after_one(opened: Opened) -> None:
    async with opened() as store:
        threads: list[int] = []

        def work(change: Change) -> None:
            change.after_commit.append(lambda: threads.append(threading.get_ident()))

        def fails(change: Change) -> None:
            work(change)
            raise KeyError("producer")

        await store.change([ACME], work)
        with pytest.raises(KeyError):
            await store.change([ACME], fails)
        assert threads == [threading.get_ident()]


async def test_outbox_rows_wake_the_relay(opened: Opened) -> None:
    async with opened() as store:
        await heard(store)
        rung = trio.Event()
        store.on_outbox_written(rung.set)
        await store.change([ACME], partial(put, "nothing for the relay"))
        assert not rung.is_set()

        def work(change: Change) -> None:
            change.outbox_written = True

        await store.change([ACME], work)
        with trio.fail_after(10):
            await rung.wait()


async def test_a_closed_store_is_unavailable(opened: Opened) -> None:
    async with opened() as store:
        pass
    with pytest.raises(Unavailable):
        await store.read(names)
    with pytest.raises(Unavailable):
        await store.change([ACME], partial(put, "late"))
