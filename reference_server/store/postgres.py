"""Transactions over one Postgres database, shared with other processes: one call, one thread hop (OUT-1)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Self, TypeVar

import trio
from sqlalchemy import Connection, bindparam, text, update

from reference_server.envelope import instant
from reference_server.ports import Change, Clock, Ids
from reference_server.store import dialing, refusals, schema
from reference_server.store.dialing import Line, Place
from reference_server.store.lines import Lines
from reference_server.store.listening import Heard, Listener
from reference_server.store.tables import domains as domains_table

T = TypeVar("T")

# Producers pause between statements for microseconds; a process that was stopped holds its locks no longer.
_SESSION = {"idle_in_transaction_session_timeout": "5s", "lock_timeout": "4s"}

_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")

# The upper 63 bits of a UUID: ascending ids are ascending locks. What is no UUID has one lock below them all.
_LOCK_BITS, _UUID_DIGITS = 63, 32
_OTHER_LOCK = 1

_COUNT = (
    update(domains_table)
    .where(domains_table.c.id.in_(bindparam("ids", expanding=True)))
    .values(version=domains_table.c.version + 1)
    .returning(domains_table.c.id, domains_table.c.version)
)
_COUNTED = text("SELECT version FROM domains WHERE id = :id")


class PostgresStore:
    """The Store port over Postgres.

    `run` must be running for `version` to follow other processes; while it hears nothing, every version is
    new. What follows a commit that was cancelled on its way may be left to what the listener hears of it.
    """

    shared = True

    def __init__(self, lines: Lines, listener: Listener, *, clock: Clock, ids: Ids) -> None:
        self._lines = lines
        self._listener = listener
        self._clock = clock
        self._ids = ids

    @classmethod
    async def open(cls, place: Place, *, clock: Clock, ids: Ids) -> Self:
        """Connect to the database and bring its schema up to date, one process after the other.

        Raises StoreRefused with one line that says why the database cannot be used.
        """
        dialer = dialing.dialer(place, parameters=_SESSION)
        await trio.to_thread.run_sync(lambda: _prepare(dialer.line, place))
        return cls(Lines(dialer), Listener(place), clock=clock, ids=ids)

    async def run(self) -> None:
        """Hear what is committed, here and elsewhere, until cancelled."""
        await self._listener.run()

    def on_outbox_written(self, wake: Callable[[], None]) -> None:
        """Have `wake` called after commits, of whichever process, that wrote outbox rows (OUT-7)."""
        self._listener.on_outbox(wake)

    def version(self, domain_id: str) -> int:
        """See the port."""
        return self._listener.version(domain_id)

    def counted(self, connection: Connection, domain_id: str) -> int:
        """See the port."""
        return int(connection.execute(_COUNTED, {"id": domain_id}).scalar() or 0)

    async def change(
        self, domains: Sequence[str], work: Callable[[Change], T], *, correlation_id: str | None = None
    ) -> T:
        """See the port. A Domain's lock is an advisory one, held to the end of the transaction."""
        result, change, heard = await self._lines.lend(
            partial(self._change, frozenset(domains), work, correlation_id)
        )
        if heard is not None:
            self._listener.note(heard)
        for follow in change.after_commit:
            follow()
        return result

    def _change(
        self, domains: frozenset[str], work: Callable[[Change], T], correlation_id: str | None, line: Line
    ) -> tuple[T, Change, Heard | None]:
        connection = line.connection
        with connection.begin():
            connection.exec_driver_sql(_WRITE)
            for key in sorted(set(map(lock_of, domains))):
                connection.execute(_LOCK, {"key": key})
            change = Change(
                connection=connection,
                transaction_id=self._ids.uuid7(),
                now=instant.micros(
                    self._clock.now()
                ),  # after the locks: a Domain's instants follow its order
                correlation_id=correlation_id,
                ids=self._ids,
                domains=domains,
            )
            result = work(change)
            heard = _heard(change)
            if heard is not None:
                self._listener.tell(connection, heard)
        return result, change, heard

    async def read(self, work: Callable[[Connection], T]) -> T:
        """See the port."""
        return await self._lines.lend(partial(_read, work))

    async def aclose(self) -> None:
        """Wait for what runs, then close every connection."""
        await self._lines.aclose()


def lock_of(domain_id: str) -> int:
    """The key of a Domain's advisory lock; everything that is no UUID shares one."""
    digits = domain_id.replace("-", "")
    if len(digits) != _UUID_DIGITS:
        return _OTHER_LOCK
    return int(digits, 16) >> (4 * _UUID_DIGITS - _LOCK_BITS)


def _heard(change: Change) -> Heard | None:
    """What others are told of this transaction: the versions that it gave its Domains."""
    if not change.domains and not change.outbox_written:
        return None
    counted = change.connection.execute(_COUNT, {"ids": sorted(change.domains)}) if change.domains else ()
    return Heard(domains=tuple((row.id, row.version) for row in counted), outbox=change.outbox_written)


def _read(work: Callable[[Connection], T], line: Line) -> T:
    with line.connection.begin():
        line.connection.exec_driver_sql(_READ)
        return work(line.connection)


def _prepare(dial: Callable[[], Line], place: Place) -> None:
    with refusals.as_refusal(place.shown):
        line = dial()
        try:
            with line.connection.begin():
                line.connection.exec_driver_sql(_WRITE)
                line.connection.execute(_LOCK, {"key": schema.LOCK})
                schema.bring_to_head(line.connection, place.shown)
        finally:
            line.connection.close()
