"""`db restored`: after a backup came back every Node pulls, and no old cursor means a new event (CUR-7)."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from reference_server.exits import Outcome
from reference_server.log import ensure
from reference_server.store import tables
from tests import process
from tests.real.bus import opened
from tests.server.cli.called import Place, called, put_cursor, refused
from tests.services.nats import Nats

DOMAIN, NODE = "018f0000-0000-7000-8000-000000000001", "018f0000-0000-7000-8000-0000000000aa"


def _recorded(connection: Connection) -> int:
    return int(connection.execute(select(tables.sse_relay_cursor.c.last_sequence)).scalar_one())


def test_the_recorded_sequence_moves(place: Place) -> None:
    place.change((), put_cursor)
    called(Outcome.RESTORED, "db", "restored", *place.flags)
    assert place.read(_recorded) == 34 + ensure.LEAP


def test_an_old_schema_comes_first(place: Place) -> None:
    called(Outcome.MIGRATED, "db", "upgrade", "0001", *place.flags)
    refused("db", "restored", *place.flags, said="busproof db upgrade")


@pytest.mark.parametrize("kept", [True, False], ids=["with-events", "empty-log"])
def test_a_file_that_came_back(tmp_path: Path, kept: bool) -> None:
    backup = tmp_path / "backup.db"
    with process.running(tmp_path) as server:
        if kept:
            server.put_entry("alpha", "before", "1")
        server.stop()
    shutil.copy(tmp_path / "bus.db", backup)
    with process.running(tmp_path) as server:
        server.put_entry("alpha", "lost", "1")
        with server.stream("alpha") as stream:
            server.put_entry("alpha", "lost-too", "1")
            cursor, _, _ = stream.next()
        server.stop()
    for left in tmp_path.glob("bus.db*"):
        left.unlink()
    shutil.copy(backup, tmp_path / "bus.db")
    called(Outcome.RESTORED, "db", "restored", "--data", tmp_path / "bus.db")
    with process.running(tmp_path) as server:
        with server.stream("alpha", cursor) as stream:
            assert stream.status == 410
        with server.stream("alpha") as stream:
            server.put_entry("alpha", "after", "1")
            sequence, _, _ = stream.next()
            assert sequence > cursor + ensure.LEAP / 2
        with server.stream("alpha", cursor) as stream:
            assert stream.status == 410  # also once events have come
        assert "lost" not in server.state("alpha").text


def test_a_file_in_use(tmp_path: Path) -> None:
    with process.running(tmp_path):
        refused("db", "restored", "--data", tmp_path / "bus.db", said="is in use by another process")


async def test_beside_jetstream_the_next_start_moves_the_log(
    fresh_database: Callable[[], str], nats_engine: Nats
) -> None:
    async with opened(fresh_database(), nats_engine.url) as bus:
        node, domain = bus.ids.uuid7(), await bus.domain()
        await bus.publish(domain, [node], 3)
        while await bus.relay().carry_once():
            pass
        before = await bus.log.bounds()
        recorded = await bus.store.read(_recorded)
        moved = recorded + ensure.LEAP  # as the command leaves it
        await ensure.ensure_node_events_stream(bus.link, ensure.Wanted(), recorded=moved)
        after = await bus.log.bounds()
    assert (before.high, recorded) == (3, 3)
    assert after.low == after.high + 1 > before.high + ensure.LEAP
