"""What other processes commit, heard by NOTIFY: how far each Domain is, and that the outbox has rows."""

import itertools
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import pg8000.native
import structlog
import trio
from sqlalchemy import Connection, text

from reference_server.ports import Unavailable
from reference_server.store import dialing, refusals
from reference_server.store.dialing import Place

_CHANNEL = "busproof_commits"
_TELL = text("SELECT pg_notify(:channel, :said)")

# PostgreSQL takes payloads under 8,000 bytes; a commit of more Domains than this says "any" instead.
_DOMAINS_TOLD = 100

# pg8000 keeps no more than the newest 100 between two looks: at that many some may be lost.
_KEPT = 100

# A line on which nothing came for so long is tried, so that a dead database is noticed.
_TRY_SECONDS = 5.0
_PAUSE_SECONDS = 0.5

_log = structlog.get_logger()


class Heard(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One commit: (Domain, its version) pairs, None for too many to tell, and whether rows wait."""

    domains: tuple[tuple[str, int], ...] | None
    outbox: bool


class Listener:
    """Keeps the versions of Domains as heard; while it does not hear, every version is a new one.

    Notifications come in the order of the commits that they tell of, a moment after them.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._never_twice = itertools.count(-1, -1)  # none is the version of a commit
        self._versions = _Fresh(self._never_twice)
        self._hears = False
        self._on_outbox: Callable[[], None] | None = None

    def on_outbox(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when rows wait, and when some may have been missed."""
        self._on_outbox = wake

    def version(self, domain_id: str) -> int:
        """The newest version heard of; a number never seen before while nothing can be heard."""
        return self._versions[domain_id] if self._hears else next(self._never_twice)

    def tell(self, connection: Connection, heard: Heard) -> None:
        """Have everybody hear of this transaction once it is committed."""
        if heard.domains is not None and len(heard.domains) > _DOMAINS_TOLD:
            heard = Heard(domains=None, outbox=heard.outbox)
        connection.execute(_TELL, {"channel": _CHANNEL, "said": msgspec.json.encode(heard).decode()})

    def note(self, heard: Heard) -> None:
        """Take in what a commit said."""
        if heard.domains is None:
            self._forget()
        else:
            for domain_id, version in heard.domains:
                self._versions[domain_id] = max(version, self._versions.get(domain_id, 0))
        if heard.outbox and self._on_outbox is not None:
            self._on_outbox()

    async def run(self) -> None:
        """Listen until cancelled; after an outage everything counts as changed."""
        away = False
        while True:
            try:
                await self._listen()
            except Unavailable:
                if not away:
                    _log.warning("commits_not_heard")
                away = True
            finally:
                self._hears = False
            await trio.sleep(_PAUSE_SECONDS)

    async def _listen(self) -> None:
        connection = await dialing.dialed(self._connect)
        try:
            self._forget()
            self._hears = True
            if self._on_outbox is not None:
                self._on_outbox()
            while True:
                with trio.move_on_after(_TRY_SECONDS):
                    await connection.wire.wait_readable()
                for said in await trio.to_thread.run_sync(connection.collect, abandon_on_cancel=True):
                    self.note(said)
        finally:
            connection.close()

    def _connect(self) -> "_Ear":
        with refusals.as_unavailable():
            wire = _Unread(dialing.plain_socket(self._place))
            connection = dialing.native(pg8000.native.Connection, self._place, wire, {})
            connection.run(f"LISTEN {_CHANNEL}")
            return _Ear(connection, wire)

    def _forget(self) -> None:
        """Everything may have changed: begin with numbers that no cache can hold."""
        self._versions = _Fresh(self._never_twice)


class _Fresh(dict[str, int]):
    """Versions of which none was heard since: the first look at each gives a number never seen before."""

    def __init__(self, numbers: "itertools.count[int]") -> None:
        super().__init__()
        self._numbers = numbers

    def __missing__(self, domain_id: str) -> int:
        number = self[domain_id] = next(self._numbers)
        return number


class _Unread:
    """A socket whose file takes no more bytes than it is asked for.

    What came with the end of an answer stays in the socket and makes it readable: read ahead, it would be
    heard only with the next notification.
    """

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._reader = wire.makefile("rb", buffering=0)
        self._writer = wire.makefile("wb")
        self.read = self._reader.read
        self.write = self._writer.write
        self.flush = self._writer.flush

    def makefile(self, mode: str) -> "_Unread":
        """What pg8000 reads from and writes to; where less came than it asked for it reads on."""
        return self

    async def wait_readable(self) -> None:
        """Returns once there is something to read."""
        await trio.lowlevel.wait_readable(self._wire)

    def close(self) -> None:
        """End what a thread may still wait for, and let go of the socket."""
        for end in (partial(self._wire.shutdown, socket.SHUT_RDWR), self._reader.close, self._writer.close):
            with suppress(OSError):  # it may have ended by itself, with something unsent
                end()
        self._wire.close()


class _Ear:
    """The connection that listens."""

    def __init__(self, connection: Any, wire: _Unread) -> None:
        self._connection = connection
        self.wire = wire

    def close(self) -> None:
        """Hear nothing any more."""
        self.wire.close()

    def collect(self) -> list[Heard]:
        """What came since the last look, in order."""
        with refusals.as_unavailable():
            self._connection.run("SELECT 1")
        heard = self._connection.notifications
        said = [msgspec.json.decode(heard.popleft()[2], type=Heard) for _ in range(len(heard))]
        return [Heard(domains=None, outbox=True), *said] if len(said) >= _KEPT else said
