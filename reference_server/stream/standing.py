"""Whether open streams may stay open: credential in force, Node there, relation held (GATE-15)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, select

from reference_server.ports import Caller, Clock, RelationChecker, Store
from reference_server.store.tables import node_secret_keys, nodes

_NODE_AGENT = "node-agent"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# A change carries the instant at which it began; one that took longer than this to commit goes unseen.
_LONGEST_CHANGE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """Node ids that lost their standing lately."""

    revoked: frozenset[str]
    deregistered: frozenset[str]


class Vouching(Protocol):
    """What the admission of open streams rests on."""

    def version(self, domain_id: str) -> int:
        """A number that moves whenever something in the Domain may have fallen."""
        ...

    async def fallen(self) -> Fallen:
        """What fell since the last look, and a little before. Raises Unavailable."""
        ...

    async def holds(self, fallen: Fallen, caller: Caller, node_id: str) -> bool:
        """Whether a stream of this Node may stay open for this caller. Raises Unavailable."""
        ...


class Standing:
    """Looks over what the admission of open streams rested on: one read, however many streams."""

    __slots__ = ("_clock", "_relations", "_seen", "_store")

    def __init__(self, *, store: Store, relations: RelationChecker, clock: Clock) -> None:
        self._store = store
        self._relations = relations
        self._clock = clock
        self._seen = clock.now() - _LONGEST_CHANGE

    def version(self, domain_id: str) -> int:
        """See Vouching."""
        return self._store.version(domain_id)

    async def fallen(self) -> Fallen:
        """See Vouching."""
        now = self._clock.now()
        since = (self._seen - _LONGEST_CHANGE - _EPOCH) // _MICROSECOND
        fallen = await self._store.read(lambda connection: _fallen(connection, since))
        self._seen = now
        return fallen

    async def holds(self, fallen: Fallen, caller: Caller, node_id: str) -> bool:
        """See Vouching."""
        if node_id in fallen.deregistered:
            return False
        if caller.node_id is not None:
            return node_id not in fallen.revoked
        return await self._relations.check(caller, _NODE_AGENT, "node", node_id)


def _fallen(connection: Connection, since: int) -> Fallen:
    revoked = select(node_secret_keys.c.node_id).where(node_secret_keys.c.revoked_at >= since)
    deregistered = select(nodes.c.id).where(nodes.c.deregistered_at >= since)
    return Fallen(
        revoked=frozenset(connection.execute(revoked).scalars()),
        deregistered=frozenset(connection.execute(deregistered).scalars()),
    )
