"""Keys of the store: signatures, and the place of a rotation on each Node's stream (LOG-4, KEY-3)."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from reference_server.control import signing_keys
from reference_server.envelope import model
from reference_server.ports import Change, Layer, SignedBody, Unavailable
from reference_server.store import tables
from reference_server.store.engine import SqliteStore
from reference_server.stream.nonce import MemoryNonces
from reference_server.stream.verifier import StoredKeys
from tests.server import bus
from tests.server.stream.fakes import DOMAIN, NODE, OTHER_DOMAIN, OTHER_NODE


@dataclass(kw_only=True)
class Scene:
    """A bus, the stream side's nonces, fed by hand, and the keys."""

    bus: bus.Bus
    nonces: MemoryNonces
    keys: StoredKeys
    signed_here: set[bytes]
    heads: list[int]
    fed: int = 0

    async def feed(self) -> None:
        """Read the log up to its head, as the reader does."""
        high = (await self.bus.log.bounds()).high
        while self.fed < high:
            tail = await self.bus.log.read_tail(self.fed)
            for appended in tail.appended:
                await self.nonces.admit_entries([appended])
            self.fed = tail.read_to

    async def rotate(self) -> None:
        await self.bus.store.change(
            [DOMAIN],
            lambda change: signing_keys.rotate(
                change, DOMAIN, transition_seconds=60, keyring=self.bus.keyring, subject="s"
            ),
        )

    async def publish(self, *nodes: str) -> SignedBody:
        """One event on the log; answers its body."""
        await self.bus.publish(DOMAIN, list(nodes))
        await self.bus.drain()
        high = (await self.bus.log.bounds()).high
        (appended,) = (await self.bus.log.read_tail(high - 1)).appended
        return appended.body

    async def rungs(self, node_id: str, *sequences: int) -> list[int]:
        return [await self.keys.rung_at(node_id, DOMAIN, sequence) for sequence in sequences]


@dataclass
class _AtTimesAway:
    """A store that can be taken away from who asks it through this, while others go on."""

    store: SqliteStore
    away: bool = False

    def version(self, domain_id: str) -> int:
        return self.store.version(domain_id)

    async def read(self, work: Callable[[Connection], Any]) -> Any:
        if self.away:
            raise Unavailable("away for the test")
        return await self.store.read(work)

    async def change(self, domains: Sequence[str], work: Callable[[Change], Any]) -> Any:
        if self.away:
            raise Unavailable("away for the test")
        return await self.store.change(domains, work)


def _domain(change: Change, *, rung: int = 0) -> None:
    row = {"id": DOMAIN, "name": "d", "slug": "d", "mesh_cidr": "10.0.0.0/8", "next_rung": 0}
    row |= dict.fromkeys(("heartbeat_interval", "stale_after", "unreachable_after", "endpoint_ttl"), 1)
    row |= {"created_at": 0, "updated_at": 0}
    change.connection.execute(insert(tables.domains).values(row))


def _node(change: Change, node_id: str, rung: int) -> None:
    row = {"id": node_id, "domain_id": DOMAIN, "mesh_ip": node_id, "registered_rung": rung, "created_at": 0}
    row |= {"reachability": "healthy", "reachability_changed_at": 0}
    change.connection.execute(insert(tables.nodes).values(row))


@asynccontextmanager
async def opened() -> AsyncIterator[Scene]:
    """A Domain with a key and one Node."""
    async with bus.opened() as whole:
        nonces, signed_here, heads = MemoryNonces(Layer.STREAM), set[bytes](), list[int]()
        scene: Scene

        async def wait_head() -> None:
            heads.append(1)
            await scene.feed()

        keys = StoredKeys(store=whole.store, nonces=nonces, signed_here=signed_here, wait_head=wait_head)
        scene = Scene(bus=whole, nonces=nonces, keys=keys, signed_here=signed_here, heads=heads)

        def found(change: Change) -> None:
            _domain(change)
            _node(change, NODE, 0)
            signing_keys.provision(change, DOMAIN, keyring=whole.keyring, subject="s")

        await whole.store.change([DOMAIN], found)
        yield scene


async def test_what_the_relay_signed_passes_and_anything_altered_does_not() -> None:
    async with opened() as scene:
        good = await scene.publish(NODE)
        flipped = good.wire.replace(b'"issued_at":"2', b'"issued_at":"3')
        other = model.build(
            event_id=good.event_id,
            event_type=good.event_type,
            domain_id=OTHER_DOMAIN,
            key_id=good.key_id,
            issued_at=0,
            payload=b"{}",
            signing_key=b"k" * 64,
        )
        cases = {
            None: good,
            "bad_signature": replace(good, wire=flipped),
            "wrong_scope": replace(good, wire=other.wire),
            "unknown_key": replace(good, key_id="k-none"),
            "malformed": replace(good, wire=good.wire + b" "),
        }
        assert await scene.keys.verify(list(cases.values())) == list(cases)
        renamed = [replace(good, event_id="x"), replace(good, event_type="x")]
        assert await scene.keys.verify(renamed) == ["malformed", "malformed"]


async def test_a_large_batch_is_checked_like_a_small_one() -> None:
    async with opened() as scene:
        bodies = [await scene.publish(NODE) for _ in range(12)]
        bodies[7] = replace(bodies[7], wire=bodies[7].wire.replace(b'"issued_at":"2', b'"issued_at":"3'))
        answers = await scene.keys.verify(bodies)
        assert [n for n, answer in enumerate(answers) if answer is not None] == [7]


async def test_what_this_process_signed_counts_as_verified() -> None:
    async with opened() as scene:
        good = await scene.publish(NODE)
        odd = replace(good, wire=b"anything")
        scene.signed_here.add(b"anything")
        assert await scene.keys.verify([odd]) == [None]


async def test_a_key_of_another_domain_is_unknown() -> None:
    """ENV-8."""
    async with opened() as scene:
        good = await scene.publish(NODE)
        assert await scene.keys.rung_of(DOMAIN, good.key_id) == 0
        assert await scene.keys.rung_of(OTHER_DOMAIN, good.key_id) is None


async def test_a_key_that_comes_later_is_found() -> None:
    """LOG-4: looked up afresh while unknown."""
    async with opened() as scene:
        assert await scene.keys.rung_of(DOMAIN, "later") is None
        row = {"key_id": "later", "domain_id": DOMAIN, "rung": 9, "public_key": b"p" * 32, "created_at": 0}
        await scene.bus.store.change(
            [DOMAIN], lambda change: change.connection.execute(insert(tables.signing_keys).values(row))
        )
        assert await scene.keys.rung_of(DOMAIN, "later") == 9


async def test_the_place_of_a_rotation_is_where_the_node_met_it() -> None:
    """KEY-3."""
    async with opened() as scene:
        await scene.publish(NODE)  # 1
        assert await scene.rungs(NODE, 0, 1) == [0, 0]
        await scene.rotate()
        assert await scene.rungs(NODE, 0, 1) == [0, 0]  # not relayed yet: ahead
        await scene.bus.drain()  # 2
        await scene.publish(NODE)  # 3
        assert await scene.rungs(NODE, 0, 1, 2, 3) == [0, 0, 1, 1]
        await scene.rotate()
        await scene.bus.drain()  # 4
        assert await scene.rungs(NODE, 1, 2, 3, 4) == [0, 1, 1, 2]


async def test_a_rotation_that_the_reader_has_yet_to_meet_is_not_taken_for_evicted() -> None:
    async with opened() as scene:
        await scene.rotate()
        await scene.bus.drain()
        assert scene.fed == 0
        assert await scene.rungs(NODE, 0) == [0]
        assert scene.heads


async def test_an_evicted_rotation_is_behind_every_place() -> None:
    async with opened() as scene:
        await scene.rotate()
        await scene.bus.drain()
        await scene.publish(NODE)
        await scene.bus.log.evict(1)
        await scene.feed()
        await scene.nonces.forget_below(2)
        assert await scene.rungs(NODE, 1, 2) == [1, 1]
        assert await scene.rungs(NODE, 1, 2) == [1, 1]
        assert len(scene.heads) == 1  # once is enough


async def test_rotations_before_a_registration_are_behind_that_node() -> None:
    """KEY-6: the Node never got them."""
    async with opened() as scene:
        await scene.rotate()
        await scene.bus.drain()
        await scene.bus.store.change([DOMAIN], lambda change: _node(change, OTHER_NODE, 1))
        await scene.rotate()
        await scene.bus.drain()
        await scene.feed()
        assert await scene.rungs(NODE, 0, 1, 2) == [0, 1, 2]
        assert await scene.rungs(OTHER_NODE, 1, 3) == [1, 2]


async def test_while_the_store_is_away_known_rotations_decide() -> None:
    """OUT-8: a stream can be resumed; a Domain of which nothing is known yet waits for the store."""
    async with opened() as scene:
        store = _AtTimesAway(scene.bus.store)
        keys, stranger = (
            StoredKeys(store=store, nonces=scene.nonces, signed_here=(), wait_head=scene.feed)  # type: ignore[arg-type]
            for _ in range(2)
        )
        await scene.rotate()
        await scene.bus.drain()
        await scene.feed()
        assert [await keys.rung_at(NODE, DOMAIN, each) for each in (0, 1)] == [0, 1]
        store.away = True
        await scene.bus.store.change([DOMAIN], lambda change: _node(change, OTHER_NODE, 1))  # a newer version
        assert [await keys.rung_at(NODE, DOMAIN, each) for each in (0, 1)] == [0, 1]
        with pytest.raises(Unavailable):
            await stranger.rung_at(NODE, DOMAIN, 0)
