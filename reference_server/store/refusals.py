"""What the errors of SQLite and Postgres mean to the server: refused at the start, or away for now."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import pg8000.exceptions
import structlog
from sqlalchemy.exc import DBAPIError

from reference_server.ports import Unavailable
from reference_server.seldom import Seldom

# Primary result codes, https://www.sqlite.org/rescode.html. Any other error is a defect of ours.
_AWAY: Mapping[int, str] = MappingProxyType(
    {
        sqlite3.SQLITE_BUSY: "is locked by another program",
        sqlite3.SQLITE_LOCKED: "is locked by another program",
        sqlite3.SQLITE_READONLY: "cannot be written to",
        sqlite3.SQLITE_PERM: "cannot be written to",
        sqlite3.SQLITE_IOERR: "cannot be read or written",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened",
        sqlite3.SQLITE_FULL: "cannot grow: the disk is full",
        sqlite3.SQLITE_CORRUPT: "is damaged",
        sqlite3.SQLITE_NOTADB: "is not a store",
        sqlite3.SQLITE_PROTOCOL: "is locked by another program",
        sqlite3.SQLITE_NOLFS: "cannot grow: the file system allows no larger file",
    }
)
_PRIMARY_CODE = 0xFF

# SQLSTATE by its beginning, https://www.postgresql.org/docs/current/errcodes-appendix.html. The longest wins.
_SQLSTATES: Mapping[str, str] = MappingProxyType(
    {
        "0A000": "has changed its schema",
        "08": "cannot be reached",
        "25006": "cannot be written to",
        "25P03": "ended a transaction that stood still",
        "28": "refuses the credentials",
        "3D000": "does not exist",
        "40001": "is busy with conflicting changes",
        "40P01": "is busy with conflicting changes",
        "53100": "cannot grow: the disk is full",
        "53": "has no room for another connection",
        "55P03": "is locked for too long",
        "57014": "takes too long to answer",
        "57P": "is stopping or starting",
        "58": "cannot be read or written",
        "XX001": "is damaged",
    }
)


OF_DATABASES = (DBAPIError, sqlite3.Error, pg8000.exceptions.Error)

# An outage fails many calls a second.
_telling = Seldom()

# What comes up while a line is in use: pg8000 lets a socket's own errors through, its deadline among them.
OF_LINES = (*OF_DATABASES, OSError)


class StoreRefused(Exception):
    """The store cannot be used as it is; the message is one line for the operator."""


def trouble_of(failure: BaseException) -> str | None:
    """What stands in the way of the database, or None where the error is no matter of availability."""
    cause = failure.orig if isinstance(failure, DBAPIError) else failure
    if isinstance(cause, sqlite3.Error):
        return _AWAY.get(getattr(cause, "sqlite_errorcode", -1) & _PRIMARY_CODE)
    if isinstance(cause, pg8000.exceptions.DatabaseError):
        return _trouble_by_state(cause)
    if isinstance(cause, pg8000.exceptions.InterfaceError | OSError):
        return "cannot be reached"
    return None


def is_out_of_reach(failure: Unavailable) -> bool:
    """Whether it was the connection that broke, not the database that refused."""
    cause = failure.__cause__
    cause = cause.orig if isinstance(cause, DBAPIError) else cause
    return isinstance(cause, pg8000.exceptions.InterfaceError | OSError)


def _trouble_by_state(failure: pg8000.exceptions.DatabaseError) -> str | None:
    told = failure.args[0] if failure.args else None
    state = str(told.get("C", "")) if isinstance(told, Mapping) else ""
    return next((_SQLSTATES[state[:n]] for n in (5, 3, 2) if state[:n] in _SQLSTATES), None)


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Raise Unavailable instead of the errors that say the database is away (OUT-8, GATE-11)."""
    try:
        yield
    except OF_LINES as failure:
        trouble = trouble_of(failure)
        if trouble is None:
            raise
        _tell(trouble)
        raise Unavailable(f"the database {trouble}") from failure


def _tell(trouble: str) -> None:
    """Callers hear that the database is away, not why; whoever operates it reads it here."""
    if _telling.due(trouble):
        structlog.get_logger().warning("database_away", reason=f"it {trouble}")


@contextmanager
def as_refusal(place: str) -> Iterator[None]:
    """Raise StoreRefused, naming `place`, instead of what keeps the store from being opened."""
    try:
        yield
    except OF_DATABASES as failure:
        trouble = trouble_of(failure)
        if trouble is None:
            raise
        raise StoreRefused(f"the store {place} {trouble}") from failure
    except OSError as failure:
        raise StoreRefused(f"the store {place} cannot be opened: {failure.strerror}") from failure
