"""What NOTIFY brings is heard at once, however it is cut into pieces on its way (OUT-7)."""

from collections.abc import Callable

import trio

from reference_server.clock import SystemClock
from reference_server.ids import Uuid7Ids
from reference_server.ports import Change
from reference_server.store import dialing
from reference_server.store.postgres import PostgresStore
from tests.services.postgres import Postgres

# Well below the time after which a silent line is tried.
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

    async def wait_held(self, wanted: bytes) -> None:
        """Returns once what gathered contains this."""
        assert self._held is not None
        async with self._came:
            while wanted not in self._held:
                await self._came.wait()

    async def release(self) -> None:
        """What gathered goes on, in one piece; what comes now gathers again."""
        assert self._held is not None
        gathered, self._held = bytes(self._held), bytearray()
        await self._client.send_all(gathered)


def _row(change: Change) -> None:
    change.outbox_written = True


async def test_a_notification_that_comes_with_an_answer_is_heard_at_once(
    fresh_database: Callable[[], str], postgres_engine: Postgres
) -> None:
    database, clock = fresh_database().partition("?")[0].rpartition("/")[2], SystemClock()
    rung = 0

    def ring() -> None:
        nonlocal rung
        rung += 1

    async def heard(times: int) -> None:
        with trio.fail_after(_AT_ONCE):
            while rung < times:  # noqa: ASYNC110  # the bell counts, it tells nobody
                await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        wire = _Gathering(postgres_engine.port)
        await nursery.start(wire.serve)
        teller = await PostgresStore.open(
            dialing.place_of(postgres_engine.url(database)), clock=clock, ids=Uuid7Ids(clock)
        )
        hearer = await PostgresStore.open(
            dialing.place_of(postgres_engine.tcp_url(database, wire.port)), clock=clock, ids=Uuid7Ids(clock)
        )
        hearer.on_outbox_written(ring)
        nursery.start_soon(hearer.run)
        await heard(1)  # it listens
        wire.hold()
        with trio.fail_after(10):
            await teller.change((), _row)
            await wire.wait_held(_TOLD)
            await wire.release()
            await wire.wait_held(_ANSWERED)  # what the hearer asked when it was told
            await teller.change((), _row)
            await wire.wait_held(_TOLD)
            await wire.release()
        with trio.fail_after(_AT_ONCE):
            await wire.wait_held(_ANSWERED)  # it was told again, and asked
            await wire.release()
        await heard(3)
        nursery.cancel_scope.cancel()
    await hearer.aclose()
    await teller.aclose()
