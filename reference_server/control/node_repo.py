"""What the gates ask about Nodes, cached: existence, Domain, hash of the credential (GATE-5, GATE-8)."""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import trio
from sqlalchemy import Connection, bindparam, select

from reference_server.ports import Clock, NodeFacts, Store, Unavailable
from reference_server.store import tables

# A cached fact is read anew at this age even though no commit of its Domain was seen, so that the age at
# which an outage found it (PULL-5, GATE-11) is never far from the outage's.
_CONFIRM_AFTER = timedelta(seconds=60)

# Some 400 bytes each: 20 MB. Beyond it the Node asked for longest ago is forgotten.
_CAPACITY = 50_000

# Nodes in one read: below what SQLite and Postgres take as parameters of one statement.
_READ_TOGETHER = 500

# Domains whose version is noted before a read; a Node of another one costs a second read.
_DOMAINS_NOTED = 1_000


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


@dataclass(slots=True, eq=False)
class _Reading:
    """Nodes that are read in one go. `records` stays None where the read did not come about."""

    wanted: set[str] = field(default_factory=set)
    done: trio.Event = field(default_factory=trio.Event)
    records: Mapping[str, NodeRecord] | None = None
    failure: Unavailable | None = None


class NodeRecords:
    """The NodeRepo, and the source of the CredentialResolver, over one bounded cache.

    An entry holds while the version of its Domain stands. While the store is away entries younger than
    `stale_limit` decide (PULL-5). What does not exist is never cached: an outage must not tell it apart.
    """

    __slots__ = ("_cached", "_clock", "_domains", "_next", "_one_at_a_time", "_stale_limit", "_store")

    def __init__(self, *, store: Store, clock: Clock, stale_limit: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._stale_limit = stale_limit
        self._cached: OrderedDict[str, _Cached] = OrderedDict()
        self._domains: OrderedDict[str, None] = OrderedDict()
        self._next = _Reading()
        self._one_at_a_time = trio.Lock()

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
            return await self._read(node_id)
        except Unavailable:
            if cached is None or self._age(cached) > self._stale_limit:
                raise
            return cached.record

    async def _read(self, node_id: str) -> NodeRecord | None:
        """Have a Node read with all others that are asked for meanwhile: a thousand agents come at once."""
        while True:
            reading = self._next
            first = not reading.wanted
            reading.wanted.add(node_id)
            if len(reading.wanted) >= _READ_TOGETHER:
                self._next = _Reading()
            if first:
                await self._carry_out(reading)
            else:
                await reading.done.wait()
            if reading.failure is not None:
                raise Unavailable(str(reading.failure))
            if reading.records is not None:
                return reading.records.get(node_id)

    async def _carry_out(self, reading: _Reading) -> None:
        try:
            async with self._one_at_a_time:
                if self._next is reading:
                    self._next = _Reading()
                reading.records = await self._read_together(reading.wanted)
        except Unavailable as failure:
            reading.failure = failure
        finally:
            if self._next is reading:
                self._next = _Reading()
            reading.done.set()

    async def _read_together(self, wanted: set[str]) -> Mapping[str, NodeRecord]:
        """Read and cache, with versions that were taken before the read."""
        while True:
            versions = {domain_id: self._store.version(domain_id) for domain_id in self._domains}
            now = self._clock.now()
            records = await self._store.read(lambda connection: load(connection, wanted))
            for node_id in wanted - records.keys():
                self._cached.pop(node_id, None)
            self._note({record.domain_id for record in records.values()})
            if all(record.domain_id in versions for record in records.values()):
                break
        for record in records.values():
            self._keep(_Cached(record=record, version=versions[record.domain_id], read_at=now))
        return records

    def _note(self, domain_ids: Collection[str]) -> None:
        for domain_id in domain_ids:
            self._domains[domain_id] = None
            self._domains.move_to_end(domain_id)
        while len(self._domains) > _DOMAINS_NOTED:
            self._domains.popitem(last=False)

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


_LOAD = (
    select(
        tables.nodes.c.id,
        tables.nodes.c.domain_id,
        tables.nodes.c.deregistered_at,
        tables.node_secret_keys.c.keyed_hash,
        tables.node_secret_keys.c.revoked_at,
    )
    .join_from(tables.nodes, tables.node_secret_keys, tables.nodes.c.id == tables.node_secret_keys.c.node_id)
    .where(tables.nodes.c.id.in_(bindparam("wanted", expanding=True)))
)


def load(connection: Connection, wanted: Collection[str]) -> Mapping[str, NodeRecord]:
    """Read Nodes with their credentials' hashes, by id; what does not exist is missing."""
    rows = connection.execute(_LOAD, {"wanted": list(wanted)})
    return {
        row.id: NodeRecord(
            node_id=row.id,
            domain_id=row.domain_id,
            live=row.deregistered_at is None,
            keyed_hash=row.keyed_hash,
            revoked=row.revoked_at is not None,
        )
        for row in rows
    }
