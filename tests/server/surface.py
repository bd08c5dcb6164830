"""The Node surface over the tenancy stage: its doors, one Domain, and what outbox and chains then hold."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from reference_server.api.endpoint import Endpoint
from reference_server.api.heartbeat import Heartbeat
from reference_server.api.keys import Keys
from reference_server.api.labels import Labels
from reference_server.api.reachability import Reachability
from reference_server.api.reports import Reports
from reference_server.api.signing_keys import SigningKeys
from reference_server.api.state_entries import StateEntries
from reference_server.control.endpoints import Endpoints
from reference_server.control.heartbeats import Heartbeats
from reference_server.control.snapshot import Snapshots
from reference_server.envelope import instant
from reference_server.store import tables
from tests.server import tenancy
from tests.server.tenancy import Answer, Tenancy

CHECKSUM = base64.b64encode(bytes(32)).decode()
ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One outbox row."""

    source: str
    payload: dict[str, Any]
    raw: bytes
    recipients: list[str]
    transaction_id: str
    key_id: str | None


@dataclass(kw_only=True)
class Surface:
    """A server with one Domain and its Nodes."""

    server: Tenancy
    snapshots: Snapshots
    domain_id: str

    async def node(self, seed: str) -> "Node":
        """Let a Node in."""
        made = await self.server.node(self.domain_id, seed)
        return Node(surface=self, id=made["node_id"], token=made["credential"], registered=made)

    async def rows(self, *sources: str) -> list[Row]:
        """The outbox rows of these sources, oldest first."""
        table = tables.outbox_events
        statement = select(table).where(table.c.source.in_(sources)).order_by(table.c.id)
        return [
            Row(
                source=row.source,
                payload=json.loads(row.payload),
                raw=row.payload,
                recipients=_unpacked(row.recipients),
                transaction_id=row.transaction_id,
                key_id=row.key_id,
            )
            for row in await self.server.rows(statement)
        ]

    async def audited(self, relation: str) -> list[dict[str, Any]]:
        """The audit rows of this relation, oldest first, with the id of their transaction."""
        table = tables.audit_entries
        rows = await self.server.rows(select(table.c.canonical).order_by(table.c.chain_id, table.c.seq))
        told = [json.loads(row.canonical) for row in rows]
        return [entry for entry in told if entry["relation"] == relation]

    async def pull(self, node_id: str) -> bytes:
        """The body of a pull."""
        snapshot = await self.snapshots.snapshot(node_id)
        assert snapshot is not None
        return snapshot.body


@dataclass(frozen=True, kw_only=True)
class Node:
    """One Node and how it speaks."""

    surface: Surface
    id: str
    token: str
    registered: dict[str, Any]

    async def call(self, door: str, *, body: object = None, **path_parameters: str) -> Answer:
        """Call a door with this Node's credential."""
        place: dict[str, Any] = {"id": self.id, **path_parameters}
        return await self.surface.server.call(door, token=self.token, body=body, **place)

    async def beat(self, **changes: object) -> Answer:
        """Send a heartbeat; a member set to ABSENT is left out."""
        told: dict[str, object] = {
            "client_now": instant.render(self.surface.server.clock.now()),
            "binary_checksum": CHECKSUM,
            "binary_version": "1.2.3",
            "nat_summary": {},
            **changes,
        }
        sent = {name: value for name, value in told.items() if value is not ABSENT}
        return await self.call("heartbeat.post_node_heartbeat", body=sent)

    async def report_endpoint(self, endpoint: object = "203.0.113.7:51820", **changes: object) -> Answer:
        """Report an endpoint; a member set to ABSENT is left out."""
        told: dict[str, object] = {
            "endpoint": endpoint,
            "nat_type": "full_cone",
            "reported_at": instant.render(self.surface.server.clock.now()),
            **changes,
        }
        sent = {name: value for name, value in told.items() if value is not ABSENT}
        return await self.call("endpoint.put_node_endpoint", body=sent)


@asynccontextmanager
async def opened(**domain: Any) -> AsyncIterator[Surface]:
    """A server of its own with the doors of the Node surface and one Domain."""
    async with tenancy.opened() as server:
        snapshots = Snapshots(
            store=server.store, clock=server.clock, nodes=server.nodes, stale_limit=tenancy.STALE_LIMIT
        )
        shared: dict[str, Any] = {"admission": server.admission, "nodes": server.nodes}
        beats, endpoints = Heartbeats(server.store, snapshots.heard), Endpoints(server.store)
        server.doors |= {
            "heartbeat": Heartbeat(heartbeats=beats, clock=server.clock, **shared),
            "endpoint": Endpoint(endpoints=endpoints, clock=server.clock, **shared),
            "reachability": Reachability(store=server.store, **shared),
            "state_entries": StateEntries(store=server.store, admission=server.admission),
            "reports": Reports(store=server.store, **shared),
            "keys": Keys(
                store=server.store,
                node_repo=server.nodes,
                admission=server.admission,
                seal=server.keyring.seal,
            ),
            "labels": Labels(store=server.store, admission=server.admission),
            "signing_keys": SigningKeys(store=server.store, keyring=server.keyring, **shared),
        }
        domain_id = await server.domain(**domain)
        yield Surface(server=server, snapshots=snapshots, domain_id=domain_id)


def _unpacked(packed: bytes) -> list[str]:
    texts = [packed[at : at + 16].hex() for at in range(0, len(packed), 16)]
    return [f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in texts]
