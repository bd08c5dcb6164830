"""A plain TCP balancer: each connection goes to the next replica that takes it."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import count

import trio

_PIECE = 64 * 1024


class Balancer:
    """Passes bytes on as they come; `ports` are tried in turn."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = tuple(ports)
        self._turn = count()

    async def serve(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled; started with the port that it listens on."""
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(listener.socket.getsockname()[1])
        await trio.serve_listeners(self._pass_on, [listener])

    async def _pass_on(self, client: trio.SocketStream) -> None:
        server = await self._connected()
        if server is None:
            await client.aclose()
            return
        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(_copy, client, server, nursery.cancel_scope)
            nursery.start_soon(_copy, server, client, nursery.cancel_scope)

    async def _connected(self) -> trio.SocketStream | None:
        for _ in self._ports:
            port = self._ports[next(self._turn) % len(self._ports)]
            with suppress(OSError):
                return await trio.open_tcp_stream("127.0.0.1", port)
        return None


async def _copy(source: trio.SocketStream, sink: trio.SocketStream, both: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for piece in source:
            await sink.send_all(piece)
        with suppress(trio.BrokenResourceError):
            await sink.send_eof()
            return
    both.cancel()
