"""Connections to one SQLite database, set up as the server needs them."""

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, StaticPool

# A backup tool may hold the lock this long before callers are told that the database is away.
_BUSY_SECONDS = 2.0

# 16 MiB (negative: KiB): the index pages of a broadcast to thousands of Nodes stay in memory.
_CACHE_KIB = 16 * 1024

# Acknowledged means on disk: WAL with FULL syncs the log at every commit.
_EVERY = (f"PRAGMA cache_size=-{_CACHE_KIB}", "PRAGMA temp_store=MEMORY")
_OF_FILE = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL")


def engine_of(path: Path | None) -> Engine:
    """An engine over a file, or over one shared in-memory database for None.

    Transactions are begun by hand (`isolation_level=None`), so that writers begin IMMEDIATE; a connection
    may be handed from thread to thread.
    """
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            ":memory:" if path is None else path,
            isolation_level=None,
            check_same_thread=False,
            timeout=_BUSY_SECONDS,
            cached_statements=512,
        ),
        poolclass=StaticPool if path is None else NullPool,
    )
    pragmas = _EVERY if path is None else _OF_FILE + _EVERY

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(pragma)

    return engine


def reader_of(engine: Engine) -> Connection:
    """A connection that refuses to write."""
    connection = engine.connect()
    connection.exec_driver_sql("PRAGMA query_only=ON")
    connection.commit()
    return connection
