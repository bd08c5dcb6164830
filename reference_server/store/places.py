"""A store as somebody finds it who keeps it: looked at without a change, or changed by one transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from reference_server.store import connections, dialing, refusals, schema
from reference_server.store.dialing import Place
from reference_server.store.ownership import Ownership
from reference_server.store.refusals import StoreRefused

# A server that stops lets go of the file within this time; one that runs does not.
_BUSY_SECONDS = 2.0

_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'busproof'"
    " AND datname = current_database() AND pid <> pg_backend_pid()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where a store is: exactly one of a file and a database."""

    file: Path | None = None
    place: Place | None = None

    @property
    def shown(self) -> str:
        """The place for messages."""
        return str(self.file) if self.place is None else self.place.shown


@contextmanager
def looked_at(kept: Kept) -> Iterator[Connection]:
    """A consistent view that changes nothing, also beside a running server. Raises StoreRefused."""
    with refusals.as_refusal(kept.shown):
        if kept.place is not None:
            line = dialing.dialer(kept.place).line()
            try:
                with line.connection.begin():
                    line.connection.exec_driver_sql(_READ)
                    yield line.connection
            finally:
                line.close()
            return
        if kept.file is None or not kept.file.is_file():
            raise StoreRefused(f"there is no store {kept.shown}")
        location = f"{kept.file.absolute().as_uri()}?mode=ro"
        engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(location, uri=True, isolation_level=None, timeout=_BUSY_SECONDS),
            poolclass=NullPool,
        )
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                yield connection
        finally:
            engine.dispose()


@contextmanager
def changed(kept: Kept, *, alone: bool) -> Iterator[Connection]:
    """One writing transaction, committed at the end of the block. Raises StoreRefused.

    A file must not be in use; `alone` asks the same of a database.
    """
    with refusals.as_refusal(kept.shown):
        if kept.place is not None:
            with _changed_database(kept.place, alone=alone) as connection:
                yield connection
        elif kept.file is not None:
            with _changed_file(kept.file) as connection:
                yield connection


@contextmanager
def _changed_database(place: Place, *, alone: bool) -> Iterator[Connection]:
    line = dialing.dialer(place).line()
    try:
        with line.connection.begin():
            line.connection.exec_driver_sql(_WRITE)
            line.connection.execute(_LOCK, {"key": schema.LOCK})
            others = line.connection.execute(_OTHERS).scalar_one() if alone else 0
            if others:
                raise StoreRefused(f"the store {place.shown} is in use: {others} connections of servers")
            yield line.connection
    finally:
        line.close()


@contextmanager
def _changed_file(file: Path) -> Iterator[Connection]:
    owned = Ownership(file)
    engine = connections.engine_of(file)
    try:
        with engine.connect() as connection, connection.begin():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
    finally:
        engine.dispose()
        owned.release()
