"""The SignatureVerifier over the store's keys (LOG-4, KEY-3), with what never changes about them cached."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass
from typing import TypeVar

import trio
from sqlalchemy import Connection, select

from reference_server.envelope import model
from reference_server.outbox.lifecycle import Status
from reference_server.ports import Change, NonceStore, SignedBody, Store, Unavailable
from reference_server.store.tables import nodes, outbox_events, signing_key_rotations, signing_keys

K = TypeVar("K")
V = TypeVar("V")

# From so many bodies on the signatures (58 µs each) are checked in a thread, where libsodium frees the loop.
_WORTH_A_THREAD = 8

# Keys are few: one a rotation. Nodes are as many as streams.
_KEYS_KEPT = 10_000
_NODES_KEPT = 50_000


# Rows whose entries still lie ahead of every stream.
_NOT_YET = frozenset({Status.PENDING, Status.PARKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    rung: int
    public_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rotation:
    rung: int  # of the key that it introduces
    event_id: str
    published: bool


class StoredKeys:
    """See SignatureVerifier. `signed_here`: wire forms of this process; `wait_head`: the reader's."""

    def __init__(
        self,
        *,
        store: Store,
        nonces: NonceStore,
        signed_here: Container[bytes],
        wait_head: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._nonces = nonces
        self._signed_here = signed_here
        self._wait_head = wait_head
        self._keys: OrderedDict[tuple[str, str], _Key] = OrderedDict()
        self._fed: OrderedDict[str, None] = OrderedDict()  # rotations whose entries the nonces have seen
        self._registered: OrderedDict[str, int] = OrderedDict()
        self._rotations: OrderedDict[str, tuple[int, tuple[_Rotation, ...]]] = OrderedDict()
        self._newest: OrderedDict[str, int] = OrderedDict()  # the highest rung of a key seen, by Domain

    # ---- signatures

    async def verify(self, bodies: Sequence[SignedBody]) -> Sequence[str | None]:
        """See the port."""
        strangers = [body for body in bodies if body.wire not in self._signed_here]
        if not strangers:
            return [None] * len(bodies)
        keys = {
            (body.domain_id, body.key_id): await self._key(body.domain_id, body.key_id) for body in strangers
        }
        asked = [(body, keys[body.domain_id, body.key_id]) for body in strangers]
        if len(asked) < _WORTH_A_THREAD:
            answers = _check_all(asked)
        else:
            answers = await trio.to_thread.run_sync(_check_all, asked)
        found = {id(body): answer for (body, _), answer in zip(asked, answers, strict=True)}
        return [found.get(id(body)) for body in bodies]

    async def rung_of(self, domain_id: str, key_id: str) -> int | None:
        """See the port."""
        key = await self._key(domain_id, key_id)
        return None if key is None else key.rung

    async def _key(self, domain_id: str, key_id: str) -> _Key | None:
        """A key by its id, asked of the store where it is not known yet: it may be a moment old."""
        known = self._keys.get((domain_id, key_id))
        if known is not None:
            return known
        key = await self._store.read(lambda connection: _find_key(connection, domain_id, key_id))
        if key is not None:
            _keep(self._keys, (domain_id, key_id), key, _KEYS_KEPT)
            _keep(self._newest, domain_id, max(key.rung, self._newest.get(domain_id, 0)), _KEYS_KEPT)
        return key

    # ---- the place in the chain

    async def rung_at(self, node_id: str, domain_id: str, sequence: int) -> int:
        """See the port.

        A rotation is behind the place where its nonce was seen at or before `sequence`; also where the Node
        registered after it, or the log no longer holds it although it was published.
        """
        rotations = await self._of_domain(domain_id)
        if not rotations:
            return 0
        registered = await self._registered_rung(node_id)
        later = [rotation for rotation in rotations if rotation.rung > registered]
        if not later:
            return registered
        nonces = [f"{rotation.event_id}.{node_id}" for rotation in later]
        places = await self._nonces.look_up(nonces)
        unsure = [
            rotation.event_id
            for rotation, place in zip(later, places, strict=True)
            if place is None and rotation.published and rotation.event_id not in self._fed
        ]
        if unsure:
            await self._see_all_published()
            for event_id in unsure:
                _keep(self._fed, event_id, None, _KEYS_KEPT)
            places = await self._nonces.look_up(nonces)
        behind = [
            rotation.published if place is None else place <= sequence
            for rotation, place in zip(later, places, strict=True)
        ]
        return registered + sum(behind)

    async def _see_all_published(self) -> None:
        """Returns once what was published before is in the nonce store, unless it was evicted.

        A read can see a commit before the log here has heard of it; an empty change waits its turn behind it.
        """
        await self._store.change((), _change_nothing)
        await self._wait_head()

    async def _registered_rung(self, node_id: str) -> int:
        known = self._registered.get(node_id)
        if known is None:
            known = await self._store.read(lambda connection: _find_registered(connection, node_id))
            _keep(self._registered, node_id, known, _NODES_KEPT)
        return known

    async def _of_domain(self, domain_id: str) -> tuple[_Rotation, ...]:
        """The Domain's rotations as of its version; whether one is published may change without that.

        A key of a rung that they do not reach has come sooner than word of the commit that made it. While the
        store is away what is known decides (OUT-8): a rotation that is not among it has a key that is not
        known either, and nothing that it signed gets past `rung_of` before the store is back.
        """
        version = self._store.version(domain_id)
        known = self._rotations.get(domain_id)
        if known is not None and known[0] == version and self._is_whole(domain_id, known[1]):
            return known[1]
        try:
            found = await self._store.read(lambda connection: _find_rotations(connection, domain_id))
        except Unavailable:
            if known is None or not self._is_whole(domain_id, known[1]):
                raise
            return known[1]
        self._rotations.pop(domain_id, None)
        _keep(self._rotations, domain_id, (version, found), _KEYS_KEPT)
        return found

    def _is_whole(self, domain_id: str, rotations: tuple[_Rotation, ...]) -> bool:
        reached = rotations[-1].rung if rotations else 0
        return reached >= self._newest.get(domain_id, 0) and all(each.published for each in rotations)


def _keep(cache: OrderedDict[K, V], key: K, value: V, bound: int) -> None:
    cache[key] = value
    if len(cache) > bound:
        cache.popitem(last=False)


def _change_nothing(change: Change) -> None:
    """A transaction for its place in the order alone."""


def _check_all(asked: Sequence[tuple[SignedBody, _Key | None]]) -> list[str | None]:
    return [_fault_of(body, key) for body, key in asked]


def _fault_of(body: SignedBody, key: _Key | None) -> str | None:
    """The reason that `sse_verify_reject_total` counts, from a closed set."""
    if key is None:
        return "unknown_key"
    try:
        envelope = model.parse(body.wire)
    except model.NotAnEnvelope:
        return "malformed"
    if envelope.scope != model.scope_of(body.domain_id):
        return "wrong_scope"
    if (envelope.id, envelope.type, envelope.key_id) != (body.event_id, body.event_type, body.key_id):
        return "malformed"
    return None if envelope.verified_by(key.public_key) else "bad_signature"


def _find_key(connection: Connection, domain_id: str, key_id: str) -> _Key | None:
    row = connection.execute(
        select(signing_keys.c.rung, signing_keys.c.public_key).where(
            signing_keys.c.key_id == key_id, signing_keys.c.domain_id == domain_id
        )
    ).first()
    return None if row is None else _Key(rung=row.rung, public_key=row.public_key)


def _find_registered(connection: Connection, node_id: str) -> int:
    return int(connection.execute(select(nodes.c.registered_rung).where(nodes.c.id == node_id)).scalar_one())


def _find_rotations(connection: Connection, domain_id: str) -> tuple[_Rotation, ...]:
    table = signing_key_rotations
    rows = connection.execute(
        select(table.c.rung, table.c.event_id, outbox_events.c.status)
        .select_from(table.outerjoin(outbox_events, outbox_events.c.id == table.c.outbox_id))
        .where(table.c.domain_id == domain_id)
        .order_by(table.c.rung)
    )
    return tuple(
        _Rotation(rung=row.rung, event_id=row.event_id, published=row.status not in _NOT_YET) for row in rows
    )
