"""Every wait on Postgres or NATS ends in time, and a cancelled database call discards its connection."""

import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from sqlalchemy import Connection, text

from reference_server import metrics
from reference_server.clock import SystemClock
from reference_server.ids import Uuid7Ids
from reference_server.log import ensure, nats_link, subjects
from reference_server.log.jetstream import JetStreamLog
from reference_server.log.nats_link import NatsLink, NatsPlace
from reference_server.ports import Appended, Change, Layer, Lease, Outgoing, SignedBody, Unavailable
from reference_server.store import dialing
from reference_server.store.postgres import PostgresStore
from reference_server.stream import kv_nonces
from tests.faults.proxy import Proxy
from tests.real import bus
from tests.services import nats
from tests.services.ports import free_port
from tests.services.postgres import Postgres

# The longest wait on Postgres is for the answer of a dead line, behind the wait for one (7 s and 3 s); on
# NATS it is a batch of nonces (10 s). Two seconds are the machine's.
_POSTGRES_SECONDS = 7.0 + 3.0 + 2.0
_NATS_SECONDS = 10.0 + 2.0

# A statement is given up by the database itself.
_STATEMENT_SECONDS = 5.0 + 2.0

# Below every deadline of the log.
_AT_ONCE = 2.0

_CALLERS = 20
_PAUSE = 0.05


@asynccontextmanager
async def _stored(engine: Postgres, database: str) -> AsyncIterator[tuple[PostgresStore, Proxy]]:
    """A store behind a wire that can be cut."""
    clock = SystemClock()
    async with trio.open_nursery() as nursery:
        wire = Proxy(engine.port)
        await nursery.start(wire.serve)
        place = dialing.place_of(engine.tcp_url(database, wire.port))
        store = await PostgresStore.open(place, clock=clock, ids=Uuid7Ids(clock))
        nursery.start_soon(store.run)
        yield store, wire
        wire.lighten()
        await store.aclose()
        nursery.cancel_scope.cancel()


def _named(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _one(connection: Connection) -> int:
    return int(connection.execute(text("SELECT 1")).scalar_one())


def _write(change: Change) -> int:
    return _one(change.connection)


def _pid(connection: Connection) -> int:
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


async def test_no_call_waits_longer_for_a_database_that_nobody_hears(
    fresh_database: Callable[[], str], postgres_engine: Postgres
) -> None:
    async with _stored(postgres_engine, _named(fresh_database())) as (store, wire):
        assert await store.read(_one) == 1
        wire.blacken()
        ended: list[float] = []
        began = time.monotonic()

        async def call(number: int) -> None:
            with pytest.raises(Unavailable):
                await (store.change((), _write) if number % 2 else store.read(_one))
            ended.append(time.monotonic() - began)

        async with trio.open_nursery() as nursery:
            for number in range(_CALLERS):
                nursery.start_soon(call, number)
        assert len(ended) == _CALLERS and max(ended) < _POSTGRES_SECONDS
        wire.lighten()
        with trio.fail_after(_POSTGRES_SECONDS):
            while not await _answers(store):  # noqa: ASYNC110  # a database has to be asked
                await trio.sleep(_PAUSE)


async def _answers(store: PostgresStore) -> bool:
    try:
        return await store.read(_one) == 1
    except Unavailable:
        return False


async def test_a_statement_without_end_is_ended(
    fresh_database: Callable[[], str], postgres_engine: Postgres
) -> None:
    async with _stored(postgres_engine, _named(fresh_database())) as (store, _):
        began = time.monotonic()
        with pytest.raises(Unavailable, match="takes too long"):
            await store.read(lambda connection: connection.execute(text("SELECT pg_sleep(60)")).all())
        assert time.monotonic() - began < _STATEMENT_SECONDS


@pytest.mark.parametrize("writes", [False, True], ids=["read", "change"])
async def test_a_cancelled_call_discards_its_connection_and_what_it_had_written(
    writes: bool, fresh_database: Callable[[], str], postgres_engine: Postgres
) -> None:
    async with _stored(postgres_engine, _named(fresh_database())) as (store, _):
        pids: list[int] = []

        def work(connection: Connection) -> None:
            if writes:
                connection.execute(text("INSERT INTO server_facts (name, value) VALUES ('half', '')"))
            pids.append(_pid(connection))
            connection.execute(text("SELECT pg_sleep(4)"))

        await store.read(_one)
        with trio.move_on_after(0.5) as scope:
            if writes:
                await store.change((), lambda change: work(change.connection))
            else:
                await store.read(work)
        assert scope.cancelled_caught and len(pids) == 1
        async with trio.open_nursery() as nursery:  # whoever comes next is given another one
            for _ in range(4):
                nursery.start_soon(_another, store, pids[0])
        halves = text("SELECT count(*) FROM server_facts WHERE name = 'half'")
        alive = text(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pids[0]}")
        with trio.fail_after(_STATEMENT_SECONDS):
            while await store.read(lambda connection: connection.execute(alive).scalar()):  # noqa: ASYNC110
                await trio.sleep(_PAUSE)
        assert await store.read(lambda connection: connection.execute(halves).scalar()) == 0


async def _another(store: PostgresStore, than: int) -> None:
    assert await store.read(_pid) != than


def _body() -> SignedBody:
    return SignedBody(event_id="e", event_type="t", domain_id="d", key_id="k", wire=b"{}")


class _Logged:
    """The parts of a server that talk to NATS."""

    def __init__(self, link: NatsLink, log: JetStreamLog, nonces: kv_nonces.KvNonces) -> None:
        self.link = link
        self.log = log
        self.nonces = nonces

    async def append(self) -> None:
        """Owes everything, or cannot begin."""
        lease = Lease(until=bus.lease_deadline(1.5), sure=True)
        outgoing = [Outgoing(body=_body(), node_ids=["n"])]
        landed = await trio.to_thread.run_sync(self.log.append, None, outgoing, lease)
        if landed.owed:
            raise Unavailable("owed")


_CALLS: dict[str, Callable[[_Logged], Awaitable[object]]] = {
    "bounds": lambda on: on.log.bounds(),
    "read_tail": lambda on: on.log.read_tail(0),
    "read_node": lambda on: on.log.read_node("n", 0, 10),
    "evict": lambda on: on.log.evict(),
    "append": lambda on: on.append(),
    "admit": lambda on: on.nonces.admit([("a.1", 1)]),
    "admit_entries": lambda on: on.nonces.admit_entries([Appended(body=_body(), entries=[(1, "n")])]),
    "look_up": lambda on: on.nonces.look_up(["b.1"]),
    "forget_below": lambda on: on.nonces.forget_below(5),
}


@asynccontextmanager
async def _logged(engine: nats.Nats) -> AsyncIterator[tuple[_Logged, Proxy]]:
    async with trio.open_nursery() as nursery:
        wire = Proxy(engine.port)
        await nursery.start(wire.serve)
        async with nats_link.linked(NatsPlace(url=f"nats://127.0.0.1:{wire.port}")) as link:
            await ensure.ensure_node_events_stream(link, ensure.Wanted(), recorded=0)
            nonces = await kv_nonces.ensure_nonces(link, Layer.RELAY, seconds=0, retention_seconds=0)
            yield _Logged(link, JetStreamLog(link, metrics.create()), nonces), wire
            wire.lighten()
        nursery.cancel_scope.cancel()


# nats-py leaves the writer of a connect that took too long to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_no_call_waits_longer_for_a_log_that_nobody_hears(nats_engine: nats.Nats) -> None:
    async with _logged(nats_engine) as (on, wire):
        wire.blacken()
        ended: dict[str, float] = {}
        began = time.monotonic()

        async def call(name: str) -> None:
            with pytest.raises(Unavailable):
                await _CALLS[name](on)
            ended[name] = time.monotonic() - began

        async with trio.open_nursery() as nursery:
            for name in _CALLS:
                nursery.start_soon(call, name)
        assert set(ended) == set(_CALLS) and max(ended.values()) < _NATS_SECONDS, ended
        wire.lighten()
        with trio.fail_after(_NATS_SECONDS):
            while not on.link.client.is_connected or not await _bounded(on):  # noqa: ASYNC110  # asked again
                await trio.sleep(_PAUSE)


async def _bounded(on: _Logged) -> bool:
    try:
        await on.log.bounds()
    except Unavailable:
        return False
    return True


async def test_a_cancelled_question_to_the_log_leaves_no_inbox_behind(nats_engine: nats.Nats) -> None:
    async with _logged(nats_engine) as (on, wire):
        before = len(on.link.client._subs)
        wire.blacken()
        with trio.move_on_after(0.2) as scope:
            await on.log.read_node("n", 0, 10)
        assert scope.cancelled_caught
        wire.lighten()
        with trio.fail_after(_NATS_SECONDS):
            while len(on.link.client._subs) > before:  # noqa: ASYNC110  # nobody is told of that
                await trio.sleep(_PAUSE)
        assert await on.link.call(partial(on.link.stream.stream_info, subjects.STREAM))


async def test_who_waits_for_an_answer_hears_at_once_that_the_connection_broke(tmp_path: Path) -> None:
    """Not after the deadline of a batch: a relay that waits so long relays nothing meanwhile."""
    with nats.running(tmp_path, free_port()) as engine:
        async with nats_link.linked(NatsPlace(url=engine.url)) as link:
            store = await kv_nonces.ensure_nonces(link, Layer.RELAY, seconds=0, retention_seconds=0)
            assert engine.process is not None
            engine.process.send_signal(signal.SIGSTOP)
            async with trio.open_nursery() as nursery:

                async def admit() -> None:
                    with trio.fail_after(_AT_ONCE), pytest.raises(Unavailable):
                        await store.admit([("a.1", 1)])

                nursery.start_soon(admit)
                await trio.sleep(_PAUSE)  # it is sent
                engine.kill()
