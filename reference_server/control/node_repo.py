"""What the gates ask about Nodes, cached: existence, Domain, hash of the credential (GATE-5, GATE-8)."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from reference_server.ports import Clock, NodeFacts, Store, Unavailable
from reference_server.store import tables

# A cached fact is read anew at this age even though no commit of its Domain was seen, so that the age at
# which an outage found it (PULL-5, GATE-11) is never far from the outage's.
_CONFIRM_AFTER = timedelta(seconds=60)

# Some 400 bytes each: 20 MB. Beyond it the Node asked for longest ago is forgotten.
_CAPACITY = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """One Node as the store has it. `keyed_hash` is that of its NSK (CRED-2)."""

    node_id: str
    domain_id: str
    live: bool
    keyed_hash: bytes
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cached:
    record: NodeRecord
    version: int
    read_at: datetime


class NodeRecords:
    """The NodeRepo, and the source of the CredentialResolver, over one bounded cache.

    An entry holds while the version of its Domain stands. While the store is away entries younger than
    `stale_limit` decide (PULL-5). What does not exist is never cached: an outage must not tell it apart.
    """

    __slots__ = ("_cached", "_clock", "_stale_limit", "_store")

    def __init__(self, *, store: Store, clock: Clock, stale_limit: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._stale_limit = stale_limit
        self._cached: OrderedDict[str, _Cached] = OrderedDict()

    async def find(self, node_id: str) -> NodeFacts | None:
        """See the NodeRepo port."""
        record = await self.record(node_id)
        if record is None or not record.live:
            return None
        return NodeFacts(node_id=record.node_id, domain_id=record.domain_id)

    async def domain_of(self, node_id: str) -> str | None:
        """The Domain of a live Node. Raises Unavailable."""
        facts = await self.find(node_id)
        return None if facts is None else facts.domain_id

    async def record(self, node_id: str) -> NodeRecord | None:
        """The Node, also a deregistered one; None where there never was one. Raises Unavailable."""
        cached = self._cached.get(node_id)
        if cached is not None and self._holds(cached):
            self._cached.move_to_end(node_id)
            return cached.record
        try:
            return await self._read(node_id, None if cached is None else cached.record.domain_id)
        except Unavailable:
            if cached is None or self._age(cached) > self._stale_limit:
                raise
            return cached.record

    async def _read(self, node_id: str, domain_id: str | None) -> NodeRecord | None:
        """Read the record and cache it with a version that was taken before the read."""
        while True:
            version = None if domain_id is None else self._store.version(domain_id)
            now = self._clock.now()
            record = await self._store.read(lambda connection: load(connection, node_id))
            if record is None:
                self._cached.pop(node_id, None)
                return None
            if version is not None and record.domain_id == domain_id:
                self._keep(_Cached(record=record, version=version, read_at=now))
                return record
            domain_id = record.domain_id

    def _keep(self, cached: _Cached) -> None:
        self._cached[cached.record.node_id] = cached
        self._cached.move_to_end(cached.record.node_id)
        if len(self._cached) > _CAPACITY:
            self._cached.popitem(last=False)

    def _holds(self, cached: _Cached) -> bool:
        unchanged = self._store.version(cached.record.domain_id) == cached.version
        return unchanged and self._age(cached) < _CONFIRM_AFTER

    def _age(self, cached: _Cached) -> timedelta:
        return self._clock.now() - cached.read_at


def load(connection: Connection, node_id: str) -> NodeRecord | None:
    """Read one Node with its credential's hash."""
    nodes, keys = tables.nodes, tables.node_secret_keys
    row = connection.execute(
        select(nodes.c.domain_id, nodes.c.deregistered_at, keys.c.keyed_hash, keys.c.revoked_at)
        .join_from(nodes, keys, nodes.c.id == keys.c.node_id)
        .where(nodes.c.id == node_id)
    ).one_or_none()
    if row is None:
        return None
    return NodeRecord(
        node_id=node_id,
        domain_id=row.domain_id,
        live=row.deregistered_at is None,
        keyed_hash=row.keyed_hash,
        revoked=row.revoked_at is not None,
    )
