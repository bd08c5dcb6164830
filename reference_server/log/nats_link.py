"""One connection to NATS in an asyncio thread of its own, and the crossing into it and back."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import nats
import structlog
import trio
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError

from reference_server.log.acknowledged import Publisher
from reference_server.ports import Unavailable

T = TypeVar("T")

# A server on the same network answers within milliseconds; what takes longer than this is away.
ANSWER_SECONDS = 2.0
_CONNECT_SECONDS = 3.0

# A server that stands still is noticed after three pings without an answer.
_PING_SECONDS = 2
_PINGS_UNANSWERED = 2
_RECONNECT_SECONDS = 0.25

# Publishes that wait for the wire.
_PENDING_BYTES = 16 * 1024 * 1024

_log = structlog.get_logger()


class LogRefused(Exception):
    """The log cannot be used as it is; the message is one line for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsPlace:
    """Where the server is, and by what it lets us in."""

    url: str
    token: str | None = field(default=None, repr=False)
    credentials_file: str | None = None


class NatsLink:
    """Work for the asyncio thread, awaited from trio or from a worker thread; every wait has a deadline.

    What nats-py raises comes out as Unavailable, but for APIError: that is an answer.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, client: Client, lost: set[Callable[[], None]]
    ) -> None:
        self._loop = loop
        self.client = client
        self.on_lost = lost  # called in the asyncio thread whenever the connection breaks
        self.stream: JetStreamContext = client.jetstream(timeout=ANSWER_SECONDS)
        self.publisher = Publisher(client)
        lost.add(self.publisher.lose)

    async def call(self, work: Callable[[], Awaitable[T]], *, seconds: float = ANSWER_SECONDS) -> T:
        """Await `work` in the asyncio thread. Raises Unavailable and APIError."""
        answered, token = trio.Event(), trio.lowlevel.current_trio_token()

        def done(_future: "Future[T]") -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(answered.set)

        future = self._begin(work, seconds)
        future.add_done_callback(done)
        try:
            await answered.wait()
        finally:
            future.cancel()
        return _result(future)

    def call_sync(self, work: Callable[[], Awaitable[T]], *, seconds: float = ANSWER_SECONDS) -> T:
        """The same from a worker thread, which waits."""
        return _result(self._begin(work, seconds))

    def soon(self, work: Callable[[], None]) -> None:
        """Have `work` done at the next turn of the asyncio thread; to be called in it."""
        self._loop.call_soon(work)

    def begin(self, work: Callable[[], Awaitable[T]], seconds: float = ANSWER_SECONDS) -> "Future[T]":
        """Start `work` in the asyncio thread and do not wait. Raises Unavailable."""
        return self._begin(work, seconds)

    def _begin(self, work: Callable[[], Awaitable[T]], seconds: float) -> "Future[T]":
        if not self.client.is_connected:
            raise Unavailable("the log cannot be reached")

        async def bounded() -> T:
            return await asyncio.wait_for(work(), seconds)

        return asyncio.run_coroutine_threadsafe(bounded(), self._loop)


def _result(future: "Future[T]") -> T:
    try:
        return future.result()
    except APIError:
        raise
    except (NatsError, TimeoutError, OSError) as failure:
        raise Unavailable("the log cannot be reached") from failure


@asynccontextmanager
async def linked(place: NatsPlace) -> AsyncIterator[NatsLink]:
    """A connection that mends itself, until the block ends. Raises LogRefused where nobody answers."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="nats", daemon=True)
    thread.start()
    client: Client | None = None
    lost: set[Callable[[], None]] = set()
    try:
        client = await trio.to_thread.run_sync(lambda: _connected(loop, place, lost), abandon_on_cancel=True)
        yield NatsLink(loop, client, lost)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(lambda: _end(loop, thread, client))


def _connected(
    loop: asyncio.AbstractEventLoop, place: NatsPlace, lost: Collection[Callable[[], None]]
) -> Client:
    async def disconnected() -> None:
        _log.warning("nats_disconnected")
        for tell in tuple(lost):
            tell()

    async def connect() -> Client:
        return await nats.connect(
            place.url,
            name="busproof",
            token=place.token,
            user_credentials=place.credentials_file,
            connect_timeout=int(_CONNECT_SECONDS),
            max_reconnect_attempts=-1,
            allow_reconnect=True,
            reconnect_time_wait=_RECONNECT_SECONDS,
            ping_interval=_PING_SECONDS,
            max_outstanding_pings=_PINGS_UNANSWERED,
            pending_size=_PENDING_BYTES,
            error_cb=_heard_error,
            disconnected_cb=disconnected,
            reconnected_cb=_reconnected,
        )

    try:
        # nats-py tries a server that never answered for ever; the deadline is ours.
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(connect(), _CONNECT_SECONDS), loop).result()
    except (NatsError, TimeoutError, OSError, ValueError) as failure:
        why = "takes too long to answer" if isinstance(failure, TimeoutError) else "cannot be reached"
        raise LogRefused(f"the NATS server {shown(place.url)} {why}") from failure


def shown(url: str) -> str:
    """A server's URL for messages, without user and password."""
    scheme, _, rest = url.rpartition("://")
    return f"{scheme or 'nats'}://{rest.rpartition('@')[2]}"


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, client: Client | None) -> None:
    if client is not None:
        closing = asyncio.run_coroutine_threadsafe(asyncio.wait_for(client.close(), ANSWER_SECONDS), loop)
        with suppress(NatsError, TimeoutError, OSError):
            closing.result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(ANSWER_SECONDS)
    if not thread.is_alive():
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def _heard_error(failure: Exception) -> None:
    _log.debug("nats_trouble", kind=type(failure).__name__)


async def _reconnected() -> None:
    _log.info("nats_reconnected")
