"""The producer of the real bench: commits outbox rows through the one door, with the Domain's lock.

It takes and gives JSON lines. Frames carry the time at which they were made, inside the transaction, and
their number in the job: what a stream must end with follows from the job alone.
"""

import argparse
import gc
import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio
from sqlalchemy import Connection, select

from reference_server import master_key
from reference_server.clock import SystemClock
from reference_server.ids import Uuid7Ids
from reference_server.outbox import append
from reference_server.ports import Change
from reference_server.settings import Settings
from reference_server.store import dialing
from reference_server.store.postgres import PostgresStore
from reference_server.store.tables import outbox_events, sse_relay_cursor
from tests.benchmarks.population import authorizations, populate
from tests.benchmarks.workload import DOMAIN, SOURCE, node_ids, whole_payload

_PENDING = select(outbox_events.c.id).where(outbox_events.c.status == "pending").limit(1)
_HIGH = select(sse_relay_cursor.c.last_sequence)
_LOOK_SECONDS = 0.02
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`commits` transactions of `rows` rows; a row is for one Node in turn (`single`) or for all `nodes`.

    `rate` is in frames a second, 0 for as fast as it goes; `drain` waits until the relay has left nothing.
    """

    kind: str
    nodes: int
    commits: int
    rows: int = 1
    rate: float = 0
    drain: bool = False

    @property
    def frames(self) -> int:
        """How many frames all of it makes."""
        return self.commits * self.rows * (1 if self.kind == "single" else self.nodes)


class Producer:
    """Does jobs over one database."""

    def __init__(self, store: PostgresStore, nodes: list[str]) -> None:
        self._store, self._nodes = store, nodes

    async def run(self, job: Job) -> dict[str, float]:
        """All commits of a job; answers seconds, and the log's newest sequence before it."""
        before = await self._store.read(lambda connection: connection.execute(_HIGH).scalar() or 0)
        start = trio.current_time()
        for turn in range(job.commits):
            await self._store.change([DOMAIN], partial(self._rows, job, turn * job.rows))
            if job.rate:
                await trio.sleep_until(start + (turn + 1) * job.frames / job.commits / job.rate)
        committed = trio.current_time() - start
        if job.drain:
            await self._wait_drained()
        return {
            "frames": job.frames,
            "committed": committed,
            "left": trio.current_time() - start,
            "before": before,
        }

    def _rows(self, job: Job, first: int, change: Change) -> None:
        for serial in range(first, first + job.rows):
            to = [self._nodes[serial % job.nodes]] if job.kind == "single" else self._nodes[: job.nodes]
            payload = whole_payload(to[0], serial)
            append.append(change, domain_id=DOMAIN, source=SOURCE, recipients=to, payload=payload)

    async def _wait_drained(self) -> None:
        with trio.fail_after(_PATIENCE_SECONDS):
            while await self._store.read(_is_pending):  # noqa: ASYNC110  # the outbox has to be asked
                await trio.sleep(_LOOK_SECONDS)


def _is_pending(connection: Connection) -> bool:
    return connection.execute(_PENDING).first() is not None


async def main(database_url: str, key: Path, count: int) -> None:
    """Populate the database, then do jobs until stdin ends."""
    nodes, clock = node_ids(count), SystemClock()
    place = dialing.place_of(database_url)
    store = await PostgresStore.open(place, clock=clock, ids=Uuid7Ids(clock))
    keyring = await master_key.unlock(Settings(database_url=database_url, master_key_file=str(key)), store)
    await store.change([DOMAIN], lambda change: populate(change, nodes, keyring))
    producer = Producer(store, nodes)
    gc.collect()
    gc.freeze()  # as a server does, whose changes these stand for
    _say({"authorization": authorizations(nodes)})
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        _say(await producer.run(msgspec.json.decode(line, type=Job)))
    await store.aclose()


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--nodes", type=int, required=True)
    given = parser.parse_args()
    trio.run(main, given.database_url, given.key, given.nodes)
