"""Grants and what they imply: the RelationChecker over configured operators (CRED-3, GATE-6, GATE-7)."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from sqlalchemy import Column, select

from reference_server.ports import Caller, Store
from reference_server.store import tables

NODE_AGENT = "node-agent"
AUDITOR = "auditor"
MANAGE = "manage"
READ = "read"
DEPLOY = "deploy"
NODE_OPERATE = "node-operate"

# protocol.md 10a: manage implies everything but these two.
_NOT_IMPLIED_BY_MANAGE = frozenset({NODE_AGENT, AUDITOR})


class Kind(StrEnum):
    """What a relation can be held to."""

    PLATFORM = "platform"
    DOMAIN = "domain"
    PROJECT = "project"
    RESOURCE = "resource"
    NODE = "node"


# The one object of kind platform, and what a grant on everything names.
PLATFORM_ID = "*"

_GRANT_OBJECT = re.compile(
    r"(?P<kind>domain|node):(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
)
_GRANTABLE = frozenset({NODE_AGENT, AUDITOR, MANAGE, READ, DEPLOY, NODE_OPERATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A relation to one Domain, one Node, or (kind platform) everything."""

    relation: str
    kind: Kind
    object_id: str


class GrantRefused(ValueError):
    """A grant that means nothing here."""


def grant(relation: str, object_name: str) -> Grant:
    """The grant of a relation on `*`, `domain:<uuid>` or `node:<uuid>`. Raises GrantRefused."""
    if relation not in _GRANTABLE:
        raise GrantRefused(f"{relation!r} is none of {', '.join(sorted(_GRANTABLE))}")
    if object_name in ("*", "platform"):
        return Grant(relation=relation, kind=Kind.PLATFORM, object_id=PLATFORM_ID)
    match = _GRANT_OBJECT.fullmatch(object_name)
    if match is None:
        raise GrantRefused(f"{object_name!r} is neither * nor domain:<uuid> nor node:<uuid>")
    return Grant(relation=relation, kind=Kind(match["kind"]), object_id=match["id"])


def implies(held: str, asked: str) -> bool:
    """Whether who holds one relation to an object stands in the other, too."""
    return held == asked or (held == MANAGE and asked not in _NOT_IMPLIED_BY_MANAGE)


class Places(Protocol):
    """Which Domain an object belongs to."""

    async def domain_of(self, kind: Kind, object_id: str) -> str | None:
        """None: there is no such object. Raises Unavailable."""
        ...


Granted = Callable[[str], Iterable[Grant]]  # the grants of the operator of that name


class GrantedRelations:
    """The RelationChecker over grants; it looks an object up only where a grant on a Domain could decide."""

    __slots__ = ("_granted", "_places")

    def __init__(self, *, granted: Granted, places: Places) -> None:
        self._granted = granted
        self._places = places

    async def check(self, caller: Caller, relation: str, object_kind: str, object_id: str) -> bool:
        """See the port. A Node is its own agent and stands in no other relation (N-1)."""
        if caller.node_id is not None:
            return (relation, object_kind, object_id) == (NODE_AGENT, Kind.NODE, caller.node_id)
        assert caller.operator is not None  # noqa: S101  # a Caller has exactly one of the two ids
        fitting = [g for g in self._granted(caller.operator) if implies(g.relation, relation)]
        if any(g.kind is Kind.PLATFORM or (g.kind, g.object_id) == (object_kind, object_id) for g in fitting):
            return True
        domains = {g.object_id for g in fitting if g.kind is Kind.DOMAIN}
        if not domains or object_kind not in _INSIDE_A_DOMAIN:
            return False
        return await self._places.domain_of(Kind(object_kind), object_id) in domains


_INSIDE_A_DOMAIN: Mapping[Kind, tuple[Column[str], Column[str]] | None] = MappingProxyType(
    {
        Kind.PROJECT: (tables.projects.c.id, tables.projects.c.domain_id),
        Kind.RESOURCE: (tables.resources.c.id, tables.resources.c.domain_id),
        Kind.NODE: None,  # through the Nodes' own cache
    }
)


class NodeDomains(Protocol):
    """The Domain of a live Node."""

    async def domain_of(self, node_id: str) -> str | None: ...


class StoredPlaces:
    """Places over the store; Nodes come from their cache, the rest is read each time."""

    __slots__ = ("_nodes", "_store")

    def __init__(self, *, store: Store, nodes: NodeDomains) -> None:
        self._store = store
        self._nodes = nodes

    async def domain_of(self, kind: Kind, object_id: str) -> str | None:
        """See Places."""
        columns = _INSIDE_A_DOMAIN[kind]
        if columns is None:
            return await self._nodes.domain_of(object_id)
        key, domain_id = columns
        statement = select(domain_id).where(key == object_id)
        return await self._store.read(lambda connection: connection.execute(statement).scalar_one_or_none())
