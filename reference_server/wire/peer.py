"""The Peer over a plain non-blocking socket."""

import socket
import struct

import trio

# A stream's peer has nothing to say; what it says all the same is read and dropped up to here.
_NOISE_BYTES = 64 * 1024
_PIECE = 4096

# Unsent bytes that the kernel may hold for one stream: enough for W4's pieces, bounded for 10,000 streams.
_SEND_BUFFER = 256 * 1024

_RESET = struct.pack("ii", 1, 0)


class SocketPeer:
    """See Peer."""

    __slots__ = ("_sock",)

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def send_nowait(self, data: bytes | memoryview) -> int:
        """See Peer."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    async def wait_writable(self) -> None:
        """See Peer."""
        await trio.lowlevel.wait_writable(self._sock)

    async def wait_gone(self) -> None:
        """See Peer."""
        heard = 0
        while heard < _NOISE_BYTES:
            try:
                await trio.lowlevel.wait_readable(self._sock)
                piece = self._sock.recv(_PIECE)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                return
            if not piece:
                return
            heard += len(piece)

    def finish(self) -> None:
        """See Peer."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()

    def close(self) -> None:
        """See Peer."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    def abort(self) -> None:
        """See Peer."""
        if self._sock.fileno() >= 0:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close()
