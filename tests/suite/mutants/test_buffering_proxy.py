"""A proxy that fills its buffer before it passes a stream on breaks SSE-7, and the suite says so."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import trio

from conformance.check import registry
from conformance.target import reference
from conformance.target.model import Target
from tests.suite.mutants import bench

# What nginx buffers by default is one memory page.
PAGE = 4096

Pass = Callable[[bytes], bytes]


class Filling:
    """Passes heads and ordinary answers on at once, the body of a stream by whole pages."""

    def __init__(self) -> None:
        self._held: bytearray | None = None

    def __call__(self, piece: bytes) -> bytes:
        """What goes on to the client now."""
        if self._held is None:
            head, end, body = piece.partition(b"\r\n\r\n")
            if b"text/event-stream" not in head:
                return piece
            self._held = bytearray(body)
            return head + end
        self._held += piece
        whole = len(self._held) // PAGE * PAGE
        passed = bytes(self._held[:whole])
        del self._held[:whole]
        return passed


def at_once(piece: bytes) -> bytes:
    return piece


@asynccontextmanager
async def before(target: Target, make: Callable[[], Pass]) -> AsyncIterator[Target]:
    """The target behind a proxy of ours; one of its buffers for each connection."""
    port = urlsplit(target.base_url).port
    assert port is not None

    async def carry(client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", port)
        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(_pump, client, server, at_once, nursery.cancel_scope)
            nursery.start_soon(_pump, server, client, make(), nursery.cancel_scope)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, carry, listeners)
        yield replace(target, base_url=f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        nursery.cancel_scope.cancel()


async def _pump(
    source: trio.SocketStream, sink: trio.SocketStream, passed: Pass, both: trio.CancelScope
) -> None:
    try:
        async for piece in source:
            if through := passed(piece):
                await sink.send_all(through)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    both.cancel()


async def failing(make: Callable[[], Pass]) -> set[str]:
    scenario = registry.collect().scenarios["tail"]
    async with (
        reference.started(descoped=False, claims=("stream",)) as honest,
        before(honest, make) as target,
    ):
        results = await bench.verdicts(target, [scenario], ("stream",))
    return {name for name, each in results.items() if each.violations}


async def test_a_proxy_that_passes_all_on_at_once_breaks_nothing() -> None:
    assert await failing(lambda: at_once) == set()


async def test_a_proxy_that_fills_pages_is_caught() -> None:
    assert "SSE-007" in await failing(Filling)
