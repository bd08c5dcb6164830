"""A scenario's grounds: Domains and Nodes of its own on the target, made through the operator surface."""

import base64
import json
import random
import re
from collections.abc import Mapping

from conformance.probe.node import SLUG_PREFIX, DomainHandle, Ledger, NodeHandle, Send, credential_of
from conformance.probe.obstacle import CannotAct
from conformance.probe.transcript import Exchange

OPERATOR = "operator"
CREATED = 201

# A /26 leaves room for 62 Nodes, more than any scenario makes; 10.64.0.0/10 holds 65,536 of them, so that
# scenarios and runs side by side seldom meet. A clash is answered mesh_cidr_overlap and tried again.
_CIDR_PREFIX = 26
_CIDR_BASE = (10 << 24) + (64 << 16)
_CIDR_COUNT = 1 << 16
_CIDR_TRIES = 5

# Client errors say that nothing was created; a server error or silence says nothing.
_NOT_CREATED = range(400, 500)

# contract_facts 7.5: slug is @KEBAB, at most 64.
_SLUG_LENGTH = 64
_NOT_KEBAB = re.compile(r"[^a-z0-9]+")


class Grounds:
    """Makes what a scenario asks for, once per name, and writes it in the ledger."""

    __slots__ = ("_count", "_domains", "_ledger", "_prefix", "_rng")

    def __init__(self, *, prefix: str, rng: random.Random, ledger: Ledger) -> None:
        self._prefix = prefix
        self._rng = rng
        self._ledger = ledger
        self._domains: dict[str, DomainHandle] = {}
        self._count = 0

    def count(self) -> int:
        """1, 2, 3, …: for labels that must differ."""
        self._count += 1
        return self._count

    async def domain(self, send: Send, name: str, *, signing_key: str = "active") -> DomainHandle:
        """The scenario's Domain of that name, created at its first use. Raises CannotAct."""
        if name not in self._domains:
            self._domains[name] = await self._create_domain(send, name, signing_key)
        return self._domains[name]

    async def node(self, send: Send, name: str, domain: str) -> NodeHandle:
        """A new Node in the Domain of that name. Raises CannotAct."""
        ground = await self.domain(send, domain)
        public_key = base64.b64encode(self._rng.randbytes(32)).decode("ascii")
        exchange = await send(
            f"grounds: node {name}",
            "POST",
            f"/v1/domains/{ground.id}/nodes",
            identity=OPERATOR,
            json={"name": name, "public_key": public_key},
        )
        members = _created(exchange, "a Node")
        node_id = _text(members, "node_id")
        self._ledger.node(ground.id, node_id)
        return NodeHandle(
            id=node_id,
            domain_id=ground.id,
            identity=name,
            credential=credential_of(node_id, _text(members, "nsk")),
            mesh_ip=_text(members, "mesh_ip"),
            public_key=public_key,
            signing_key_id=str(members.get("signing_key_id") or ""),
            signing_public_key=str(members.get("signing_public_key") or ""),
            registered=members,
        )

    async def _create_domain(self, send: Send, name: str, signing_key: str) -> DomainHandle:
        slug = _slug(self._prefix, name)
        self._ledger.intend(slug)
        exchange = await self._tried(send, name, slug, signing_key)
        if exchange.head is not None and exchange.head.status in _NOT_CREATED:
            self._ledger.refused(slug)
        members = _created(exchange, "a Domain")
        handle = DomainHandle(id=_text(members, "id"), slug=slug)
        self._ledger.created(slug, handle.id)
        return handle

    async def _tried(self, send: Send, name: str, slug: str, signing_key: str) -> Exchange:
        for attempt in range(1, _CIDR_TRIES + 1):
            body: dict[str, object] = {
                "name": f"busproof {name}",
                "slug": slug,
                "mesh_cidr": free_range(self._rng),
            }
            if signing_key != "active":
                body["signing_key"] = signing_key
            label = f"grounds: domain {name}" + (f" try {attempt}" if attempt > 1 else "")
            exchange = await send(label, "POST", "/v1/domains", identity=OPERATOR, json=body)
            if b"mesh-cidr-overlap" not in exchange.body:
                return exchange
        return exchange

    def slug(self, name: str) -> str:
        """A slug of our own for a Domain that the scenario creates itself; written in the ledger."""
        slug = _slug(self._prefix, name)
        self._ledger.intend(slug)
        return slug

    def settled(self, slug: str, domain_id: str | None) -> None:
        """Writes in the ledger what became of such a slug: a Domain of that id, or nothing."""
        if domain_id is None:
            self._ledger.refused(slug)
        else:
            self._ledger.created(slug, domain_id)

    def took_node(self, domain_id: str, node_id: str) -> None:
        """Writes in the ledger a Node that a request of the scenario's own making created."""
        self._ledger.node(domain_id, node_id)


def free_range(rng: random.Random) -> str:
    """A mesh range in which scenarios of ours seldom meet, and nobody else is expected."""
    number = _CIDR_BASE + (rng.randrange(_CIDR_COUNT) << (32 - _CIDR_PREFIX))
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0)) + f"/{_CIDR_PREFIX}"


def _slug(prefix: str, name: str) -> str:
    """At most 64 characters of kebab case; the name stands whole, the prefix is cut."""
    kept, tail = (_NOT_KEBAB.sub("-", part.lower()).strip("-") for part in (prefix, name))
    return f"{SLUG_PREFIX}{kept[: _SLUG_LENGTH - len(SLUG_PREFIX) - len(tail) - 1].rstrip('-')}-{tail}"


def _created(exchange: Exchange, what: str) -> Mapping[str, object]:
    if exchange.head is None:
        raise CannotAct(f"creating {what} was not answered ({exchange.ending})")
    if exchange.head.status != CREATED:
        raise CannotAct(f"creating {what} was answered {exchange.head.status}")
    try:
        members = json.loads(exchange.body)
    except ValueError as wrong:
        raise CannotAct(f"creating {what} was answered with what is no JSON") from wrong
    if not isinstance(members, dict):
        raise CannotAct(f"creating {what} was answered with no JSON object")
    return members


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise CannotAct(f"the answer has no {name!r}")
    return value
