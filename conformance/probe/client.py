"""The one HTTP client of a run: httpx over a recording httpcore pool, and bytes by hand where it refuses."""

import json as jsonlib
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpcore
import httpx
import trio

from conformance.probe.obstacle import CannotAct
from conformance.probe.policy import Restraint
from conformance.probe.recorder import Flooded, Tape
from conformance.probe.recording import CURRENT, RecordingBackend
from conformance.probe.transcript import Ending
from conformance.target.model import Target

USER_AGENT = "busproof"

# How long a connection may take; loopback needs milliseconds, a far target a few round trips.
CONNECT_SECONDS = 10.0

# How long a scenario waits for one of the run's connections before it gives up.
TURN_SECONDS = 20.0

READ_SIZE = 64 * 1024

# httpcore's exceptions and what they say about the exchange; the first that fits counts.
_ENDINGS: tuple[tuple[type[Exception], Ending], ...] = (
    (httpcore.ConnectError, Ending.REFUSED),
    (httpcore.ConnectTimeout, Ending.REFUSED),
    (httpcore.TimeoutException, Ending.TIMEOUT),
    (httpcore.RemoteProtocolError, Ending.CLOSED),
    (httpcore.NetworkError, Ending.RESET),
    (Flooded, Ending.LEFT),
)
_TRANSPORT_TROUBLE = tuple(kind for kind, _ in _ENDINGS)


class _PoolTransport(httpx.AsyncBaseTransport):
    """httpx's requests over our own httpcore pool, whose backend records."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: object) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:  # type: ignore[attr-defined]  # httpcore's union of sync and async
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined]  # httpcore's union of sync and async


class Client:
    """Sends requests to one target under one limit of connections; a connection serves one request."""

    def __init__(
        self,
        target: Target,
        *,
        max_connections: int,
        restraint: Restraint,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._restraint = restraint
        self._url = httpx.URL(target.base_url)
        self._extra = headers
        self._turns = trio.CapacityLimiter(max_connections)
        self._ssl = _ssl_context(target)
        self._backend = RecordingBackend()
        # No connection is re-used: a peer that closes an idle one must not look like a failed request. The
        # pool's own limit would let requests wait unseen behind streams; ours is told when it is reached.
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._ssl,
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=self._backend,
        )
        self._http = httpx.AsyncClient(
            transport=_PoolTransport(pool),
            base_url=self._url,
            trust_env=target.trust_env,
            follow_redirects=False,
        )
        self._http.headers.clear()

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._http.aclose()

    def build(
        self,
        method: str,
        path: str,
        *,
        headers: tuple[tuple[str, str], ...],
        body: bytes | None = None,
        json: object = None,
        base_url: str = "",
    ) -> httpx.Request:
        """A request as it will be sent: given headers win over the run's own; to `base_url`, if given."""
        given = {name.lower() for name, _ in headers}
        content = body if json is None else jsonlib.dumps(json, separators=(",", ":")).encode()
        own = [("User-Agent", USER_AGENT), ("Accept", "*/*"), *self._extra]
        if json is not None:
            own.append(("Content-Type", "application/json"))
        merged = [*(pair for pair in own if pair[0].lower() not in given), *headers]
        return self._http.build_request(method, base_url + path, headers=merged, content=content)

    async def drive(self, request: httpx.Request, tape: Tape) -> None:
        """Sends a request and reads its answer to the end; what comes is on the tape."""
        async with self._turn(tape):
            token = CURRENT.set(tape)
            try:
                async with self._sent(request) as answer:
                    async for _ in answer.aiter_raw():
                        pass
                tape.end(Ending.CLOSED)
            except _TRANSPORT_TROUBLE as trouble:
                tape.end(_ending_of(trouble))
            finally:
                CURRENT.reset(token)

    async def drive_raw(self, data: bytes, tape: Tape) -> None:
        """Sends bytes as they are and reads until the answer is whole or the peer closes."""
        async with self._turn(tape):
            token = CURRENT.set(tape)
            try:
                await self._converse(data, tape)
            except _TRANSPORT_TROUBLE as trouble:
                tape.end(_ending_of(trouble))
            finally:
                CURRENT.reset(token)

    async def _converse(self, data: bytes, tape: Tape) -> None:
        stream = await self._connected()
        try:
            await _write_or_read_on(stream, data)
            while await stream.read(READ_SIZE) and not tape.decoder.complete:
                pass
            tape.end(Ending.CLOSED)
        finally:
            with trio.CancelScope(shield=True):
                await stream.aclose()

    async def _connected(self) -> httpcore.AsyncNetworkStream:
        secure = self._url.scheme == "https"
        port = self._url.port or (443 if secure else 80)
        stream = await self._backend.connect_tcp(
            self._url.host, port, timeout=CONNECT_SECONDS, socket_options=()
        )
        return await stream.start_tls(self._ssl, self._url.host, CONNECT_SECONDS) if secure else stream

    @asynccontextmanager
    async def _turn(self, tape: Tape) -> AsyncIterator[None]:
        self._restraint.admit(tape.method)
        with trio.move_on_after(TURN_SECONDS) as waiting:
            await self._turns.acquire_on_behalf_of(holder := object())
        if waiting.cancelled_caught:
            raise CannotAct("no connection was free: raise --max-connections")
        try:
            yield
        finally:
            self._turns.release_on_behalf_of(holder)
            if tape.head is not None:
                self._restraint.answered(tape.head.status)

    def _sent(self, request: httpx.Request) -> AbstractAsyncContextManager[httpx.Response]:
        @asynccontextmanager
        async def sent() -> AsyncIterator[httpx.Response]:
            request.extensions = {**request.extensions, "timeout": {"connect": CONNECT_SECONDS}}
            answer = await self._http.send(request, stream=True)
            try:
                yield answer
            finally:
                with trio.CancelScope(shield=True):
                    await answer.aclose()

        return sent()


async def _write_or_read_on(stream: httpcore.AsyncNetworkStream, data: bytes) -> None:
    """A server may refuse and stop reading while we still send: its answer counts, not our broken write."""
    try:
        await stream.write(data)
    except httpcore.WriteError:
        return


def _ending_of(trouble: Exception) -> Ending:
    return next(ending for kind, ending in _ENDINGS if isinstance(trouble, kind))


def _ssl_context(target: Target) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=target.ca_file)
    if target.client_certificate is not None:
        context.load_cert_chain(target.client_certificate)
    return context
