"""A connection that only listens: what the database sends is read as it comes, and nothing is asked for it.

pg8000 logs in and begins to listen; from then on messages are taken from the socket as they are
(https://www.postgresql.org/docs/current/protocol-message-formats.html).
"""

import socket
from contextlib import suppress
from functools import partial
from typing import Any

import pg8000.native
import trio

from reference_server.ports import Unavailable
from reference_server.store import dialing, refusals
from reference_server.store.dialing import Place

# A line on which nothing came for so long is asked whether it is there, and is dead after as long again.
TRY_SECONDS = 5.0

_READ = 65_536
_HEAD = 5  # a letter, and the length of what follows with its own four bytes
_NOTIFICATION, _ERROR = ord("A"), ord("E")
_PROCESS_ID = 4
_SYNC = b"S\x00\x00\x00\x04"

_AWAY = "the database cannot be reached"


class Ear:
    """Hears one channel. Used by one task at a time."""

    def __init__(self, connection: Any, wire: "_Unread") -> None:
        self._connection = connection  # whose end would end the session
        self._wire = wire
        self._read = bytearray()
        self._asked = False

    @classmethod
    def open(cls, place: Place, channel: str) -> "Ear":
        """Connect and listen; blocks, with a deadline. Raises Unavailable."""
        with refusals.as_unavailable():
            wire = _Unread(dialing.plain_socket(place))
            try:
                connection = dialing.native(pg8000.native.Connection, place, wire, {})
                connection.run(f"LISTEN {channel}")
            except BaseException:
                wire.close()
                raise
            return cls(connection, wire)

    async def hear(self) -> list[bytes]:
        """What was notified, in order, as soon as there is something; nothing where the line was tried.

        Raises Unavailable once the line is broken, ended by the database or silent.
        """
        with trio.move_on_after(TRY_SECONDS) as silence:
            await trio.lowlevel.wait_readable(self._wire.socket)
        with refusals.as_unavailable():
            if silence.cancelled_caught:
                return self._try()
            self._asked = False
            came = self._wire.socket.recv(_READ)
        if not came:
            raise Unavailable(_AWAY)
        self._read += came
        return self._taken()

    def close(self) -> None:
        """Hear nothing any more."""
        self._wire.close()

    def _try(self) -> list[bytes]:
        if self._asked:
            raise Unavailable(_AWAY)
        self._asked = True
        self._wire.socket.sendall(_SYNC)
        return []

    def _taken(self) -> list[bytes]:
        """The payloads of the messages that are whole; every other kind but an error says nothing."""
        found: list[bytes] = []
        while len(self._read) >= _HEAD:
            end = 1 + int.from_bytes(self._read[1:_HEAD])
            if len(self._read) < end:
                break
            kind, body = self._read[0], bytes(self._read[_HEAD:end])
            del self._read[:end]
            if kind == _ERROR:
                raise Unavailable(_AWAY)
            if kind == _NOTIFICATION:
                found.append(body[_PROCESS_ID:].split(b"\0")[1])
        return found


class _Unread:
    """A socket whose file takes no more bytes than it is asked for, so that none are left in pg8000."""

    def __init__(self, wire: socket.socket) -> None:
        self.socket = wire
        self._reader = wire.makefile("rb", buffering=0)
        self._writer = wire.makefile("wb")
        self.read = self._reader.read
        self.write = self._writer.write
        self.flush = self._writer.flush

    def makefile(self, mode: str) -> "_Unread":
        """What pg8000 reads from and writes to; where less came than it asked for it reads on."""
        return self

    def close(self) -> None:
        """End what a thread may still wait for, and let go of the socket."""
        for end in (partial(self.socket.shutdown, socket.SHUT_RDWR), self._reader.close, self._writer.close):
            with suppress(OSError):  # it may have ended by itself, with something unsent
                end()
        self.socket.close()
