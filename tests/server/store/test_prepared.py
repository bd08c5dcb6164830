"""Statements are prepared once a connection, a bounded number of them, and survive what goes wrong."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DBAPIError

from reference_server.clock import SystemClock
from reference_server.ids import Uuid7Ids
from reference_server.ports import Unavailable
from reference_server.store import dialing, prepared
from reference_server.store.postgres import PostgresStore

_DOUBLE = text("SELECT 2 * CAST(:number AS bigint)")
_HELD = text("SELECT count(*) FROM pg_prepared_statements")
_MEMBER = text("SELECT 2 IN :numbers").bindparams(bindparam("numbers", expanding=True))
_NOTE = text("INSERT INTO server_facts (name, value) VALUES (:name, '')")
_NOTED = text("SELECT * FROM server_facts WHERE name = :name")


@pytest.fixture
def connection(fresh_database: Callable[[], str]) -> Iterator[Connection]:
    line = dialing.dialer(dialing.place_of(fresh_database())).line()
    yield line.connection
    line.close()


def _held(connection: Connection) -> int:
    return int(connection.execute(_HELD).scalar_one())


def test_a_statement_is_prepared_once(connection: Connection) -> None:
    with connection.begin():
        before = _held(connection)
        found = [connection.execute(_DOUBLE, {"number": number}).scalar_one() for number in range(3)]
        assert found == [0, 2, 4]
        assert _held(connection) == before + 1


def test_lists_of_every_length_are_bounded(connection: Connection) -> None:
    with connection.begin():
        for length in range(1, prepared.KEPT + 20):
            found = connection.execute(_MEMBER, {"numbers": list(range(length))}).scalar_one()
            assert found == (length > 2)
        assert _held(connection) == prepared.KEPT
        connection.execute(_DOUBLE, {"number": 1})
        assert _held(connection) == prepared.KEPT
        assert connection.execute(_MEMBER, {"numbers": [2]}).scalar_one()  # let go of, and met again


def test_a_refused_statement_is_as_good_as_before_after_a_rollback(connection: Connection) -> None:
    wrong = text("SELECT nothing FROM nowhere WHERE name = :name")
    with connection.begin():
        connection.exec_driver_sql("CREATE TEMPORARY TABLE server_facts (name text UNIQUE, value text)")
    for statement in (_NOTE, wrong, _NOTE, wrong):
        with pytest.raises(DBAPIError), connection.begin():
            connection.exec_driver_sql("BEGIN")
            connection.execute(_NOTE, {"name": "once"})
            connection.execute(statement, {"name": "once"})
    with connection.begin():
        connection.execute(_NOTE, {"name": "once"})
        assert len(connection.execute(_NOTED, {"name": "once"}).all()) == 1


async def test_a_changed_schema_costs_one_call(fresh_database: Callable[[], str]) -> None:
    clock = SystemClock()
    place = dialing.place_of(fresh_database())
    store = await PostgresStore.open(place, clock=clock, ids=Uuid7Ids(clock))

    def noted(connection: Connection) -> int:
        return len(connection.execute(_NOTED, {"name": "none"}).all())

    assert await store.read(noted) == 0
    other = dialing.dialer(place).line()
    other.connection.exec_driver_sql("ALTER TABLE server_facts ADD COLUMN more integer")
    other.close()
    with pytest.raises(Unavailable, match="has changed its schema"):
        await store.read(noted)
    assert await store.read(noted) == 0
    await store.aclose()
