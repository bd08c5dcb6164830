"""`db status|upgrade|downgrade` over a file and over Postgres (OUT-9)."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from reference_server.exits import Outcome
from reference_server.store import schema
from tests import process
from tests.server.cli.called import Place, called, put_cursor, refused

DOMAIN, NODE = "018f0000-0000-7000-8000-000000000001", "018f0000-0000-7000-8000-0000000000aa"


def _db(outcome: Outcome, place: Place, *arguments: str) -> str:
    return called(outcome, "db", *arguments, *place.flags).output


def test_there_and_back(place: Place) -> None:
    assert "went from base to 0001" in _db(Outcome.MIGRATED, place, "upgrade", "0001")
    shown = _db(Outcome.PENDING, place, "status")
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [
        ["current", "0001"],
        ["head", schema.HEAD],
        ["pending", "0002"],
    ]
    assert f"went from 0001 to {schema.HEAD}" in _db(Outcome.MIGRATED, place, "upgrade")
    assert "pending" not in _db(Outcome.AT_HEAD, place, "status")
    assert "already" in _db(Outcome.MIGRATED, place, "upgrade")
    _db(Outcome.MIGRATED, place, "downgrade", "0001")
    _db(Outcome.MIGRATED, place, "downgrade", "base")
    assert "current  base" in _db(Outcome.PENDING, place, "status")
    _db(Outcome.MIGRATED, place, "upgrade")
    assert place.read(lambda connection: connection.execute(text("SELECT 1 FROM domains")).all()) == []


def test_a_new_store_is_made_as_a_server_makes_it(place: Place) -> None:
    _db(Outcome.MIGRATED, place, "upgrade")
    place.park(DOMAIN, NODE, "bad_payload")  # opens it as a server does
    _db(Outcome.AT_HEAD, place, "status")


def test_what_the_relay_left_is_not_dropped_unless_forced(place: Place) -> None:
    place.change((), put_cursor)
    rows = place.park(DOMAIN, NODE, "bad_payload", 2)
    told = _db(Outcome.WOULD_LOSE, place, "downgrade", "base")
    assert "relay cursor of PLEXSPHERE_NODE_EVENTS: outbox row 12, log sequence 34" in told
    assert f"2 parked rows: {rows[0]} (bad_payload), {rows[1]} (bad_payload)" in told
    assert "2 outbox rows" in told and "--force" in told
    _db(Outcome.AT_HEAD, place, "status")
    _db(Outcome.MIGRATED, place, "downgrade", "0001")  # loses nothing of it
    assert "2 parked rows" in _db(Outcome.WOULD_LOSE, place, "downgrade", "base")
    assert "lost: 2 parked rows" in _db(Outcome.MIGRATED, place, "downgrade", "base", "--force")
    assert "current  base" in _db(Outcome.PENDING, place, "status")


def test_a_cursor_alone_is_enough(place: Place) -> None:
    place.change((), put_cursor)
    assert "relay cursor" in _db(Outcome.WOULD_LOSE, place, "downgrade", "base")


def test_parked_rows_beyond_some_are_counted(place: Place) -> None:
    place.park(DOMAIN, NODE, "bad_payload", 25)
    assert "25 parked rows" in (told := _db(Outcome.WOULD_LOSE, place, "downgrade", "base"))
    assert "5 more" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["upgrade", "0009"], "no revision '0009'; there are base, 0001, 0002"),
        (["downgrade", "head~"], "no revision 'head~'"),
        (["upgrade", "0001"], "beyond 0001; downgrade goes back"),
        (["downgrade"], "Missing argument 'REVISION'"),
        (["status", "--revision", "1"], "--revision"),
        (["sideways"], "No such command 'sideways'"),
    ],
)
def test_bad_words_are_refused_in_one_line(place: Place, arguments: list[str], said: str) -> None:
    _db(Outcome.MIGRATED, place, "upgrade")
    refused("db", *arguments, *place.flags, said=said)
    _db(Outcome.AT_HEAD, place, "status")


def test_back_is_not_forward(place: Place) -> None:
    _db(Outcome.MIGRATED, place, "upgrade", "0001")
    refused("db", "downgrade", "0002", *place.flags, said="before 0002; upgrade goes forward")


@pytest.mark.parametrize("command", [["status"], ["upgrade"], ["downgrade", "base", "--force"]])
def test_a_newer_store_is_left_alone(place: Place, command: list[str]) -> None:
    place.read(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    refused("db", *command, *place.flags, said="was written by a newer version of this program")


@pytest.mark.parametrize("command", [["status"], ["upgrade"], ["downgrade", "base"]])
def test_a_database_of_something_else_is_left_alone(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "bus.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = file.read_bytes()
    refused("db", *command, "--data", file, said="is a database of another program")
    assert file.read_bytes() == before


@pytest.mark.parametrize("command", [["status"], ["upgrade"], ["downgrade", "base"]])
def test_no_database_at_all(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "bus.db"
    file.write_bytes(b"not a database at all" * 100)
    refused("db", *command, "--data", file, said="is not a store")
    url = "postgresql://nobody@127.0.0.1:1/bus"
    refused("db", *command, "--database-url", url, said="127.0.0.1:1/bus cannot be reached")


def test_what_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    file = tmp_path / "none.db"
    refused("db", "status", "--data", file, said="there is no store")
    refused("db", "downgrade", "base", "--data", file, said="there is no store")
    assert list(tmp_path.iterdir()) == []
    refused("db", "upgrade", "--data", tmp_path / "nowhere" / "bus.db", said="No such file or directory")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--data", ":memory:"], "a store in memory ends with its server"),
        (["--data", "a.db", "--database-url", "postgresql://a@b/c"], "name two stores"),
        (["--database-url", "postgresql://a:secret@b/c"], "must not hold the password"),
    ],
)
def test_a_store_that_is_not_named_well(flags: list[str], said: str) -> None:
    refused("db", "status", *flags, said=said)


def test_a_file_that_a_server_uses_is_looked_at_but_not_moved(tmp_path: Path) -> None:
    with process.running(tmp_path):
        called(Outcome.AT_HEAD, "db", "status", "--data", tmp_path / "bus.db")
        refused(
            *("db", "downgrade", "base", "--force", "--data", tmp_path / "bus.db"),
            said="is in use by another process",
        )


def test_a_database_that_servers_use_is_not_taken_back(fresh_database: Callable[[], str]) -> None:
    from reference_server.store import dialing  # noqa: PLC0415  # this test alone is a server

    url = fresh_database()
    called(Outcome.MIGRATED, "db", "upgrade", "--database-url", url)
    line = dialing.dialer(dialing.place_of(url)).line()
    try:
        refused("db", "downgrade", "0001", "--database-url", url, said="is in use: 1 connection")
        called(Outcome.AT_HEAD, "db", "status", "--database-url", url)
    finally:
        line.close()
