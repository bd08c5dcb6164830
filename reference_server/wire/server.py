"""The accept loop: a task per connection, limits at the door, and an orderly end."""

import errno
import os
import socket
import ssl
from contextlib import suppress

import structlog
import trio

from reference_server.wire import tls
from reference_server.wire.connection import Connection
from reference_server.wire.limits import Limits
from reference_server.wire.peer import SocketPeer
from reference_server.wire.site import Site

# Connections that the kernel completes while the loop is busy; Linux caps it at net.core.somaxconn.
_BACKLOG = 4096
# Connections accepted before other tasks get their turn.
_ACCEPTS_PER_TURN = 64
# accept(2): the process or the system is out of descriptors or memory; the listener itself is sound.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REST_SECONDS = 0.05
# The kernel's probes of a silent peer; with TCP_USER_TIMEOUT it is the time that counts, not the number.
_PROBE_AFTER_SECONDS = 15
_PROBE_EVERY_SECONDS = 5


def listen(host: str, port: int, limits: Limits) -> socket.socket:
    """Bind an IPv4 listener, port 0 for a free one. Raises OSError.

    Accepted sockets inherit its options: small writes go out at once, and a dead peer is given up within
    `dead_peer_seconds` (at worst a keep-alive written 25 s after it died waits half of that, issue 3).
    """
    bound = socket.create_server((host, port), family=socket.AF_INET, backlog=_BACKLOG)
    bound.setblocking(False)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_AFTER_SECONDS)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_EVERY_SECONDS)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.dead_peer_seconds * 1000 / 2))
    return bound


class Server:
    """One listening socket and its connections."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._talking: set[Connection] = set()
        self._open = 0
        self._emptied = trio.lowlevel.ParkingLot()
        self._accepting = trio.CancelScope()
        self._shaking: set[trio.CancelScope] = set()
        self._reserve = _spare()

    async def serve(
        self, bound: socket.socket, task_status: trio.TaskStatus[socket.socket] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled; started with the listening socket. `stop` first for an orderly end."""
        try:
            async with trio.open_nursery() as nursery:
                task_status.started(bound)
                with self._accepting:
                    await self._accept(bound, nursery)
                await trio.sleep_forever()
        finally:
            bound.close()
            self._let_go()

    async def stop(self, grace_seconds: float) -> None:
        """Accept nobody any more, and wait until requests under way are answered, no longer than told."""
        self._site.stopping = True
        self._accepting.cancel()
        for handshake in list(self._shaking):
            handshake.cancel()
        for connection in list(self._talking):
            connection.stop_waiting()
        with trio.move_on_after(grace_seconds):
            while self._open:
                await self._emptied.park()

    async def _accept(self, bound: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(bound)
            for _ in range(_ACCEPTS_PER_TURN):
                try:
                    sock, address = bound.accept()
                except BlockingIOError:
                    break
                except OSError as failure:
                    await self._survive(failure, bound)
                    break
                self._admit(sock, address[0], nursery)
            await trio.lowlevel.checkpoint()

    def _admit(self, sock: socket.socket, client: str, nursery: trio.Nursery) -> None:
        if self._open >= self._site.limits.connections:
            self._site.metrics.connections_refused.labels("limit").inc()
            sock.close()
            return
        sock.setblocking(False)
        self._open += 1
        self._site.metrics.connections.inc()
        nursery.start_soon(self._hold, sock, client)

    async def _survive(self, failure: OSError, bound: socket.socket) -> None:
        """Out of descriptors: turn the next peer away instead of leaving it to wait, and rest."""
        if failure.errno not in _EXHAUSTED:
            return  # the peer left before it was accepted
        self._site.metrics.connections_refused.labels("exhausted").inc()
        structlog.get_logger().warning("accept_exhausted", errno=errno.errorcode[failure.errno or 0])
        self._let_go()
        with suppress(OSError):
            bound.accept()[0].close()
        self._reserve = _spare()
        await trio.sleep(_REST_SECONDS)

    def _let_go(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

    async def _hold(self, sock: socket.socket, client: str) -> None:
        try:
            if self._site.tls is not None:
                sock = await self._secured(sock, self._site.tls)
            await self._serve_peer(sock, client)
        except tls.NoHandshake:
            self._site.metrics.connections_refused.labels("handshake").inc()
        except Exception:
            structlog.get_logger().exception("connection_failed", client=client)  # the others go on
        finally:
            sock.close()
            self._open -= 1
            self._site.metrics.connections.dec()
            if not self._open:
                self._emptied.unpark_all()

    async def _secured(self, sock: socket.socket, context: ssl.SSLContext) -> socket.socket:
        """The connection after its handshake, which must not take longer than a request head."""
        with trio.move_on_after(self._site.limits.head_seconds) as handshake:
            self._shaking.add(handshake)
            try:
                return await tls.secured(sock, context)
            finally:
                self._shaking.discard(handshake)
        raise tls.NoHandshake

    async def _serve_peer(self, sock: socket.socket, client: str) -> None:
        connection = Connection(sock, client, self._site)
        self._talking.add(connection)
        try:
            taken = await connection.converse()
        finally:
            self._talking.discard(connection)
        del connection  # a stream keeps nothing of the request that opened it
        if taken is not None:
            peer = SocketPeer(sock)
            serve, chunked = taken.takeover.serve, taken.chunked
            del taken
            await serve(peer, chunked)


def _spare() -> int | None:
    """A descriptor to fall back on; None when there is none left."""
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None
