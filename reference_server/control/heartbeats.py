"""Heartbeats: the cheap path of a healthy Node, the move back to healthy of any other (PROD-2, LOG-8)."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, exists, select, update

from reference_server.control import reachability
from reference_server.errors import Refusal
from reference_server.ports import Change, Store
from reference_server.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a heartbeat reports of its Node; `nat_summary` is a compact JSON object."""

    binary_version: str
    binary_checksum: str
    nat_summary: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The answer: when (microseconds), and what the Node should do next."""

    accepted_at: int
    reconcile: bool
    rotate_keys: bool


class Heartbeats:
    """Takes heartbeats of Nodes whose credential has been checked."""

    __slots__ = ("_heard", "_store")

    def __init__(self, store: Store, heard: Callable[[str], None]) -> None:
        """`heard` is called with the Node's id after each commit: a cached pull shows an older heartbeat."""
        self._store = store
        self._heard = heard

    async def accept(
        self, node_id: str, domain_id: str, beat: Beat, *, correlation_id: str | None = None
    ) -> Accepted:
        """Record one heartbeat.

        A healthy Node costs one guarded UPDATE without its Domain's lock; only where that hits no row is the
        lock taken and the move made. Raises Refusal `nsk_revoked` where the Node is gone, and Unavailable.
        """
        accepted = await self._store.change(
            [], lambda change: touch(change, node_id, beat), correlation_id=correlation_id
        )
        if accepted is None:
            accepted = await self._store.change(
                [domain_id],
                lambda change: touch_or_revive(change, domain_id, node_id, beat),
                correlation_id=correlation_id,
            )
        self._heard(node_id)
        return accepted


def touch(change: Change, node_id: str, beat: Beat) -> Accepted | None:
    """Record the heartbeat of a Node that is healthy; None where it is not."""
    nodes = tables.nodes
    healthy = (
        (nodes.c.id == node_id)
        & (nodes.c.reachability == reachability.State.HEALTHY)
        & nodes.c.deregistered_at.is_(None)
    )
    if change.connection.execute(update(nodes).where(healthy).values(_values(change, beat))).rowcount == 0:
        return None
    return _accepted(change, node_id)


def touch_or_revive(change: Change, domain_id: str, node_id: str, beat: Beat) -> Accepted:
    """Record a heartbeat and move its Node to healthy from any other state. Raises Refusal `nsk_revoked`."""
    if not reachability.revive(change, domain_id, node_id, _values(change, beat)):
        accepted = touch(change, node_id, beat)  # another heartbeat was first
        if accepted is None:
            raise Refusal("nsk_revoked")
        return accepted
    return _accepted(change, node_id)


def pull_clears_reconcile(change: Change, node_id: str) -> bool:
    """Take back `reconcile` because the Node pulls now (LOG-8); whether it was set.

    To be run in the transaction that reads what the pull returns, so that a later mark survives.
    """
    nodes = tables.nodes
    marked = (nodes.c.id == node_id) & nodes.c.reconcile.is_(True)
    return change.connection.execute(update(nodes).where(marked).values(reconcile=False)).rowcount > 0


def _values(change: Change, beat: Beat) -> dict[str, object]:
    return {
        "last_heartbeat_at": change.now,
        "binary_version": beat.binary_version,
        "binary_checksum": beat.binary_checksum,
        "nat_summary": beat.nat_summary,
    }


def _accepted(change: Change, node_id: str) -> Accepted:
    reconcile, rotate_keys = _flags(change.connection, node_id)
    return Accepted(accepted_at=change.now, reconcile=reconcile, rotate_keys=rotate_keys)


def _flags(connection: Connection, node_id: str) -> tuple[bool, bool]:
    nodes, rotations = tables.nodes, tables.peer_key_rotations
    pending = exists().where(rotations.c.node_id == node_id, rotations.c.completed_at.is_(None))
    row = connection.execute(select(nodes.c.reconcile, pending).where(nodes.c.id == node_id)).one()
    return bool(row[0]), bool(row[1])
