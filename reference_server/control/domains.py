"""Domains: created, changed and deleted in one transaction with their audit row (contract_facts 3, 7.5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from reference_server.control import audit, durations, ranges, texts, thresholds
from reference_server.control.ranges import Network
from reference_server.control.thresholds import Thresholds
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.outbox import append
from reference_server.ports import Change
from reference_server.store import tables

_TABLE = tables.domains

# contract_facts 1.7: the default; no published door sets it.
_ENDPOINT_TTL = 300 * durations.SECOND

# Slugs and ranges are unique over all Domains, so whoever takes one holds this lock besides the Domain's own
# (OUT-1); as the smallest UUID it comes first in the order of locks.
ALL_DOMAINS = "00000000-0000-0000-0000-000000000000"

# KEY-5, OUT-5: makes the Domain's first key inside the transaction that makes the Domain.
KeyProvision = Callable[[Change, str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A Domain as asked for; `reachability` None takes the default, `region` "" pins none."""

    name: str
    slug: str
    description: str
    region: str
    mesh_cidr: str
    reachability: Thresholds | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """What to change of a Domain; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    region: str | None = None
    mesh_cidr: str | None = None
    reachability: Thresholds | None = None


def create(
    change: Change, *, domain_id: str, draft: Draft, provision: KeyProvision | None, subject: str
) -> Mapping[str, object]:
    """Create a Domain, and its first signing key where `provision` is given; answers its DomainResponse.

    Raises Refusal: invalid_domain, domain_slug_conflict, mesh_cidr_overlap.
    """
    network = _checked_range(draft.mesh_cidr)
    name = _checked_name(draft.name)
    _check_description(draft.description)
    if not texts.is_slug(draft.slug) or (draft.region and not texts.is_slug(draft.region)):
        raise Refusal("invalid_domain")
    _check_slug_free(change.connection, draft.slug)
    _check_range_free(change.connection, network, but=domain_id)
    change.connection.execute(
        insert(_TABLE).values(
            id=domain_id,
            name=name,
            slug=draft.slug,
            description=draft.description,
            region=draft.region or None,
            mesh_cidr=str(network),
            endpoint_ttl=_ENDPOINT_TTL,
            created_at=change.now,
            updated_at=change.now,
            **_columns(draft.reachability or thresholds.DEFAULT),
        )
    )
    if provision is not None:
        provision(change, domain_id)
    payload = {"domain_id": domain_id, "slug": draft.slug, "mesh_cidr": str(network)}
    append.append(
        change,
        domain_id=domain_id,
        source="DomainCreated",
        recipients=(),
        payload=msgspec.json.encode(payload),
    )
    _audit(change, domain_id, "domain.create", subject)
    return render(read(change.connection, domain_id))


def patch(change: Change, *, domain_id: str, wanted: Patch, subject: str) -> Mapping[str, object]:
    """Change a Domain; answers its DomainResponse.

    Raises Refusal: invalid_domain, domain_not_found, mesh_cidr_overlap, mesh_cidr_invalidates_subrange.
    """
    values: dict[str, object] = {}
    if wanted.name is not None:
        values["name"] = _checked_name(wanted.name)
    if wanted.description is not None:
        _check_description(wanted.description)
        values["description"] = wanted.description
    if wanted.region is not None:
        if not texts.is_slug(wanted.region):
            raise Refusal("invalid_domain")
        values["region"] = wanted.region
    if wanted.reachability is not None:
        values |= _columns(wanted.reachability)
    network = None if wanted.mesh_cidr is None else _checked_range(wanted.mesh_cidr)
    read(change.connection, domain_id)
    if network is not None:
        _check_retarget(change.connection, domain_id, network)
        values["mesh_cidr"] = str(network)
    statement = update(_TABLE).where(_TABLE.c.id == domain_id).values(updated_at=change.now, **values)
    change.connection.execute(statement)
    _audit(change, domain_id, "domain.update", subject)
    return render(read(change.connection, domain_id))


def remove(change: Change, *, domain_id: str, subject: str) -> None:
    """Delete an empty Domain. Raises Refusal: domain_not_found, domain_not_empty (with `child_counts`).

    Its keys and its audit chain stay: rows that the log still holds are verified with them (LOG-4).
    """
    read(change.connection, domain_id)
    counts = _child_counts(change.connection, domain_id)
    if any(counts.values()):
        raise Refusal("domain_not_empty", extra={"child_counts": counts})
    change.connection.execute(delete(_TABLE).where(_TABLE.c.id == domain_id))
    _audit(change, domain_id, "domain.delete", subject)


def find(connection: Connection, domain_id: str) -> Row[tuple[object, ...]] | None:
    """The Domain's row, or None."""
    return connection.execute(select(_TABLE).where(_TABLE.c.id == domain_id)).one_or_none()


def read(connection: Connection, domain_id: str) -> Row[tuple[object, ...]]:
    """The Domain's row. Raises Refusal(`domain_not_found`)."""
    row = find(connection, domain_id)
    if row is None:
        raise Refusal("domain_not_found")
    return row


def after_slug(connection: Connection, slug: str | None, count: int) -> Sequence[Row[tuple[object, ...]]]:
    """Up to `count` Domains in slug order, after one."""
    statement = select(_TABLE).order_by(_TABLE.c.slug).limit(count)
    if slug is not None:
        statement = statement.where(_TABLE.c.slug > slug)
    return connection.execute(statement).all()


def render(row: Row[tuple[object, ...]]) -> Mapping[str, object]:
    """DomainResponse of a row."""
    domain = row._mapping  # the public view of a Row by name
    policy = Thresholds(
        heartbeat_interval=domain["heartbeat_interval"],
        stale_after=domain["stale_after"],
        unreachable_after=domain["unreachable_after"],
    )
    answer = {name: domain[name] for name in ("id", "name", "slug", "description")}
    if domain["region"] is not None:
        answer["region"] = domain["region"]
    return answer | {
        "mesh_cidr": domain["mesh_cidr"],
        "reachability": thresholds.render(policy),
        "created_at": instant.render(domain["created_at"]),
        "updated_at": instant.render(domain["updated_at"]),
    }


def _checked_name(name: str) -> str:
    trimmed = texts.name(name)
    if trimmed is None:
        raise Refusal("invalid_domain")
    return trimmed


def _check_description(description: str) -> None:
    if not texts.is_description(description):
        raise Refusal("invalid_domain")


def _checked_range(cidr: str) -> Network:
    network = ranges.read(cidr)
    if network is None:
        raise Refusal("invalid_domain")
    return network


def _check_slug_free(connection: Connection, slug: str) -> None:
    if connection.execute(select(_TABLE.c.id).where(_TABLE.c.slug == slug)).first() is not None:
        raise Refusal("domain_slug_conflict")


def _check_range_free(connection: Connection, network: Network, *, but: str) -> None:
    others = connection.execute(select(_TABLE.c.mesh_cidr).where(_TABLE.c.id != but)).scalars()
    if ranges.overlaps_any(network, others):
        raise Refusal("mesh_cidr_overlap")


def _check_retarget(connection: Connection, domain_id: str, network: Network) -> None:
    """A Domain may move only where it takes its Projects' ranges and its Nodes' addresses along."""
    _check_range_free(connection, network, but=domain_id)
    projects, nodes = tables.projects, tables.nodes
    inside = select(projects.c.id, projects.c.sub_range_cidr).where(
        projects.c.domain_id == domain_id, projects.c.sub_range_cidr.is_not(None)
    )
    for project_id, cidr in connection.execute(inside.order_by(projects.c.id)):
        inner = ranges.read(cidr)
        if inner is None or not ranges.contains(network, inner):
            detail = f"The range would leave the range of Project {project_id} outside."
            raise Refusal("mesh_cidr_invalidates_subrange", detail=detail)
    in_use = select(nodes.c.mesh_ip).where(nodes.c.domain_id == domain_id, nodes.c.deregistered_at.is_(None))
    if any(ip_address(address) not in network for address in connection.execute(in_use).scalars()):
        raise Refusal("invalid_domain")


def _child_counts(connection: Connection, domain_id: str) -> dict[str, int]:
    """DomainChildCounts; groups, identities and bindings are not kept by this server."""
    projects, nodes = tables.projects, tables.nodes
    of_projects = select(func.count()).select_from(projects).where(projects.c.domain_id == domain_id)
    of_nodes = (
        select(func.count())
        .select_from(nodes)
        .where(nodes.c.domain_id == domain_id, nodes.c.deregistered_at.is_(None))
    )
    return {
        "projects": connection.execute(of_projects).scalar_one(),
        "groups": 0,
        "identities": 0,
        "idp_bindings": 0,
        "nodes": connection.execute(of_nodes).scalar_one(),
    }


def _columns(policy: Thresholds) -> dict[str, int]:
    return {
        "heartbeat_interval": policy.heartbeat_interval,
        "stale_after": policy.stale_after,
        "unreachable_after": policy.unreachable_after,
    }


def _audit(change: Change, domain_id: str, relation: str, subject: str) -> None:
    audit.append_entry(
        change,
        chain_id=domain_id,
        relation=relation,
        object_type="domain",
        object_id=domain_id,
        subject=subject,
    )
