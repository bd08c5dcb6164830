"""The commands of the server, called as the console script calls them, and stores for them to work on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import trio
from click.testing import CliRunner, Result
from sqlalchemy import Connection, insert, update

import busproof
from reference_server import exits
from reference_server.clock import SystemClock
from reference_server.exits import Outcome
from reference_server.ids import Uuid7Ids
from reference_server.outbox import append
from reference_server.ports import Change
from reference_server.store import dialing, tables
from reference_server.store.engine import SqliteStore
from reference_server.store.postgres import PostgresStore
from tests.server.bus import SOURCE, payload_for

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A store as a command names it, and as a test opens it."""

    engine: str  # file | postgres
    where: str

    @property
    def flags(self) -> list[str]:
        return ["--data" if self.engine == "file" else "--database-url", self.where]

    async def _open(self) -> SqliteStore | PostgresStore:
        clock = SystemClock()
        ids = Uuid7Ids(clock)
        if self.engine == "file":
            return await SqliteStore.open(self.where, clock=clock, ids=ids)
        return await PostgresStore.open(dialing.place_of(self.where), clock=clock, ids=ids)

    def change(self, domains: Sequence[str], work: Callable[[Change], T]) -> T:
        """One transaction, in a store opened and closed for it."""

        async def once() -> T:
            store = await self._open()
            try:
                return await store.change(domains, work)
            finally:
                await store.aclose()

        return trio.run(once)

    def read(self, work: Callable[[Connection], T]) -> T:
        return self.change((), lambda change: work(change.connection))

    def park(self, domain_id: str, node_id: str, reason: str, count: int = 1) -> list[int]:
        """Rows of a Domain that the relay has set aside; answers their ids."""
        return self.change([domain_id], partial(_park, domain_id, node_id, reason, count))


def _park(domain_id: str, node_id: str, reason: str, count: int, change: Change) -> list[int]:
    rows, parked = tables.outbox_events, []
    for _ in range(count):
        event = append.append(
            change, domain_id=domain_id, source=SOURCE, recipients=[node_id], payload=payload_for(node_id)
        )
        aside = update(rows).where(rows.c.event_id == event).values(status="parked").returning(rows.c.id)
        parked.append(int(change.connection.execute(aside).scalar_one()))
        values = {"outbox_id": parked[-1], "domain_id": domain_id, "reason": reason}
        change.connection.execute(insert(tables.sse_relay_skipped), values | {"parked_at": change.now})
    return parked


def put_cursor(change: Change) -> None:
    """As a relay leaves it."""
    row = {"stream": "PLEXSPHERE_NODE_EVENTS", "last_outbox_id": 12, "last_sequence": 34, "moved_at": 1}
    change.connection.execute(insert(tables.sse_relay_cursor), row)


def called(outcome: Outcome, *arguments: object) -> Result:
    """Call a command, expect that outcome, and no traceback."""
    result = CliRunner().invoke(busproof.main, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code == exits.code(outcome), result.output
    assert "Traceback" not in result.output
    return result


def refused(*arguments: object, said: str) -> None:
    """Call a command that must refuse in one line."""
    result = called(Outcome.REFUSED, *arguments)
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("busproof ") and said in line, line
