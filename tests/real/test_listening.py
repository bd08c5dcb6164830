"""What NOTIFY brings is heard at once, however it is cut into pieces on its way (OUT-7)."""

import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import trio
import trio.testing
from pg8000.exceptions import DatabaseError
from structlog.testing import capture_logs

from reference_server.clock import SystemClock
from reference_server.ids import Uuid7Ids
from reference_server.ports import Change
from reference_server.store import dialing, ear
from reference_server.store.postgres import PostgresStore
from tests.services.postgres import Postgres

_AT_ONCE = 2.0
_TOLD, _ANSWERED = b"busproof_commits", b"Z\x00\x00\x00\x05I"


class _Gathering:
    """A wire whose answers come through when a test says so, and all in one piece then."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._held: bytearray | None = None
        self._came = trio.Condition()
        self.port = 0

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._between, [listener])

    async def _between(self, client: trio.SocketStream) -> None:
        self._client = client
        async with await trio.open_tcp_stream("127.0.0.1", self._port) as server, trio.open_nursery() as both:
            both.start_soon(self._answers, server)
            async for piece in client:
                await server.send_all(piece)
            both.cancel_scope.cancel()

    async def _answers(self, server: trio.SocketStream) -> None:
        async for piece in server:
            if self._held is None:
                await self._client.send_all(piece)
                continue
            self._held += piece
            async with self._came:
                self._came.notify_all()

    def hold(self) -> None:
        """From now on answers gather."""
        self._held = bytearray()

    def flow(self) -> None:
        """From now on answers go through as they come."""
        self._held = None

    async def wait_held(self, wanted: bytes) -> None:
        """Returns once what gathered contains this."""
        assert self._held is not None
        async with self._came:
            while wanted not in self._held:
                await self._came.wait()

    async def release(self, length: int | None = None) -> None:
        """What gathered, or its beginning, goes on in one piece; what comes now gathers again."""
        assert self._held is not None
        gathered = bytes(self._held[:length])
        del self._held[: len(gathered)]
        await self._client.send_all(gathered)


def _row(change: Change) -> None:
    change.outbox_written = True


def _say_nonsense(change: Change) -> None:
    change.connection.exec_driver_sql("NOTIFY busproof_commits, '{'")


@dataclass(kw_only=True)
class _Scene:
    """Who tells, who hears, and the wire between the database and the hearer."""

    teller: PostgresStore
    hearer: PostgresStore
    wire: _Gathering
    rung: int = 0

    def ring(self) -> None:
        self.rung += 1

    async def heard(self, times: int) -> None:
        """Returns once the bell has rung so often."""
        with trio.fail_after(_AT_ONCE):
            while self.rung < times:  # noqa: ASYNC110  # the bell counts, it tells nobody
                await trio.sleep(0.01)
        assert self.rung == times

    async def tell(self) -> None:
        """Commit a row, and have word of it held on the wire."""
        with trio.fail_after(_AT_ONCE):
            await self.teller.change((), _row)
            await self.wire.wait_held(_TOLD)


@pytest.fixture
async def scene(
    request: pytest.FixtureRequest,
    fresh_database: Callable[[], str],
    postgres_engine: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[_Scene]:
    """`request.param`: after how long a silence the hearer asks; longer than a test takes unless given."""
    monkeypatch.setattr(ear, "TRY_SECONDS", getattr(request, "param", 600.0))
    database, clock = fresh_database().partition("?")[0].rpartition("/")[2], SystemClock()
    async with trio.open_nursery() as nursery:
        wire = _Gathering(postgres_engine.port)
        await nursery.start(wire.serve)
        urls = postgres_engine.url(database), postgres_engine.tcp_url(database, wire.port)
        teller, hearer = [
            await PostgresStore.open(dialing.place_of(url), clock=clock, ids=Uuid7Ids(clock)) for url in urls
        ]
        made = _Scene(teller=teller, hearer=hearer, wire=wire)
        hearer.on_outbox_written(made.ring)
        nursery.start_soon(hearer.run)
        await made.heard(1)  # it listens
        yield made
        nursery.cancel_scope.cancel()
    await hearer.aclose()
    await teller.aclose()


@pytest.mark.parametrize("scene", [1.0], indirect=True)
async def test_a_notification_that_comes_with_an_answer_is_heard_at_once(scene: _Scene) -> None:
    scene.wire.hold()
    await scene.wire.wait_held(_ANSWERED)  # what the hearer asked in the silence
    await scene.tell()
    await scene.wire.release()
    await scene.heard(2)


async def test_a_notification_is_heard_once_all_its_pieces_came(scene: _Scene) -> None:
    scene.wire.hold()
    await scene.tell()
    for length in (1, 3, 4, 20):
        await scene.wire.release(length)
        await trio.testing.wait_all_tasks_blocked()
        assert scene.rung == 1
    await scene.wire.release()
    await scene.heard(2)


async def test_each_of_many_notifications_is_heard(scene: _Scene) -> None:
    scene.wire.hold()
    for _ in range(300):
        await scene.tell()
    await scene.wire.release()
    await scene.heard(301)


async def test_a_notification_that_nobody_can_read_may_have_been_anything(scene: _Scene) -> None:
    before = scene.hearer.version("a")
    assert scene.hearer.version("a") == before
    await scene.teller.change((), _say_nonsense)
    await scene.heard(2)
    assert scene.hearer.version("a") != before


@pytest.mark.parametrize("scene", [0.2], indirect=True)
async def test_a_line_that_says_nothing_for_too_long_is_given_up(scene: _Scene) -> None:
    for outage in range(2):  # the second one is told, too
        scene.wire.hold()
        with capture_logs() as lines, trio.fail_after(_AT_ONCE):
            while not lines:  # noqa: ASYNC110  # a log line tells nobody
                await trio.sleep(0.01)
        assert [line["event"] for line in lines] == ["commits_not_heard"]
        if not outage:
            scene.wire.flow()
            await scene.heard(2)  # it listens again
    assert scene.hearer.version("a") != scene.hearer.version("a")  # any may have changed meanwhile


async def test_a_line_that_cannot_listen_is_closed(
    postgres_engine: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[socket.socket] = []

    def dialed(place: dialing.Place) -> socket.socket:
        opened.append(plain_socket(place))
        return opened[-1]

    plain_socket = dialing.plain_socket
    monkeypatch.setattr(dialing, "plain_socket", dialed)
    with pytest.raises(DatabaseError):
        await trio.to_thread.run_sync(
            ear.Ear.open, dialing.place_of(postgres_engine.url("postgres")), "no channel"
        )
    assert [wire.fileno() for wire in opened] == [-1]
