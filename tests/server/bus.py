"""Store, log and relay put together as the server does, without sockets, for the tests of these rooms."""

import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from reference_server import metrics
from reference_server.clock import SystemClock
from reference_server.envelope import model, signing
from reference_server.envelope.keyring import Keyring
from reference_server.envelope.signed_here import SignedHere
from reference_server.ids import Uuid7Ids
from reference_server.log.embedded import EmbeddedLog
from reference_server.log.retention import Limits
from reference_server.outbox import append
from reference_server.ports import Appended, Change, Layer, Lease, SignedBody, Store
from reference_server.relay.batch import Batch
from reference_server.relay.run import Layered, Relay
from reference_server.store import tables
from reference_server.store.engine import MEMORY, SqliteStore
from reference_server.stream.nonce import MemoryNonces

MEBI = 1024 * 1024
LEASE = Lease(until=math.inf, sure=True)
NO_LIMITS = Limits(max_age=None, max_bytes=None)
SOURCE = "NodeDeregistered"  # its payload is one member


def payload_for(node_id: str) -> bytes:
    return json.dumps({"node_id": node_id}).encode()


@dataclass(frozen=True, kw_only=True)
class Bus:
    """The three rooms and what they share."""

    store: SqliteStore
    clock: SystemClock
    ids: Uuid7Ids
    keyring: Keyring
    metrics: metrics.Metrics
    log: EmbeddedLog
    signed_here: SignedHere
    nonces: MemoryNonces
    relay: Relay

    async def provision(self, domain_id: str, key_id: str = "") -> str:
        """Give a Domain its first key, as the operator's door does; answers the key id."""
        key_id = key_id or f"key-0-{domain_id}"
        await self.store.change([domain_id], lambda change: self._provision(change, domain_id, key_id))
        return key_id

    def _provision(self, change: Change, domain_id: str, key_id: str) -> None:
        seed = signing.new_seed()
        row = {
            "key_id": key_id,
            "domain_id": domain_id,
            "rung": 0,
            "public_key": signing.key_pair(seed)[0],
            "sealed_seed": self.keyring.seal(seed),
            "created_at": change.now,
        }
        change.connection.execute(insert(tables.signing_keys), row)
        append.stamp_waiting(change, domain_id, key_id)

    async def rotate(self, domain_id: str, nodes: Sequence[str], old: str, new: str) -> None:
        """Retire one key for another, with the envelope that says so, in one transaction."""
        await self.store.change([domain_id], lambda change: self._rotate(change, domain_id, nodes, old, new))

    def _rotate(self, change: Change, domain_id: str, nodes: Sequence[str], old: str, new: str) -> None:
        keys = tables.signing_keys
        sealed = change.connection.execute(
            select(keys.c.sealed_seed).where(keys.c.key_id == old)
        ).scalar_one()
        seed = signing.new_seed()
        public = signing.key_pair(seed)[0]
        change.connection.execute(update(keys).where(keys.c.key_id == old).values(retired_at=change.now))
        row = {"key_id": new, "domain_id": domain_id, "rung": 1, "public_key": public}
        row |= {"sealed_seed": self.keyring.seal(seed), "created_at": change.now}
        change.connection.execute(insert(keys), row)
        payload = {
            "key_id": new,
            "public_key": signing.encode(public).decode(),
            "previous_key_id": old,
            "transition_expires": "2030-01-01T00:00:00Z",
        }
        body = model.build(
            event_id=change.ids.uuid7(),
            event_type="signing_key_rotated",
            domain_id=domain_id,
            key_id=old,
            issued_at=change.now,
            payload=json.dumps(payload, separators=(",", ":")).encode(),
            signing_key=self.keyring.signing_key(old, sealed),
        )
        append.append_signed(change, recipients=nodes, body=body)

    async def publish(self, domain_id: str, node_ids: Sequence[str], count: int = 1) -> list[str]:
        """Append events in one transaction; answers their ids."""

        def work(change: Change) -> list[str]:
            return [
                append.append(
                    change,
                    domain_id=domain_id,
                    source=SOURCE,
                    recipients=node_ids,
                    payload=payload_for(node_ids[0]),
                )
                for _ in range(count)
            ]

        return await self.store.change([domain_id], work)

    async def drain(self) -> None:
        """Relay until nothing is left that could go."""
        while await self.relay.carry_once():
            pass

    async def statuses(self) -> dict[str, str]:
        """Where each outbox row stands, by event id."""
        rows = tables.outbox_events.c
        return await self.store.read(
            lambda connection: {
                event_id: status
                for event_id, status in connection.execute(select(rows.event_id, rows.status))
            }
        )

    async def whole_log(self) -> list[tuple[int, str, str]]:
        """(sequence, Node, event id) of every retained entry, in order, from the tables."""
        entries, bodies = tables.log_entries.c, tables.log_bodies.c
        statement = (
            select(entries.sequence, entries.node, bodies.event_id)
            .join_from(tables.log_entries, tables.log_bodies, bodies.id == entries.body_id)
            .order_by(entries.sequence)
        )
        return await self.store.read(
            lambda connection: [(at, node.hex(), event) for at, node, event in connection.execute(statement)]
        )

    async def public_key(self, key_id: str) -> bytes:
        """The public part of a key."""
        keys = tables.signing_keys.c
        statement = select(keys.public_key).where(keys.key_id == key_id)
        return await self.store.read(lambda connection: bytes(connection.execute(statement).scalar_one()))


def flat(appended: Sequence[Appended]) -> list[tuple[int, str, SignedBody]]:
    """(sequence, Node, body) of every entry."""
    return [(at, node, piece.body) for piece in appended for at, node in piece.entries]


@asynccontextmanager
async def opened(
    path: str = MEMORY,
    *,
    limits: Limits = NO_LIMITS,
    cache_bytes: int = MEBI,
    publishes: int = 1000,
    tick_seconds: float = 1.0,
    relay_store: Store | None = None,
) -> AsyncIterator[Bus]:
    """A bus over a store, closed at the end."""
    clock = SystemClock()
    ids = Uuid7Ids(clock)
    store = await SqliteStore.open(path, clock=clock, ids=ids)
    try:
        counted = metrics.create()
        log = await EmbeddedLog.open(store, limits, counted, cache_bytes=cache_bytes)
        keyring, signed_here = Keyring(b"m" * 32), SignedHere()
        nonces = MemoryNonces(Layer.RELAY)
        relay = Relay(
            relay_store or store,
            Batch(
                log=log,
                keyring=keyring,
                signed_here=signed_here,
                publishes=publishes,
                seconds=1.0,
                lease_seconds=1.5,
                fence_seconds=2.0,
            ),
            Layered(nonces=nonces, stream=log),
            counted,
            tick_seconds=tick_seconds,
        )
        store.on_outbox_written(relay.wake)
        yield Bus(
            store=store,
            clock=clock,
            ids=ids,
            keyring=keyring,
            metrics=counted,
            log=log,
            signed_here=signed_here,
            nonces=nonces,
            relay=relay,
        )
    finally:
        await store.aclose()
