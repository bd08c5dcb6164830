"""What every LogAppender promises (LOG-1, LOG-3, PROD-6), over the embedded log and over a real JetStream."""

import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from reference_server.envelope import model, signing
from reference_server.ports import Change, EventStream, Landed, Lease, LogAppender, Outgoing, SignedBody
from tests.real import bus as real
from tests.server import bus as embedded

_KEY = signing.key_pair(signing.new_seed())[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An adapter, the store whose transaction it works in, and the log as streams read it."""

    log: LogAppender
    stream: EventStream
    store: Any
    publish: Callable[..., Any]
    domain_id: str
    new_node: Callable[[], str]

    async def bodies(self, node_ids: Sequence[str], count: int) -> list[SignedBody]:
        """Signed rows of the outbox."""
        payload = json.dumps({"node_id": node_ids[0]}).encode()
        return [
            model.build(
                event_id=event_id,
                event_type="peer_deregistered",
                domain_id=self.domain_id,
                key_id="k",
                issued_at=0,
                payload=payload,
                signing_key=_KEY,
            )
            for event_id in await self.publish(self.domain_id, node_ids, count)
        ]

    async def append(self, outgoing: Sequence[Outgoing], *, sure: bool = True, left: float = 10) -> Landed:
        """In a transaction that commits."""
        lease = Lease(until=time.monotonic() + left, sure=sure)
        landed: Landed = await self.store.change((), lambda change: self.log.append(change, outgoing, lease))
        return landed

    async def held(self, node_id: str) -> list[tuple[int, str]]:
        """(sequence, event id) of everything on the log for a Node."""
        tail = await self.stream.read_node(node_id, 0, (await self.stream.bounds()).high)
        return [(at, piece.body.event_id) for piece in tail.appended for at, _ in piece.entries]


@asynccontextmanager
async def over_sqlite() -> AsyncIterator[Candidate]:
    async with embedded.opened() as on:
        yield Candidate(
            log=on.log,
            stream=on.log,
            store=on.store,
            publish=on.publish,
            domain_id=on.ids.uuid7(),
            new_node=on.ids.uuid7,
        )


@asynccontextmanager
async def over_jetstream(database_url: str, nats_url: str) -> AsyncIterator[Candidate]:
    async with real.opened(database_url, nats_url) as on:
        yield Candidate(
            log=on.log,
            stream=on.log,
            store=on.store,
            publish=on.publish,
            domain_id=on.ids.uuid7(),
            new_node=on.ids.uuid7,
        )


Made = Callable[[], AbstractAsyncContextManager[Candidate]]
every_adapter = pytest.mark.parametrize("made", ["embedded", "jetstream"], indirect=True)


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Made:
    if request.param == "embedded":
        return over_sqlite
    fresh = request.getfixturevalue("fresh_database")
    return partial(over_jetstream, fresh(), request.getfixturevalue("nats_engine").url)


def to(bodies: Sequence[SignedBody], *node_ids: str) -> list[Outgoing]:
    return [Outgoing(body=body, node_ids=node_ids) for body in bodies]


def answered(landed: Landed, node_id: str) -> list[tuple[int, str]]:
    """Where a Node's entries stand, as the appender says."""
    entries = ((at, node, each.body) for each in landed.appended for at, node in each.entries)
    return [(at, body.event_id) for at, node, body in entries if node == node_id]


def reached(landed: Landed) -> set[tuple[str, str]]:
    return {(each.body.event_id, node) for each in landed.appended for _, node in each.entries}


def owed(landed: Landed) -> set[tuple[str, str]]:
    return {(event_id, node) for event_id, nodes in landed.owed.items() for node in nodes}


@every_adapter
async def test_what_is_answered_stands_there_in_order_for_each_node(made: Made) -> None:
    async with made() as on:
        one, other = on.new_node(), on.new_node()
        outgoing = [
            *to(await on.bodies([one, other], 2), one, other),
            *to(await on.bodies([other], 1), other),
            *to(await on.bodies([one], 2), one),
        ]
        landed = await on.append(outgoing)
        assert not landed.owed
        for node in (one, other):
            wanted = [out.body.event_id for out in outgoing if node in out.node_ids]
            assert [event_id for _, event_id in await on.held(node)] == wanted
            assert answered(landed, node) == await on.held(node)
        for piece in landed.appended:
            assert all(lower < higher for (lower, _), (higher, _) in pairwise(piece.entries))


@every_adapter
async def test_a_later_batch_stands_behind_an_earlier_one(made: Made) -> None:
    async with made() as on:
        node = on.new_node()
        bodies = await on.bodies([node], 4)
        await on.append(to(bodies[:2], node))
        await on.append(to(bodies[2:], node))
        assert [event_id for _, event_id in await on.held(node)] == [body.event_id for body in bodies]


@every_adapter
@pytest.mark.parametrize("sure", [True, False])
async def test_what_the_log_holds_is_not_appended_again(made: Made, sure: bool) -> None:
    async with made() as on:
        nodes = [on.new_node() for _ in range(3)]
        bodies = await on.bodies(nodes, 3)
        await on.append(to(bodies, *nodes))
        before = {node: await on.held(node) for node in nodes}
        landed = await on.append(to(bodies, *nodes), sure=sure)
        assert not landed.owed
        for node in nodes:
            assert await on.held(node) == before[node]
            assert set(answered(landed, node)) <= set(before[node])  # nor is another place told


@every_adapter
@pytest.mark.parametrize("sure", [True, False])
async def test_a_broadcast_that_reached_some_reaches_the_others_once(made: Made, sure: bool) -> None:
    async with made() as on:
        nodes = [on.new_node() for _ in range(4)]
        bodies = await on.bodies(nodes, 2)
        await on.append([*to(bodies[:1], *nodes[:3]), *to(bodies[1:], nodes[0])])
        landed = await on.append(to(bodies, *nodes), sure=sure)
        assert not landed.owed
        for node in nodes:
            assert [event_id for _, event_id in await on.held(node)] == [body.event_id for body in bodies]


@every_adapter
async def test_an_append_whose_transaction_failed_is_made_again_once(made: Made) -> None:
    async with made() as on:
        nodes = [on.new_node() for _ in range(3)]
        bodies = await on.bodies(nodes, 2)

        def fails(change: Change) -> None:
            on.log.append(change, to(bodies, *nodes), Lease(until=time.monotonic() + 10, sure=True))
            raise KeyError("behind the append")

        with pytest.raises(KeyError):
            await on.store.change((), fails)
        assert not (await on.append(to(bodies, *nodes), sure=False)).owed
        for node in nodes:
            assert [event_id for _, event_id in await on.held(node)] == [body.event_id for body in bodies]


@every_adapter
async def test_a_lease_that_is_over_leaves_everything_appended_or_owed(made: Made) -> None:
    async with made() as on:
        nodes = [on.new_node() for _ in range(2)]
        bodies = await on.bodies(nodes, 2)
        landed = await on.append(to(bodies, *nodes), left=-1)
        wanted = {(body.event_id, node) for body in bodies for node in nodes}
        assert reached(landed) | owed(landed) == wanted and not reached(landed) & owed(landed)
        for node in nodes:
            assert answered(landed, node) == await on.held(node)


@every_adapter
async def test_nothing_to_append_is_nothing_landed(made: Made) -> None:
    async with made() as on:
        for sure in (True, False):
            landed = await on.append([], sure=sure)
            assert (list(landed.appended), dict(landed.owed)) == ([], {})
