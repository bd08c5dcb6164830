"""The two parts of a pull: what all Nodes of a Domain share, and what is a Node's own (PULL-1, PULL-2)."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, select

from reference_server.control import blocks
from reference_server.store import tables

# 64 MiB hold the peers of some 500,000 Nodes.
_PEERS_BYTES = 64 * 1024 * 1024

# PULL-1: what stands where there is nothing; section 11 takes the empty policy for none.
_EMPTY_POLICY = (
    b'{"revision_id":"00000000-0000-0000-0000-000000000000",'
    b'"fingerprint":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","rules":[]}'
)
_EMPTY_BRIDGE = b"{}"
_EMPTY_SOURCES = b'{"policy":[],"bridge":[]}'

_TAIL = (
    b'],"executions":[],"sessions":[],"reachability":%b,"policy":%b,"bridge":%b,'
    b'"state":%b,"reports":%b,"sources":%b}'
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Peers:
    """The `peers` of a whole Domain, written once; `spans` is where each Node's entry begins and ends."""

    joined: bytes
    spans: dict[str, tuple[int, int]]

    @classmethod
    def read(cls, connection: Connection, domain_id: str) -> Self:
        """Write the entries of the Domain's live Nodes in node_id order."""
        nodes, peers = tables.nodes, tables.peers
        statement = (
            select(nodes.c.id, nodes.c.mesh_ip, peers.c.public_key)
            .join(peers, peers.c.node_id == nodes.c.id)
            .where(nodes.c.domain_id == domain_id, nodes.c.deregistered_at.is_(None))
            .order_by(nodes.c.id)
        )
        entries, spans, at = [], {}, 0
        for node_id, mesh_ip, public_key in connection.execute(statement):
            entries.append(blocks.peer(node_id, mesh_ip, public_key))
            spans[node_id] = (at, at + len(entries[-1]))
            at = spans[node_id][1] + len(b",")
        return cls(joined=b",".join(entries), spans=spans)

    def without(self, node_id: str) -> bytes:
        """The entries of all Nodes but one."""
        start, end = self.spans.get(node_id, (0, 0))
        if end == 0:
            return self.joined
        if start == 0:
            return self.joined[end + 1 :]
        return self.joined[: start - 1] + self.joined[end:]


class PeersCache:
    """Peers by Domain and version, bounded in bytes, the longest unused out first; for any thread."""

    __slots__ = ("_bytes", "_held", "_lock", "_max_bytes")

    def __init__(self, max_bytes: int = _PEERS_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[tuple[str, int], Peers] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def find(self, domain_id: str, version: int) -> Peers | None:
        """The Peers written at that version, if they are still held."""
        with self._lock:
            found = self._held.get((domain_id, version))
            if found is not None:
                self._held.move_to_end((domain_id, version))
            return found

    def read(self, connection: Connection, domain_id: str, version: int) -> Peers:
        """The Peers of a version that was read before `connection` began; whoever comes first writes them."""
        with self._lock:
            found = self._held.get((domain_id, version))
            if found is None:
                found = Peers.read(connection, domain_id)
                self._hold((domain_id, version), found)
            return found

    def _hold(self, key: tuple[str, int], peers: Peers) -> None:
        self._held[key] = peers
        self._bytes += len(peers.joined)
        while self._bytes > self._max_bytes and len(self._held) > 1:
            self._bytes -= len(self._held.popitem(last=False)[1].joined)


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """A Node's part: everything after `peers`, and whether the Node was told to reconcile (LOG-8)."""

    tail: bytes
    reconcile: bool


def read_own(connection: Connection, node_id: str) -> Own | None:
    """A Node's own part as it stands; None where the Node is not, or is deregistered."""
    nodes = tables.nodes
    columns = (nodes.c.reachability, nodes.c.last_heartbeat_at, nodes.c.reachability_changed_at)
    live = (nodes.c.id == node_id) & nodes.c.deregistered_at.is_(None)
    row = connection.execute(select(*columns, nodes.c.reconcile).where(live)).first()
    if row is None:
        return None
    state = blocks.read_state(connection, node_id)
    tail = _TAIL % (
        blocks.reachability(*row[:3]),
        _EMPTY_POLICY,
        _EMPTY_BRIDGE,
        state,
        state,
        _EMPTY_SOURCES,
    )
    return Own(tail=tail, reconcile=row.reconcile)


def body(peers: Peers, node_id: str, tail: bytes) -> bytes:
    """NodeStateSnapshot, its members in published order."""
    return b"".join((b'{"peers":[', peers.without(node_id), tail))
