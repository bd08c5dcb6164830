"""Transactions of the store (OUT-1, OUT-8)."""

import sqlite3
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from sqlalchemy import Connection, func, insert, select

from reference_server.clock import SystemClock
from reference_server.ids import Uuid7Ids
from reference_server.outbox import append
from reference_server.ports import Change, Unavailable
from reference_server.store import tables
from reference_server.store.engine import MEMORY, SqliteStore
from reference_server.store.refusals import StoreRefused
from tests.server.bus import SOURCE, opened, payload_for

_facts = tables.server_facts


async def _open(path: str) -> SqliteStore:
    clock = SystemClock()
    return await SqliteStore.open(path, clock=clock, ids=Uuid7Ids(clock))


def _put(name: str, change: Change) -> None:
    change.connection.execute(insert(_facts), {"name": name, "value": b""})


def _names(connection: Connection) -> Sequence[str]:
    return connection.execute(select(_facts.c.name).order_by(_facts.c.name)).scalars().all()


@pytest.fixture(params=["memory", "file"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return MEMORY if request.param == "memory" else str(tmp_path / "store.db")


async def test_commits_when_work_returns_and_rolls_back_when_it_raises(path: str) -> None:
    store = await _open(path)
    await store.change(["d"], lambda change: _put("kept", change))

    def fails(change: Change) -> None:
        _put("lost", change)
        raise KeyError("producer")

    with pytest.raises(KeyError, match="producer"):
        await store.change(["d"], fails)
    assert await store.read(_names) == ["kept"]
    assert (store.version("d"), store.version("other")) == (1, 0)
    await store.aclose()


async def test_what_follows_a_commit_follows_in_commit_order(path: str) -> None:
    store = await _open(path)
    committed: list[int] = []
    followed: list[int] = []

    def work(number: int, change: Change) -> None:
        committed.append(number)
        change.after_commit.append(lambda: followed.append(number))

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(store.change, ["d"], lambda change, number=number: work(number, change))
    assert followed == committed
    assert sorted(followed) == list(range(50))
    await store.aclose()


async def test_a_caller_resumed_early_leaves_nobody_behind() -> None:
    store = await _open(MEMORY)
    followed: list[int] = []

    def work(number: int, change: Change) -> None:
        change.after_commit.append(lambda: followed.append(number))

    for number in range(3):  # committed, while the event loop has not come round to their callers yet
        await trio.to_thread.run_sync(store._change, frozenset("d"), partial(work, number), None)
    await store.change(["d"], partial(work, 3))
    assert followed == [0, 1, 2, 3]
    assert store.version("d") == 4
    await store.aclose()


async def test_closing_waits_for_readers(tmp_path: Path) -> None:
    store = await _open(str(tmp_path / "store.db"))
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> Sequence[str]:
        begun.set()
        assert go_on.wait(10)
        return _names(connection)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.read, slow)
        await trio.to_thread.run_sync(begun.wait)
        nursery.start_soon(store.aclose)
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()
    await store.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await store.change([], lambda change: None)
    with pytest.raises(Unavailable, match="closed"):
        await store.read(_names)


async def test_nothing_follows_a_rollback() -> None:
    async with opened() as bus:
        rung: list[bool] = []
        bus.store.on_outbox_written(lambda: rung.append(True))
        node = bus.ids.uuid7()

        def fails(change: Change) -> None:
            append.append(change, domain_id="d", source=SOURCE, recipients=[node], payload=payload_for(node))
            raise KeyError("later")

        with pytest.raises(KeyError):
            await bus.store.change(["d"], fails)
        assert not rung
        await bus.publish("d", [node])
        assert rung == [True]


async def test_a_cancelled_change_is_whole_or_was_never_begun(path: str) -> None:
    store = await _open(path)
    begun, go_on = threading.Event(), threading.Event()

    def slow(change: Change) -> None:
        begun.set()
        assert go_on.wait(10)
        _put("slow", change)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.change, ["d"], slow)
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()
        go_on.set()
    assert await store.read(_names) == ["slow"]
    assert store.version("d") == 1
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.change(["d"], lambda change: _put("never", change))
    assert await store.read(_names) == ["slow"]
    await store.aclose()


async def test_readers_of_a_file_do_not_wait_for_the_writer(tmp_path: Path) -> None:
    store = await _open(str(tmp_path / "store.db"))
    begun, go_on = threading.Event(), threading.Event()

    def slow(change: Change) -> None:
        _put("slow", change)
        begun.set()
        assert go_on.wait(10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.change, ["d"], slow)
        await trio.to_thread.run_sync(begun.wait)
        assert await store.read(_names) == []
        go_on.set()
    assert await store.read(_names) == ["slow"]
    await store.aclose()


async def test_readers_cannot_write(tmp_path: Path) -> None:
    store = await _open(str(tmp_path / "store.db"))
    with pytest.raises(Unavailable):
        await store.read(lambda connection: connection.execute(insert(_facts), {"name": "x", "value": b""}))
    assert await store.read(_names) == []
    await store.aclose()


async def test_a_file_remembers(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    store = await _open(path)
    await store.change(["d"], lambda change: _put("kept", change))
    await store.aclose()
    with pytest.raises(Unavailable):
        await store.read(_names)
    store = await _open(path)
    assert await store.read(_names) == ["kept"]
    await store.aclose()


async def test_one_process_owns_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    store = await _open(path)
    with pytest.raises(StoreRefused, match="in use by another process"):
        await _open(path)
    await store.aclose()
    await (await _open(path)).aclose()


async def test_a_locked_database_is_unavailable_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reference_server.store.connections._BUSY_SECONDS", 0.01)
    store = await _open(str(tmp_path / "store.db"))
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        await store.change(["d"], lambda change: _put("early", change))
    other.execute("ROLLBACK")
    other.close()
    await store.change(["d"], lambda change: _put("late", change))
    assert await store.read(_names) == ["late"]
    await store.aclose()


async def test_a_full_disk_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    store = await _open(str(tmp_path / "store.db"))

    def fill(change: Change) -> None:
        pages = change.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        change.connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")
        change.connection.execute(insert(_facts), {"name": "big", "value": b"x" * 1_000_000})

    with pytest.raises(Unavailable, match="disk is full"):
        await store.change(["d"], fill)
    assert store.version("d") == 0
    assert (
        await store.read(lambda connection: connection.execute(select(func.count(_facts.c.name))).scalar())
        == 0
    )
    await store.aclose()


async def test_files_that_are_no_store_are_refused_in_one_line(tmp_path: Path) -> None:
    noise, foreign, directory = tmp_path / "noise.db", tmp_path / "foreign.db", tmp_path / "directory"
    noise.write_bytes(b"this is no database" * 1000)
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    directory.mkdir()
    places = {
        noise: "is not a store",
        foreign: "is a database of another program",
        directory: "cannot be opened",
        tmp_path / "missing" / "store.db": "No such file or directory",
    }
    for place, said in places.items():
        with pytest.raises(StoreRefused, match=said) as refused:
            await _open(str(place))
        assert str(place) in str(refused.value)
        assert "\n" not in str(refused.value)
