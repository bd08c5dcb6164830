"""Connections to one Postgres database, set up as the server needs them; every wait has a deadline."""

import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import pg8000.dbapi
import trio
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from reference_server.store.prepared import PreparedConnection
from reference_server.store.refusals import OF_LINES, StoreRefused

_SCHEMES = ("postgresql", "postgres")
_PORT = 5432
_SOCKET_NAME = ".s.PGSQL.{port}"

# A database on the same network answers a connect within milliseconds.
_CONNECT_SECONDS = 3.0

# A line that was cut cannot say goodbye; whoever cut it has told why.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)

# The database gives a statement up first, with an error that says so; the socket's limit is for a dead one.
_STATEMENT_SECONDS = 5.0
_ANSWER_SECONDS = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a database is; `unix` is a socket directory and comes instead of a host."""

    host: str
    port: int
    database: str
    user: str
    unix: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The place for messages, without its password."""
        return f"{self.unix or self.host}:{self.port}/{self.database}"


def place_of(url: str, password: str | None = None) -> Place:
    """The place that `postgresql://user@host:port/database` or `…///database?host=/directory` names.

    Raises StoreRefused; a password in the URL is refused, since URLs end in logs and process lists.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreRefused("the database URL is no URL: postgresql://user@host:port/database") from None
    if parsed.drivername not in _SCHEMES or not parsed.database or not parsed.username:
        raise StoreRefused("the database URL must be postgresql://user@host:port/database")
    if parsed.password is not None:
        raise StoreRefused("the database URL must not hold the password; give it as database_password")
    unix, port = parsed.query.get("host"), parsed.query.get("port", "")
    if isinstance(unix, tuple) or (unix is not None and not unix.startswith("/")):
        raise StoreRefused("the database URL's ?host= must be one directory of a Unix socket")
    if port and not (isinstance(port, str) and port.isdecimal()):
        raise StoreRefused("the database URL's ?port= must be one number")
    return Place(
        host=parsed.host or "127.0.0.1",
        port=int(str(port) or parsed.port or _PORT),
        database=parsed.database,
        user=parsed.username,
        unix=unix,
        password=password,
    )


@dataclass(slots=True, eq=False, kw_only=True)
class Line:
    """One connection and the socket below it; a line is used by one thread at a time."""

    connection: Connection
    socket: socket.socket
    is_cut: bool = False

    def cut(self) -> None:
        """End whatever the line is waiting for, from any thread; who uses it closes it then."""
        self.is_cut = True
        with suppress(OSError):  # it may have ended by itself
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection, in the thread that used it last."""
        self.cut()
        with suppress(*OF_LINES):
            self.connection.invalidate()
            self.connection.close()
        if (descriptor := self.socket.detach()) >= 0:  # pg8000 leaves a socket open on which a write failed
            os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialer:
    """Opens lines; `parameters` are settings of each session."""

    engine: Engine
    opened: list[socket.socket]

    def line(self) -> Line:
        """A fresh line. Raises what refusals knows."""
        connection = self.engine.connect()
        return Line(connection=connection, socket=self.opened.pop())


def dialer(place: Place, *, parameters: dict[str, str] | None = None) -> Dialer:
    """A dialer to a place. One thread dials at a time."""
    opened: list[socket.socket] = []

    def dial() -> Any:
        wire = plain_socket(place)
        connection = native(PreparedConnection, place, wire, parameters or {})
        # Transactions are begun by hand, as in SQLite: each with the properties that it needs.
        connection.autocommit = True
        opened.append(wire)
        return connection

    return Dialer(
        engine=create_engine("postgresql+pg8000://", creator=dial, poolclass=NullPool), opened=opened
    )


class Closable(Protocol):
    """What was opened, and must not be left behind."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


async def dialed(dial: Callable[[], C], limiter: trio.CapacityLimiter | None = None) -> C:
    """What `dial` opens in a thread; what comes for a caller that was cancelled meanwhile is closed."""
    held: list[C] = []
    given_up: list[bool] = []

    def close() -> None:
        with suppress(IndexError):  # the thread or the caller, whoever comes first
            held.pop().close()

    def work() -> None:
        held.append(dial())
        if given_up:
            close()

    try:
        await trio.to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)
    except trio.Cancelled:
        given_up.append(True)
        close()
        raise
    return held.pop()


class Wire(Protocol):
    """What pg8000 needs of a socket that is connected."""

    def makefile(self, mode: Literal["rwb"]) -> Any: ...

    def close(self) -> None: ...


def native(connect: Callable[..., Any], place: Place, wire: Wire, parameters: dict[str, str]) -> Any:
    """A connection of pg8000 over a socket that is connected already; closes the socket if it fails."""
    try:
        return connect(
            user=place.user,
            database=place.database,
            password=place.password,
            sock=wire,
            ssl_context=False,
            application_name="busproof",
            startup_params={"statement_timeout": f"{_STATEMENT_SECONDS:.0f}s", **parameters},
        )
    except BaseException:
        wire.close()
        raise


def plain_socket(place: Place) -> socket.socket:
    """A connected socket with a deadline for every answer. Raises pg8000's InterfaceError."""
    try:
        return _connected(place)
    except OSError as failure:
        raise pg8000.dbapi.InterfaceError("network error") from failure


def _connected(place: Place) -> socket.socket:
    if place.unix is not None:
        wire = socket.socket(socket.AF_UNIX)
        wire.settimeout(_CONNECT_SECONDS)
        try:
            wire.connect(str(Path(place.unix) / _SOCKET_NAME.format(port=place.port)))
        except BaseException:
            wire.close()
            raise
    else:
        wire = socket.create_connection((place.host, place.port), timeout=_CONNECT_SECONDS)
        # A statement of many small writes must not wait for the peer's acknowledgements.
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wire.settimeout(_ANSWER_SECONDS)
    return wire
