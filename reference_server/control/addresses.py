"""Mesh addresses: the next free one after the address given last, then the first gap (PROD-1).

So an address that a leaving Node gave back is not at once another Node's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address, ip_network
from itertools import islice

from sqlalchemy import Connection, select

from reference_server.control.ranges import Network
from reference_server.store import tables

_NODES = tables.nodes
_PROJECTS = tables.projects

# One indexed look-up each; where so many in a row are taken, reading all addresses in use is cheaper.
_PROBES = 8

# Ranges of one or two addresses have neither network nor broadcast address (RFC 3021, RFC 6164).
_HOST_BITS_OF_PAIRS = 1

Span = tuple[int, int]  # first and last address, both usable


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Where a Node's address comes from: the Domain's range less its Projects' own, or one of those."""

    domain_id: str
    network: Network
    project_id: str | None  # None: the Domain's pool
    reserved: Sequence[Network]


def domain_pool(connection: Connection, domain_id: str, mesh_cidr: str) -> Pool:
    """The Domain's own pool."""
    ranges = select(_PROJECTS.c.sub_range_cidr).where(
        _PROJECTS.c.domain_id == domain_id, _PROJECTS.c.sub_range_cidr.is_not(None)
    )
    reserved = [ip_network(cidr) for cidr in connection.execute(ranges).scalars()]
    return Pool(domain_id=domain_id, network=ip_network(mesh_cidr), project_id=None, reserved=reserved)


def project_pool(domain_id: str, project_id: str, sub_range_cidr: str) -> Pool:
    """The strict range of a Project."""
    return Pool(domain_id=domain_id, network=ip_network(sub_range_cidr), project_id=project_id, reserved=())


def allocate(connection: Connection, pool: Pool) -> str | None:
    """A free address of the pool, in netip's spelling; None where it is exhausted. The caller stores it."""
    spans = _spans(pool)
    start = _newest(connection, pool)
    for candidate in islice(_from(spans, start), _PROBES):
        if not _taken(connection, pool, candidate):
            return _text(pool, candidate)
    used = _used(connection, pool.domain_id)
    free = (candidate for candidate in _from(spans, start) if _text(pool, candidate) not in used)
    found = next(free, None)
    return None if found is None else _text(pool, found)


def _spans(pool: Pool) -> list[Span]:
    """The usable stretches of the pool, ascending."""
    first, last = _usable(pool.network)
    spans = []
    for taken in sorted(pool.reserved, key=lambda network: int(network.network_address)):
        below = (first, min(last, int(taken.network_address) - 1))
        if below[0] <= below[1]:
            spans.append(below)
        first = max(first, int(taken.broadcast_address) + 1)
    return [*spans, (first, last)] if first <= last else spans


def _usable(network: Network) -> Span:
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.max_prefixlen - network.prefixlen <= _HOST_BITS_OF_PAIRS:
        return first, last
    return first + 1, last - 1 if isinstance(network, IPv4Network) else last


def _from(spans: Sequence[Span], newest: int) -> Iterator[int]:
    """Every usable address once: those above `newest` first, then from the start."""
    for first, last in spans:
        yield from range(max(first, newest + 1), last + 1)
    for first, last in spans:
        yield from range(first, min(last, newest) + 1)


def _newest(connection: Connection, pool: Pool) -> int:
    """The address given last in this pool; -1 where none was."""
    of_pool = select(_NODES.c.mesh_ip).where(_NODES.c.domain_id == pool.domain_id)
    if pool.project_id is not None:
        of_pool = of_pool.where(_NODES.c.project_id == pool.project_id)
    elif pool.reserved:
        strict = select(_PROJECTS.c.id).where(
            _PROJECTS.c.domain_id == pool.domain_id, _PROJECTS.c.sub_range_cidr.is_not(None)
        )
        of_pool = of_pool.where(_NODES.c.project_id.is_(None) | _NODES.c.project_id.not_in(strict))
    newest = connection.execute(of_pool.order_by(_NODES.c.id.desc()).limit(1)).scalar_one_or_none()
    return -1 if newest is None else int(ip_address(newest))


def _taken(connection: Connection, pool: Pool, candidate: int) -> bool:
    statement = select(_NODES.c.id).where(
        _NODES.c.domain_id == pool.domain_id,
        _NODES.c.mesh_ip == _text(pool, candidate),
        _NODES.c.deregistered_at.is_(None),
    )
    return connection.execute(statement).first() is not None


def _used(connection: Connection, domain_id: str) -> frozenset[str]:
    live = select(_NODES.c.mesh_ip).where(_NODES.c.domain_id == domain_id, _NODES.c.deregistered_at.is_(None))
    return frozenset(connection.execute(live).scalars())


def _text(pool: Pool, candidate: int) -> str:
    return str(type(pool.network.network_address)(candidate))
