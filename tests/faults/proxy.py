"""A wire that a test can cut without anybody being told: a TCP proxy that stops forwarding."""

from contextlib import suppress

import trio

_PIECE = 64 * 1024


class Proxy:
    """Passes bytes on between whoever connects and one port of the loopback, unless it is black."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = trio.Event()
        self._open.set()
        self.port = 0  # of the proxy itself, once it serves

    def blacken(self) -> None:
        """From now on nothing comes through, neither bytes nor an end; connects still succeed."""
        self._open = trio.Event()

    def lighten(self) -> None:
        """What was held back goes through, as after a lost route."""
        self._open.set()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._pass_on, [listener])

    async def _pass_on(self, client: trio.SocketStream) -> None:
        await self._open.wait()
        with suppress(OSError):
            server = await trio.open_tcp_stream("127.0.0.1", self._port)
            async with client, server, trio.open_nursery() as nursery:
                nursery.start_soon(self._copy, client, server, nursery.cancel_scope)
                nursery.start_soon(self._copy, server, client, nursery.cancel_scope)

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream, both: trio.CancelScope) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while piece := await source.receive_some(_PIECE):
                await self._open.wait()
                await sink.send_all(piece)
        await self._open.wait()
        both.cancel()
