"""A real server on a loopback port with a few small operations, and a client that sends exact bytes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from reference_server.errors import Refusal
from reference_server.ids import Uuid7Ids
from reference_server.metrics import create
from reference_server.ports import Unavailable
from reference_server.wire.dates import Dates
from reference_server.wire.limits import Limits
from reference_server.wire.messages import Handler, Peer, Request, Response, Takeover
from reference_server.wire.router import Router
from reference_server.wire.server import Server, listen
from reference_server.wire.site import Answered, Budget, Site
from tests.server.stream.fakes import FixedClock


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row as the router knows it."""

    id: str
    method: str
    path: str
    body_limit: int = 4096
    too_large: str = "endpoint_body_too_large"


OPERATIONS = (
    Operation(id="Show", method="GET", path="/v1/things/{id}"),
    Operation(id="Echo", method="POST", path="/v1/echo"),
    Operation(id="Broken", method="GET", path="/v1/broken"),
    Operation(id="Away", method="GET", path="/v1/away"),
    Operation(id="Large", method="GET", path="/v1/large"),
    Operation(id="GetNodeEvents", method="GET", path="/v1/nodes/{id}/events"),
)


async def _show(request: Request) -> Response:
    if request.path_parameters["id"] == "missing":
        raise Refusal("node_not_found")
    return Response(status=200, body=request.path_parameters["id"].encode())


async def _echo(request: Request) -> Response:
    return Response(status=200, body=request.body)


async def _broken(request: Request) -> Response:
    raise RuntimeError("secret /etc/place of the failure")


async def _away(request: Request) -> Response:
    raise Unavailable("database at 10.0.0.1")


async def _large(request: Request) -> Response:
    return Response(status=200, body=b"x" * 3_000_000)


async def _stream(request: Request) -> Takeover:
    async def serve(peer: Peer, chunked: bool) -> None:
        peer.send_nowait(b"8\r\n:hello\n\n\r\n" if chunked else b":hello\n\n")
        await peer.wait_gone()

    return Takeover(headers=((b"Content-Type", b"text/event-stream"),), serve=serve)


HANDLERS: Mapping[str, Handler] = {
    "Show": _show,
    "Echo": _echo,
    "Broken": _broken,
    "Away": _away,
    "Large": _large,
    "GetNodeEvents": _stream,
}


@dataclass(slots=True, kw_only=True)
class House:
    """The running server."""

    address: tuple[str, int]
    server: Server
    site: Site
    told: list[Answered] = field(default_factory=list)

    async def call(self, sent: bytes, *, half_close: bool = False) -> bytes:
        """Send bytes on a connection of their own; answers all that comes back until its end."""
        async with await trio.open_tcp_stream(*self.address) as stream:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send, stream, sent, half_close)
                got = await _all_of(stream)
            return got

    async def wait_connections(self, count: int) -> None:
        """Returns once so many connections are open."""
        while self.site.metrics.registry.get_sample_value("busproof_connections") != count:
            await trio.lowlevel.checkpoint()

    async def connect(self) -> trio.SocketStream:
        """A connection."""
        return await trio.open_tcp_stream(*self.address)


async def _send(stream: trio.SocketStream, sent: bytes, half_close: bool) -> None:
    try:
        await stream.send_all(sent)
        if half_close:
            await stream.send_eof()
    except trio.BrokenResourceError:
        pass  # the server had enough of it


async def _all_of(stream: trio.SocketStream) -> bytes:
    got = b""
    while piece := await stream.receive_some(65536):
        got += piece
    return got


async def read_answer(stream: trio.SocketStream, already: bytes = b"") -> tuple[bytes, bytes]:
    """One answer with a Content-Length, and what came behind it."""
    got = already
    while b"\r\n\r\n" not in got:
        got += await _some(stream)
    head, _, rest = got.partition(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(rest) < size:
        rest += await _some(stream)
    return head + b"\r\n\r\n" + rest[:size], rest[size:]


async def _some(stream: trio.SocketStream) -> bytes:
    piece = await stream.receive_some(65536)
    assert piece, "the connection ended in the middle of an answer"
    return piece


@asynccontextmanager
async def opened(limits: Limits | None = None) -> AsyncIterator[House]:
    """The house, open while the block runs."""
    limits = limits or Limits()
    told: list[Answered] = []
    site = Site(
        router=Router(OPERATIONS, HANDLERS),
        limits=limits,
        dates=Dates(FixedClock()),
        ids=Uuid7Ids(FixedClock()),
        metrics=create(),
        told=told.append,
        bodies=Budget(limits.bodies_bytes),
    )
    server = Server(site)
    bound = listen("127.0.0.1", 0, limits)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, bound)
        yield House(address=bound.getsockname(), server=server, site=site, told=told)
        nursery.cancel_scope.cancel()
