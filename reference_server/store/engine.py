"""Transactions over one SQLite file, or over memory: one call, one transaction, one thread hop (OUT-1)."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self, TypeVar

import trio
from sqlalchemy import Connection, Engine

from reference_server.envelope import instant
from reference_server.ports import Change, Clock, Ids, Unavailable
from reference_server.store import connections, refusals, schema
from reference_server.store.ownership import Ownership

T = TypeVar("T")

MEMORY = ":memory:"

# SQLite reads scale with cores; more threads than this only wait for the interpreter's lock.
_READERS = 4


def _nothing() -> None:
    """What a commit wakes before a relay has asked to be woken."""


class SqliteStore:
    """The Store port over SQLite: one writer, a few readers, all in worker threads.

    A file is in WAL mode with synchronous=FULL and owned by this process alone. In memory one connection
    serves everybody in turn. A cancelled call that has reached its thread runs to its end.
    """

    shared = False

    def __init__(
        self,
        writer: Connection,
        readers: Sequence[Connection],
        *,
        clock: Clock,
        ids: Ids,
        owned: Ownership | None,
    ) -> None:
        self._writer = writer
        self._idle_readers = list(readers)
        self._readers = len(readers)
        self._clock = clock
        self._ids = ids
        self._owned = owned
        self._write_slot = trio.CapacityLimiter(1)
        self._read_slots = trio.CapacityLimiter(len(readers)) if readers else self._write_slot
        self._versions: dict[str, int] = {}
        self._wake: Callable[[], None] = _nothing
        self._committed: deque[Change] = deque()
        self._closed = False

    @classmethod
    async def open(cls, path: str, *, clock: Clock, ids: Ids) -> Self:
        """Open or make the store at `path` (or MEMORY) and bring its schema up to date.

        Raises StoreRefused with one line that says why the file cannot be used.
        """
        return await trio.to_thread.run_sync(lambda: cls._open(path, clock, ids))

    @classmethod
    def _open(cls, path: str, clock: Clock, ids: Ids) -> Self:
        file = None if path == MEMORY else Path(path)
        with refusals.as_refusal(path):
            owned = None if file is None else Ownership(file)
            engine = connections.engine_of(file)
            try:
                writer = engine.connect()
                _write(writer, lambda: schema.bring_to_head(writer, path))
                readers = [] if file is None else _readers_of(engine)
            except BaseException:
                engine.dispose()
                if owned is not None:
                    owned.release()
                raise
        return cls(writer, readers, clock=clock, ids=ids, owned=owned)

    def on_outbox_written(self, wake: Callable[[], None]) -> None:
        """Have `wake` called in the event loop after each commit that wrote outbox rows (OUT-7)."""
        self._wake = wake

    async def change(
        self, domains: Sequence[str], work: Callable[[Change], T], *, correlation_id: str | None = None
    ) -> T:
        """See the port. The lock of every Domain is SQLite's one write lock, taken before the first read."""
        result = await trio.to_thread.run_sync(
            self._change, frozenset(domains), work, correlation_id, limiter=self._write_slot
        )
        self._follow_commits()
        return result

    def _follow_commits(self) -> None:
        """Do what follows commits, in their order, whichever caller the event loop resumes first."""
        while self._committed:
            change = self._committed.popleft()
            for domain_id in change.domains:
                self._versions[domain_id] = self._versions.get(domain_id, 0) + 1
            for follow in change.after_commit:
                follow()
            if change.outbox_written:
                self._wake()

    def _change(self, domains: frozenset[str], work: Callable[[Change], T], correlation_id: str | None) -> T:
        self._check_open()
        change = Change(
            connection=self._writer,
            transaction_id=self._ids.uuid7(),
            now=instant.micros(self._clock.now()),
            correlation_id=correlation_id,
            ids=self._ids,
            domains=domains,
        )
        with refusals.as_unavailable():
            result = _write(self._writer, lambda: work(change))
        self._committed.append(change)
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        """See the port. In a file a reader never waits for the writer."""
        return await trio.to_thread.run_sync(self._read, work, limiter=self._read_slots)

    def _read(self, work: Callable[[Connection], T]) -> T:
        self._check_open()
        if not self._idle_readers and self._read_slots is self._write_slot:
            return _read(self._writer, work)
        reader = self._idle_readers.pop()
        try:
            return _read(reader, work)
        finally:
            self._idle_readers.append(reader)

    def version(self, domain_id: str) -> int:
        """See the port."""
        return self._versions.get(domain_id, 0)

    def counted(self, _connection: Connection, domain_id: str) -> int:
        """See the port; a commit that the view holds may not have moved the version yet."""
        return self._versions.get(domain_id, 0)

    async def aclose(self) -> None:
        """Wait for what runs, then close every connection and let go of the file."""
        if self._closed:
            return
        self._closed = True
        with trio.CancelScope(shield=True):
            async with self._write_slot, AsyncExitStack() as running:
                for _ in range(self._readers):
                    await running.enter_async_context(_slot_of(self._read_slots))
                await trio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        for connection in (*self._idle_readers, self._writer):
            connection.close()
        self._writer.engine.dispose()
        if self._owned is not None:
            self._owned.release()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the database is closed")


@asynccontextmanager
async def _slot_of(limiter: trio.CapacityLimiter) -> AsyncIterator[None]:
    """One of a limiter's slots, for somebody who takes several."""
    holder = object()
    await limiter.acquire_on_behalf_of(holder)
    try:
        yield
    finally:
        limiter.release_on_behalf_of(holder)


def _readers_of(engine: Engine) -> list[Connection]:
    return [connections.reader_of(engine) for _ in range(_READERS)]


def _write(connection: Connection, work: Callable[[], T]) -> T:
    with connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return work()


def _read(connection: Connection, work: Callable[[Connection], T]) -> T:
    with refusals.as_unavailable(), connection.begin():
        connection.exec_driver_sql("BEGIN")
        return work(connection)
