"""Outbox, relay and log over real engines, in this process, for tests that break a relay at every step."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from nats.js.errors import NotFoundError
from sqlalchemy import insert, select

from reference_server import metrics
from reference_server.clock import SystemClock
from reference_server.envelope import signing
from reference_server.envelope.keyring import Keyring
from reference_server.envelope.signed_here import SignedHere
from reference_server.ids import Uuid7Ids
from reference_server.log import direct, ensure, nats_link, subjects
from reference_server.log.jetstream import JetStreamLog
from reference_server.log.nats_link import NatsLink, NatsPlace
from reference_server.outbox import append
from reference_server.ports import Change, Layer, LogAppender
from reference_server.relay.batch import Batch
from reference_server.relay.run import Layered, Relay
from reference_server.store import dialing, tables
from reference_server.store.postgres import PostgresStore
from reference_server.stream.nonce import MemoryNonces

SOURCE = "NodeDeregistered"  # its payload is one member
TICK_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class RealBus:
    """The rooms between a producer and the log, and how to look at the log itself."""

    store: PostgresStore
    link: NatsLink
    keyring: Keyring
    ids: Uuid7Ids
    log: JetStreamLog
    url: str  # of the NATS, for further links

    def relay(self, log: LogAppender | None = None, publishes: int = 500) -> Relay:
        """A relay as a process that has just started has it: sure of nothing."""
        batch = Batch(
            log=log or self.log,
            keyring=self.keyring,
            signed_here=SignedHere(),
            publishes=publishes,
            seconds=TICK_SECONDS / 4,
            lease_seconds=TICK_SECONDS * 1.5,
            fence_seconds=TICK_SECONDS * 2,
        )
        layered = Layered(nonces=MemoryNonces(Layer.RELAY), stream=self.log)
        return Relay(self.store, batch, layered, metrics.create(), tick_seconds=TICK_SECONDS)

    async def domain(self, *, key: bool = True) -> str:
        """A Domain, by its id alone, with a key unless it is to wait for one."""
        domain_id = self.ids.uuid7()
        if key:
            await self.provision(domain_id)
        return domain_id

    async def provision(self, domain_id: str) -> None:
        """Give it its first key."""
        await self.store.change([domain_id], partial(self._provision, domain_id))

    def _provision(self, domain_id: str, change: Change) -> None:
        seed = signing.new_seed()
        row = {
            "key_id": f"key-{domain_id}",
            "domain_id": domain_id,
            "rung": 0,
            "public_key": signing.key_pair(seed)[0],
            "sealed_seed": self.keyring.seal(seed),
            "created_at": change.now,
        }
        change.connection.execute(insert(tables.signing_keys), row)
        append.stamp_waiting(change, domain_id, f"key-{domain_id}")

    async def publish(self, domain_id: str, node_ids: Sequence[str], count: int = 1) -> list[str]:
        """Commit events for some Nodes in one transaction; answers their ids."""
        payload = json.dumps({"node_id": node_ids[0]}).encode()

        def work(change: Change) -> list[str]:
            return [
                append.append(
                    change, domain_id=domain_id, source=SOURCE, recipients=node_ids, payload=payload
                )
                for _ in range(count)
            ]

        return await self.store.change([domain_id], work)

    async def on_log(self, domain_id: str, node_id: str) -> list[str]:
        """The event ids on a Node's subject, in the order of the log, repeats included."""
        found: list[str] = []
        start = 1
        while True:
            ask = partial(
                direct.next_of,
                self.link,
                subjects.of_node(domain_id, node_id),
                start,
                entries=1000,
                size=8 * 1024 * 1024,
            )
            batch = await self.link.call(ask)
            found += [json.loads(wire)["id"] for _, _, _, wire in batch.messages]
            if not batch.pending:
                return found
            start = batch.messages[-1][0] + 1

    async def pending(self) -> int:
        """Rows that still wait."""
        rows = tables.outbox_events.c
        waiting = select(rows.id).where(rows.status == "pending")
        return len(await self.store.read(lambda connection: connection.execute(waiting).all()))


@asynccontextmanager
async def opened(database_url: str, nats_url: str, *, window: float = 120) -> AsyncIterator[RealBus]:
    """A bus over a database and a fresh log, closed at the end."""
    clock = SystemClock()
    ids = Uuid7Ids(clock)
    async with AsyncExitStack() as stack:
        place = dialing.place_of(database_url)
        store = await PostgresStore.open(place, clock=clock, ids=ids)
        stack.push_async_callback(store.aclose)
        link = await stack.enter_async_context(nats_link.linked(NatsPlace(url=nats_url)))
        with suppress(NotFoundError):
            await link.call(lambda: link.stream.delete_stream(subjects.STREAM))
        wanted = ensure.Wanted(duplicate_window_seconds=window)
        await ensure.ensure_node_events_stream(link, wanted, recorded=0)
        log = JetStreamLog(link, metrics.create())
        yield RealBus(store=store, link=link, keyring=Keyring(b"m" * 32), ids=ids, log=log, url=nats_url)


def lease_deadline(seconds: float) -> float:
    """For Lease.until."""
    return time.monotonic() + seconds
