"""The receiving half of a connection: bytes, whole heads, and reading on for a peer that was refused."""

import socket

import trio

from reference_server.errors import Refusal
from reference_server.wire.limits import Limits

_PIECE = 64 * 1024
_HEAD_END = b"\r\n\r\n"
# RFC 9112 section 2.2: an empty line before a request is to be ignored; ten of them are no accident.
_EMPTY_LINES = 8


class Inbox:
    """What a peer has sent and nobody has read."""

    __slots__ = ("_sock", "held", "over")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.held = bytearray()
        self.over = False  # the peer will send no more

    async def more(self) -> bool:
        """Wait for more bytes; False at the peer's end."""
        while not self.over:
            try:
                piece = self._sock.recv(_PIECE)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)
                continue
            except OSError:
                piece = b""
            if piece:
                self.held += piece
                return True
            self.over = True
        return False

    async def head(self, limit: int) -> bytes | None:
        """The next request head with its empty line; None at the peer's end. Raises Refusal: 431, 400."""
        searched = 0
        while True:
            self._drop_empty_lines()
            end = self.held.find(_HEAD_END, max(0, searched - len(_HEAD_END)))
            if end > limit or (end < 0 and len(self.held) > limit):
                raise Refusal(None, status=431)
            if end >= 0:
                return self.cut(end + len(_HEAD_END))
            searched = len(self.held)
            if not await self.more():
                if self.held:
                    raise Refusal(None, status=400)
                return None

    def holds_head(self) -> bool:
        """Whether a whole head is there to be taken without waiting."""
        return _HEAD_END in self.held

    def cut(self, size: int) -> bytes:
        """Take bytes that are there."""
        piece = bytes(self.held[:size])
        del self.held[:size]
        return piece

    def _drop_empty_lines(self) -> None:
        for _ in range(_EMPTY_LINES):
            if not self.held.startswith(b"\r\n"):
                return
            del self.held[:2]


async def linger(sock: socket.socket, limits: Limits) -> None:
    """Read on for a while, so that the peer gets to see the answer before the connection goes.

    A close with unread bytes makes the kernel send a reset, which would overtake the answer.
    """
    left = limits.linger_bytes
    with trio.move_on_after(limits.linger_seconds):
        try:
            sock.shutdown(socket.SHUT_WR)
            while left > 0:
                await trio.lowlevel.wait_readable(sock)
                try:
                    piece = sock.recv(_PIECE)
                except BlockingIOError:
                    continue  # a part of a TLS record
                if not piece:
                    return
                left -= len(piece)
        except OSError:
            return
