"""Endpoints of Peers: the reports that change them, and their end when no report comes (section 7)."""

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, exists, func, select, update

from reference_server.control import audience, audit
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.outbox import append
from reference_server.ports import Change, Store
from reference_server.store import tables

_SOURCE = "PeerEndpointChanged"
_REPORT_RELATION = "node_endpoint.report"
_STALE_RELATION = "node_endpoint.stale"

# One sweep's transaction ends this many endpoints at most, so that other writers get their turn.
ENDPOINTS_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report: `endpoint` in the spelling of endpoint_text.parse, `reported_at` in microseconds."""

    endpoint: str
    nat_type: str
    reported_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The answer, in microseconds."""

    accepted_at: int
    stale_after: int


class Endpoints:
    """Takes reports of Nodes whose credential has been checked."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    async def accept(
        self, node_id: str, domain_id: str, report: Report, *, correlation_id: str | None = None
    ) -> Accepted:
        """Record one report.

        The same endpoint while it is fresh costs one guarded UPDATE without the Domain's lock and tells
        nobody; anything else is told to all other Nodes. Raises Refusal `endpoint_clock_skew` (older than the
        Domain keeps endpoints), `endpoint_peer_not_found`, `endpoint_peer_gone`; and Unavailable.
        """
        accepted = await self._store.change(
            [], lambda change: refresh(change, node_id, domain_id, report), correlation_id=correlation_id
        )
        if accepted is not None:
            return accepted
        return await self._store.change(
            [domain_id],
            lambda change: move(change, node_id, domain_id, report),
            correlation_id=correlation_id,
        )


def refresh(change: Change, node_id: str, domain_id: str, report: Report) -> Accepted | None:
    """Prolong an endpoint that is in force and the same; None where it is neither."""
    stale_after = _stale_after(change, domain_id, report)
    peers, nodes = tables.peers, tables.nodes
    same = (
        (peers.c.node_id == node_id)
        & (peers.c.endpoint == report.endpoint)
        & (peers.c.endpoint_stale_after > change.now)
        & exists().where(nodes.c.id == node_id, nodes.c.deregistered_at.is_(None))
    )
    if (
        change.connection.execute(
            update(peers).where(same).values(_values(change, report, stale_after))
        ).rowcount
        == 0
    ):
        return None
    return Accepted(accepted_at=change.now, stale_after=stale_after)


def move(change: Change, node_id: str, domain_id: str, report: Report) -> Accepted:
    """Put an endpoint in force that is new, or was stale, and tell all other Nodes."""
    refreshed = refresh(change, node_id, domain_id, report)  # another report was first
    if refreshed is not None:
        return refreshed
    _refuse_without_peer(change.connection, node_id)
    stale_after = _stale_after(change, domain_id, report)
    peers = tables.peers
    statement = update(peers).where(peers.c.node_id == node_id).values(_values(change, report, stale_after))
    change.connection.execute(statement)
    _tell(change, domain_id, _payload(node_id, report, report.endpoint, stale_after))
    audit.append_entry(
        change,
        chain_id=domain_id,
        relation=_REPORT_RELATION,
        object_type="node",
        object_id=node_id,
        subject=f"node:{node_id}",
    )
    return Accepted(accepted_at=change.now, stale_after=stale_after)


def due(connection: Connection, now: int) -> tuple[list[str], int | None]:
    """Which Domains have an endpoint that went stale, and the instant at which the next one will, if any."""
    peers, nodes = tables.peers, tables.nodes
    joined = peers.join(nodes, nodes.c.id == peers.c.node_id)
    live = nodes.c.deregistered_at.is_(None)
    stale = select(nodes.c.domain_id).select_from(joined).where(live, peers.c.endpoint_stale_after <= now)
    later = select(func.min(peers.c.endpoint_stale_after)).select_from(joined)
    domain_ids = sorted(connection.execute(stale.distinct()).scalars())
    next_at = connection.execute(later.where(live, peers.c.endpoint_stale_after > now)).scalar()
    return domain_ids, next_at


def sweep(change: Change, domain_id: str) -> int:
    """End the Domain's endpoints that went stale, ENDPOINTS_AT_ONCE at most; all other Nodes hear of each."""
    peers, nodes = tables.peers, tables.nodes
    stale = (
        select(peers)
        .join(nodes, nodes.c.id == peers.c.node_id)
        .where(nodes.c.domain_id == domain_id, nodes.c.deregistered_at.is_(None))
        .where(peers.c.endpoint_stale_after <= change.now)
        .order_by(peers.c.node_id)
        .limit(ENDPOINTS_AT_ONCE)
    )
    rows = change.connection.execute(stale).all()
    return sum(_end(change, domain_id, row) for row in rows)


def _end(change: Change, domain_id: str, row: Row[Any]) -> bool:
    peers = tables.peers
    guarded = (peers.c.id == row.id) & (peers.c.endpoint_stale_after <= change.now)
    statement = update(peers).where(guarded).values(endpoint_stale_after=None)
    if change.connection.execute(statement).rowcount == 0:
        return False
    report = Report(endpoint=row.endpoint, nat_type=row.nat_type, reported_at=row.endpoint_reported_at)
    _tell(change, domain_id, _payload(row.node_id, report, None, row.endpoint_stale_after))
    audit.append_entry(
        change, chain_id=domain_id, relation=_STALE_RELATION, object_type="node", object_id=row.node_id
    )
    return True


def _stale_after(change: Change, domain_id: str, report: Report) -> int:
    domains = tables.domains
    ttl = change.connection.execute(select(domains.c.endpoint_ttl).where(domains.c.id == domain_id)).scalar()
    if ttl is None:
        raise Refusal("endpoint_peer_gone")
    if report.reported_at < change.now - ttl:
        raise Refusal("endpoint_clock_skew")
    return change.now + int(ttl)


def _values(change: Change, report: Report, stale_after: int) -> dict[str, object]:
    return {
        "endpoint": report.endpoint,
        "nat_type": report.nat_type,
        "endpoint_reported_at": report.reported_at,
        "endpoint_accepted_at": change.now,
        "endpoint_stale_after": stale_after,
    }


def _refuse_without_peer(connection: Connection, node_id: str) -> None:
    peers, nodes = tables.peers, tables.nodes
    gone = connection.execute(select(nodes.c.deregistered_at).where(nodes.c.id == node_id)).scalar()
    if gone is not None:
        raise Refusal("endpoint_peer_gone")
    if connection.execute(select(peers.c.id).where(peers.c.node_id == node_id)).first() is None:
        raise Refusal("endpoint_peer_not_found")


def _payload(node_id: str, report: Report, endpoint: str | None, stale_after: int) -> dict[str, str | None]:
    return {
        "node_id": node_id,
        "endpoint": endpoint,
        "nat_type": report.nat_type,
        "reported_at": instant.render(report.reported_at),
        "stale_after": instant.render(stale_after),
    }


def _tell(change: Change, domain_id: str, payload: dict[str, str | None]) -> None:
    append.append(
        change,
        domain_id=domain_id,
        source=_SOURCE,
        recipients=audience.live_nodes(change.connection, domain_id, without=payload["node_id"]),
        payload=msgspec.json.encode(payload),
    )
