"""The blocks that a pull and an event share, written once so that they are byte-equal (PULL-3, PULL-4).

Each function gives compact JSON with the escapes of ENV-4, members in published order (contract_facts 7.2).
"""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from reference_server.envelope import canonical, instant
from reference_server.store import tables

# NodeStateReports: its buckets, in published order.
BUCKETS = ("metadata", "data", "reports")

StateRow = tuple[str, str, str, str | None]  # bucket, key, value, workload tag


def peer(node_id: str, mesh_ip: str, public_key: str) -> bytes:
    """NodeStatePeer: an entry of the pull's `peers` and the payload of `peer_registered` (PULL-3)."""
    return b'{"node_id":"%b","mesh_ip":"%b","public_key":"%b"}' % (
        canonical.string(node_id),
        canonical.string(mesh_ip),
        canonical.string(public_key),
    )


def reachability(state: str, last_heartbeat_at: int | None, changed_at: int) -> bytes:
    """Reachability; `last_heartbeat_at` is left out before the first heartbeat. Instants in microseconds."""
    heard = b""
    if last_heartbeat_at is not None:
        heard = b'"last_heartbeat_at":"%b",' % instant.render(last_heartbeat_at).encode()
    changed = instant.render(changed_at).encode()
    return b'{"state":"%b",%b"changed_at":"%b"}' % (canonical.string(state), heard, changed)


def state(rows: Iterable[StateRow]) -> bytes:
    """NodeStateReports: every bucket present, its entries in the order given (PULL-1)."""
    buckets: dict[str, list[bytes]] = {bucket: [] for bucket in BUCKETS}
    for bucket, key, value, workload_tag in rows:
        buckets[bucket].append(_entry(key, value, workload_tag))
    return b"{%b}" % b",".join(
        b'"%b":[%b]' % (bucket.encode(), b",".join(entries)) for bucket, entries in buckets.items()
    )


def node_state(node_id: str, reachability_block: bytes, state_block: bytes) -> bytes:
    """The payload of `node_state_updated`: the two blocks as the pull returns them (section 7)."""
    return b'{"node_id":"%b","reachability":%b,"state":%b}' % (
        canonical.string(node_id),
        reachability_block,
        state_block,
    )


def read_reachability(connection: Connection, node_id: str) -> bytes:
    """The reachability block of a Node that exists."""
    nodes = tables.nodes
    columns = (nodes.c.reachability, nodes.c.last_heartbeat_at, nodes.c.reachability_changed_at)
    row = connection.execute(select(*columns).where(nodes.c.id == node_id)).one()
    return reachability(*row)


def read_state(connection: Connection, node_id: str) -> bytes:
    """The state block of a Node, entries ordered by key within their bucket."""
    entries = tables.state_entries
    columns = (entries.c.bucket, entries.c.key, entries.c.value, entries.c.workload_tag)
    statement = select(*columns).where(entries.c.node_id == node_id).order_by(entries.c.bucket, entries.c.key)
    return state(tuple(row) for row in connection.execute(statement))


def read_node_state(connection: Connection, node_id: str) -> bytes:
    """The payload of `node_state_updated` for a Node as the transaction that changes it sees it."""
    return node_state(node_id, read_reachability(connection, node_id), read_state(connection, node_id))


def _entry(key: str, value: str, workload_tag: str | None) -> bytes:
    tag = b',"workload_tag":"%b"' % canonical.string(workload_tag) if workload_tag else b""
    return b'{"key":"%b","value":"%b"%b}' % (canonical.string(key), canonical.string(value), tag)
