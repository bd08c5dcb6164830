"""Reachability of Nodes: its states, what moves a Node between them, and what a move leaves behind (PROD-2).

A move is one UPDATE guarded by the state it leaves, one outbox row and one audit row, all of one transaction,
so running it again changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, select, update

from reference_server.control import audit, blocks
from reference_server.outbox import append
from reference_server.ports import Change
from reference_server.store import tables

# PROD-3.
_RELATION = "node_reachability.transition"
_OBJECT_TYPE = "domain"
_SOURCE = "tenancy.NodeReachabilityChanged"

# One transaction moves this many Nodes at most, so that other writers of the Domain get their turn.
NODES_AT_ONCE = 200


class State(StrEnum):
    """Reachability.state (contract_facts N-8)."""

    NEVER_REPORTED = "never_reported"
    HEALTHY = "healthy"
    STALE = "stale"
    UNREACHABLE = "unreachable"


# PROD-2: where a Node starts.
INITIAL = State.NEVER_REPORTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Decay:
    """A move that silence makes: to where, after which age (a column of `domains`), and why."""

    to: State
    after: str
    reason: str


# What silence does, state by state; a state that is not here does not decay.
DECAYS: Mapping[State, Decay] = MappingProxyType(
    {
        State.HEALTHY: Decay(to=State.STALE, after="stale_after", reason="stale_after_elapsed"),
        State.STALE: Decay(
            to=State.UNREACHABLE, after="unreachable_after", reason="unreachable_after_elapsed"
        ),
    }
)

HEARTBEAT_REASON = "heartbeat_received"


def due(connection: Connection, now: int) -> tuple[list[str], int | None]:
    """Which Domains have a Node that decays now, and the instant at which the next Node will, if any."""
    nodes, domains = tables.nodes, tables.domains
    waiting: list[tuple[str, int]] = []
    for state, decay in DECAYS.items():
        at = func.min(nodes.c.last_heartbeat_at + domains.c[decay.after])
        statement = (
            select(nodes.c.domain_id, at)
            .join(domains, domains.c.id == nodes.c.domain_id)
            .where(nodes.c.reachability == state, nodes.c.deregistered_at.is_(None))
            .group_by(nodes.c.domain_id)
        )
        waiting.extend((domain_id, instant) for domain_id, instant in connection.execute(statement))
    domain_ids = {domain_id for domain_id, at in waiting if at <= now}
    return sorted(domain_ids), min((at for _, at in waiting if at > now), default=None)


def decay(change: Change, domain_id: str) -> int:
    """Move the Nodes of the Domain that are silent for too long, NODES_AT_ONCE at most; says how many moves.

    A Node that has been silent for long goes through `stale` on its way, in the same transaction.
    """
    return sum(_decay_from(change, domain_id, state) for state in DECAYS)


def revive(change: Change, domain_id: str, node_id: str, values: Mapping[str, object]) -> bool:
    """Move a Node to healthy and set `values`, or return False where it is healthy already or gone."""
    nodes = tables.nodes
    alive = (nodes.c.id == node_id) & nodes.c.deregistered_at.is_(None)
    former = change.connection.execute(select(nodes.c.reachability).where(alive)).scalar()
    if former is None or former == State.HEALTHY:
        return False
    guarded = update(nodes).where(alive, nodes.c.reachability == former)
    moved = {"reachability": State.HEALTHY, "reachability_changed_at": change.now}
    if change.connection.execute(guarded.values(**values, **moved)).rowcount == 0:
        return False
    _tell(change, domain_id, [node_id], (former, State.HEALTHY, HEARTBEAT_REASON), subject=f"node:{node_id}")
    return True


def _decay_from(change: Change, domain_id: str, state: State) -> int:
    nodes, to = tables.nodes, DECAYS[state]
    silent = (
        (nodes.c.domain_id == domain_id)
        & (nodes.c.reachability == state)
        & nodes.c.deregistered_at.is_(None)
        & _silent_for(domain_id, to.after, change.now)
    )
    chosen = select(nodes.c.id).where(silent).order_by(nodes.c.id).limit(NODES_AT_ONCE)
    statement = (
        update(nodes)
        .where(nodes.c.id.in_(chosen), silent)
        .values(reachability=to.to, reachability_changed_at=change.now)
        .returning(nodes.c.id)
    )
    moved = sorted(change.connection.execute(statement).scalars())
    _tell(change, domain_id, moved, (state, to.to, to.reason), subject=audit.SYSTEM)
    return len(moved)


def _silent_for(domain_id: str, threshold: str, now: int) -> ColumnElement[bool]:
    domains = tables.domains
    age = select(domains.c[threshold]).where(domains.c.id == domain_id).scalar_subquery()
    return tables.nodes.c.last_heartbeat_at <= now - age


def _tell(
    change: Change, domain_id: str, node_ids: Sequence[str], path: Sequence[str], *, subject: str
) -> None:
    for node_id in node_ids:
        payload = blocks.read_node_state(change.connection, node_id)
        append.append(change, domain_id=domain_id, source=_SOURCE, recipients=[node_id], payload=payload)
    entry = audit.Entry(
        relation=_RELATION,
        object_type=_OBJECT_TYPE,
        object_id=UUID(domain_id).hex,
        relation_path=[str(step) for step in path],
        subject=subject,
    )
    audit.append_entries(change, chain_id=domain_id, entries=[entry] * len(node_ids))
