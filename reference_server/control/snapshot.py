"""The SnapshotProvider: a pull costs a read only when something changed for its Node (PULL-2, PULL-5)."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from reference_server.control import heartbeats, snapshot_parts
from reference_server.control.snapshot_parts import Own, Peers, PeersCache
from reference_server.ports import Change, Clock, NodeRepo, Snapshot, Store, Unavailable

# A copy is read anew at this age even though no commit was seen, so that an outage finds it young (PULL-5).
_CONFIRM_AFTER = timedelta(seconds=60)

# The Nodes' own parts that are kept: 64 MiB are some 100,000 Nodes with few entries.
_TAIL_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Which Node is read, and its Domain at a version that was taken before the read."""

    node_id: str
    domain_id: str
    version: int


@dataclass(slots=True, kw_only=True)
class _Copy:
    domain_id: str
    version: int
    tail: bytes
    read_at: datetime
    current: bool = True  # False: the Node has sent a heartbeat since


class Snapshots:
    """Pulls over the store, with the Nodes' parts cached by the version of their Domain.

    While the store is away a copy younger than `stale_limit` is answered with its age.
    """

    __slots__ = ("_bytes", "_clock", "_copies", "_nodes", "_peers", "_reading", "_stale_limit", "_store")

    def __init__(self, *, store: Store, clock: Clock, nodes: NodeRepo, stale_limit: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._nodes = nodes
        self._stale_limit = stale_limit
        self._peers = PeersCache()
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        self._bytes = 0
        self._reading: dict[str, object] = {}  # the newest read of each Node that is under way

    async def snapshot(self, node_id: str) -> Snapshot | None:
        """See the port."""
        copy = self._copies.get(node_id)
        if copy is not None and self._holds(copy):
            peers = self._peers.find(copy.domain_id, copy.version)
            if peers is not None:
                self._copies.move_to_end(node_id)
                return Snapshot(body=snapshot_parts.body(peers, node_id, copy.tail))
        try:
            return await self._read(node_id)
        except Unavailable:
            return self._aged(node_id)

    def heard(self, node_id: str) -> None:
        """Read this Node anew at its next pull: its heartbeat, or its mark to reconcile, moved no version."""
        self._reading.pop(node_id, None)
        copy = self._copies.get(node_id)
        if copy is not None:
            copy.current = False

    def _holds(self, copy: _Copy) -> bool:
        """Whether the copy is what a read would give; never sure of it where others commit, too (CUR-8)."""
        if self._store.shared:
            return False
        young = self._clock.now() - copy.read_at < _CONFIRM_AFTER
        return copy.current and young and self._store.version(copy.domain_id) == copy.version

    async def _read(self, node_id: str) -> Snapshot | None:
        facts = await self._nodes.find(node_id)
        if facts is None:
            return None
        version = self._store.version(facts.domain_id)
        place = _Place(node_id=node_id, domain_id=facts.domain_id, version=version)
        read_at, mark = self._clock.now(), object()
        self._reading[node_id] = mark
        try:
            place, peers, own = await self._parts(place)
            undisturbed = self._reading.get(node_id) is mark
        finally:
            if self._reading.get(node_id) is mark:
                del self._reading[node_id]
        if own is None:
            return None
        if undisturbed:
            self._keep(place, own, read_at)
        return Snapshot(body=snapshot_parts.body(peers, node_id, own.tail))

    async def _parts(self, place: _Place) -> tuple[_Place, Peers, Own | None]:
        read = await self._store.read(lambda connection: self._load(connection, place))
        own = read[2]
        if own is not None and own.reconcile:
            return await self._store.change([], lambda change: self._load_reconciled(change, place))
        return read

    def _load(self, connection: Connection, place: _Place) -> tuple[_Place, Peers, Own | None]:
        if self._store.shared:
            place = replace(place, version=self._store.counted(connection, place.domain_id))
        own = snapshot_parts.read_own(connection, place.node_id)
        return place, self._peers.read(connection, place.domain_id, place.version), own

    def _load_reconciled(self, change: Change, place: _Place) -> tuple[_Place, Peers, Own | None]:
        """What is read in the transaction that takes the mark back is all that the Node missed (LOG-8)."""
        heartbeats.pull_clears_reconcile(change, place.node_id)
        own = snapshot_parts.read_own(change.connection, place.node_id)
        return place, Peers.read(change.connection, place.domain_id), own

    def _aged(self, node_id: str) -> Snapshot:
        copy = self._copies.get(node_id)
        if copy is None:
            raise Unavailable("no copy of this pull")
        age = self._clock.now() - copy.read_at
        peers = self._peers.find(copy.domain_id, copy.version)
        if peers is None or age > self._stale_limit:
            raise Unavailable("no copy of this pull that is young enough")
        body = snapshot_parts.body(peers, node_id, copy.tail)
        return Snapshot(body=body, age_seconds=int(age.total_seconds()))

    def _keep(self, place: _Place, own: Own, read_at: datetime) -> None:
        former = self._copies.pop(place.node_id, None)
        self._bytes += len(own.tail) - (0 if former is None else len(former.tail))
        self._copies[place.node_id] = _Copy(
            domain_id=place.domain_id, version=place.version, tail=own.tail, read_at=read_at
        )
        while self._bytes > _TAIL_BYTES:
            self._bytes -= len(self._copies.popitem(last=False)[1].tail)
