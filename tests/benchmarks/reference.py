"""The reference server under load: the whole server, and two places to feed it.

`--stage wire` replaces one port, the log, by one in memory: what is measured runs from a log entry to the
socket. `--stage whole` leaves every part in place and commits outbox rows: from commit to socket.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import trio

from reference_server import app, logs
from reference_server.assembly import Ports
from reference_server.envelope import model
from reference_server.ids import Uuid7Ids
from reference_server.outbox import append
from reference_server.ports import Appended, Bounds, Change, SignedBody, Tail
from reference_server.settings import Settings
from tests.benchmarks.population import KEY_ID, SIGNING_KEY, authorizations, populate
from tests.benchmarks.workload import DOMAIN, SOURCE, STORED, node_ids, payload, whole_payload

SINGLES_A_TURN = 64
EVENT_TYPE = "node_state_updated"


class MemoryLog:
    """A log in memory: gives the reader whatever the producer last put in."""

    def __init__(self) -> None:
        self.high = STORED
        self._batches: deque[Sequence[Appended]] = deque()
        self._more = trio.Event()
        self.taken = trio.Event()
        self.stored: list[SignedBody] = []

    def put(self, batch: Sequence[Appended]) -> None:
        self._batches.append(batch)
        self._more.set()

    async def bounds(self) -> Bounds:
        return Bounds(low=1, high=self.high)

    async def read_tail(self, after: int) -> Tail:
        if after < STORED:
            return Tail(appended=(), read_to=STORED)
        while not self._batches:
            self.taken.set()
            self._more = trio.Event()
            await self._more.wait()
        batch = self._batches.popleft()
        return Tail(appended=batch, read_to=batch[-1].entries[-1][0])

    async def read_node(self, node_id: str, after: int, up_to: int) -> Tail:
        bodies = self.stored[after:up_to]
        numbered = enumerate(bodies, after + 1)
        appended = [Appended(body=body, entries=((sequence, node_id),)) for sequence, body in numbered]
        return Tail(appended=appended, read_to=up_to)


class Feed:
    """Produces what a job asks for, at one of the two places."""

    def __init__(self, ports: Ports, log: MemoryLog | None, nodes: list[str]) -> None:
        self.ports, self.log, self.nodes = ports, log, nodes
        self.ids = Uuid7Ids(ports.clock)
        self.flush = self._flushed
        self.hub: Any = None

    def signed(self, stamp: int) -> SignedBody:
        body = model.build(
            event_id=self.ids.uuid7(),
            event_type=EVENT_TYPE,
            domain_id=DOMAIN,
            key_id=KEY_ID,
            issued_at=time.time_ns() // 1000,
            payload=payload(stamp).encode(),
            signing_key=SIGNING_KEY,
        )
        self.ports.signed_here.add(body.wire)
        return body

    def store(self) -> None:
        """What a resuming stream will find."""
        assert self.log is not None
        self.log.stored = [self.signed(0) for _ in range(STORED)]

    async def run(self, job: dict[str, Any]) -> dict[str, object]:
        """One job, measured in frames."""
        before = time.monotonic()
        sent = await (self._entries(job) if self.log is not None else self._commits(job))
        return {"frames": sent, "seconds": time.monotonic() - before}

    async def _entries(self, job: dict[str, Any]) -> int:
        assert self.log is not None
        start, end, turn = self.log.high, time.monotonic() + job["seconds"], 0
        due = trio.current_time()
        while time.monotonic() < end:
            self.log.taken = trio.Event()
            self.log.put(self._batch(job["kind"], turn))
            turn += 1
            await self.log.taken.wait()
            if job.get("each"):
                await self.flush()
            if job.get("pause"):
                due += job["pause"]
                await trio.sleep_until(due)
        return self.log.high - start

    def _batch(self, kind: str, turn: int) -> list[Appended]:
        assert self.log is not None
        first, nodes = self.log.high + 1, self.nodes
        if kind == "single":
            at = [nodes[(turn * SINGLES_A_TURN + n) % len(nodes)] for n in range(SINGLES_A_TURN)]
            batch = [
                Appended(body=self.signed(time.monotonic_ns()), entries=((first + n, node),))
                for n, node in enumerate(at)
            ]
        else:
            body = self.signed(time.monotonic_ns())
            batch = [Appended(body=body, entries=tuple(enumerate(nodes, first)))]
        self.log.high = batch[-1].entries[-1][0]
        return batch

    async def _flushed(self) -> None:
        await self.hub._flusher.wait_pass()

    async def _commits(self, job: dict[str, Any]) -> int:
        """Committed rows at `rate` a second, or as fast as they go; one Node each, or all of them."""
        sent, turn, start = 0, 0, trio.current_time()
        each = 1 if job["kind"] == "single" else len(self.nodes)
        rows = job.get("rows", 1)
        while trio.current_time() < start + job["seconds"]:
            to = [self.nodes[turn % len(self.nodes)]] if each == 1 else self.nodes
            await self.ports.store.change([DOMAIN], partial(self._rows, to, rows))
            turn += 1
            sent += each * rows
            if job.get("rate"):
                await trio.sleep_until(start + turn * each * rows / job["rate"])
        return sent

    def _rows(self, to: Sequence[str], rows: int, change: Change) -> None:
        for _ in range(rows):
            append.append(
                change, domain_id=DOMAIN, source=SOURCE, recipients=to, payload=whole_payload(to[0])
            )


async def _jobs(feed: Feed) -> None:
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        print(json.dumps(await feed.run(json.loads(line))), flush=True)


async def main(stage: str, count: int, peers: int, sink: logs.Writer) -> None:
    """Serve until stdin ends."""
    nodes = node_ids(max(count, peers))
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            port=0, data=str(Path(folder) / "bench.db"), max_connections=20_000, log_format="json"
        )
        logs.configure(settings.log_format, settings.log_level, sink)
        async with app.embedded(settings) as whole:
            await whole.store.change([DOMAIN], lambda change: populate(change, nodes, whole.keyring))
            log = MemoryLog() if stage == "wire" else None
            ports = whole if log is None else replace(whole, event_stream=log)
            feed = Feed(ports, log, nodes[:count])
            if log is not None:
                feed.store()
            application = app.build(settings, ports)
            feed.hub = application.hub
            async with trio.open_nursery() as nursery:
                url = await nursery.start(application.serve)
                bearers = authorizations(nodes[:count])
                ready = {"ready": int(url.rsplit(":", 1)[1]), "authorization": bearers}
                print(json.dumps(ready), flush=True)
                await _jobs(feed)
                application.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--stage", choices=("wire", "whole"), required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--peers", type=int, default=0)
    given = parser.parse_args()
    with open(os.devnull, "wb") as nowhere:
        trio.run(main, given.stage, given.nodes, given.peers, logs.Writer(nowhere))
