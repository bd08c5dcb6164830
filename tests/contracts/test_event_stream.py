"""What every EventStream promises (CUR-4, CUR-5, LOG-7), over the embedded log and the tests' fake."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import pytest
import trio
from nats.js.errors import NotFoundError
from trio.testing import wait_all_tasks_blocked

from reference_server import metrics
from reference_server.log import ensure, nats_link, subjects
from reference_server.log.jetstream import JetStreamLog
from reference_server.log.nats_link import NatsPlace
from reference_server.ports import Bounds, EventStream, Lease, Outgoing, SignedBody, Tail
from tests.server import bus
from tests.server.bus import LEASE
from tests.server.stream.fakes import NODE, OTHER_NODE, ListLog, body

# What a stalled machine may make of a few milliseconds.
COMES_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An adapter, and how to fill and empty the log behind it."""

    stream: EventStream
    put: Callable[[SignedBody, Sequence[str]], Awaitable[object]]
    evict: Callable[[int], Awaitable[object]]


@asynccontextmanager
async def listed() -> AsyncIterator[Candidate]:
    log = ListLog()

    async def put(item: SignedBody, nodes: Sequence[str]) -> None:
        log.put(item, *nodes)

    async def evict(through: int) -> None:
        log.evict(through)

    yield Candidate(stream=log, put=put, evict=evict)


@asynccontextmanager
async def embedded() -> AsyncIterator[Candidate]:
    async with bus.opened() as opened:

        async def put(item: SignedBody, nodes: Sequence[str]) -> None:
            outgoing = [Outgoing(body=item, node_ids=nodes)]
            await opened.store.change((), lambda change: opened.log.append(change, outgoing, LEASE))

        yield Candidate(stream=opened.log, put=put, evict=opened.log.evict)


@asynccontextmanager
async def jetstream(url: str) -> AsyncIterator[Candidate]:
    async with nats_link.linked(NatsPlace(url=url)) as link:
        with suppress(NotFoundError):
            await link.call(lambda: link.stream.delete_stream(subjects.STREAM))
        await ensure.ensure_node_events_stream(link, ensure.Wanted(), recorded=0)
        log = JetStreamLog(link, metrics.create())

        async def put(item: SignedBody, nodes: Sequence[str]) -> None:
            for node in nodes:  # one after the other: side by side they would stand in any order
                outgoing = [Outgoing(body=item, node_ids=[node])]
                lease = Lease(until=time.monotonic() + 10, sure=True)
                landed = await trio.to_thread.run_sync(log.append, None, outgoing, lease)
                assert not landed.owed

        yield Candidate(stream=log, put=put, evict=log.evict)


Made = Callable[[], AbstractAsyncContextManager[Candidate]]
every_adapter = pytest.mark.parametrize("made", ["listed", "embedded", "jetstream"], indirect=True)


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Made:
    if request.param == "jetstream":
        return partial(jetstream, request.getfixturevalue("nats_engine").url)
    ours: dict[str, Made] = {"listed": listed, "embedded": embedded}
    return ours[request.param]


def entries(tail: Tail) -> list[tuple[int, str, str]]:
    return [(at, node, piece.body.event_id) for piece in tail.appended for at, node in piece.entries]


@every_adapter
async def test_a_log_that_held_nothing_is_empty_from_one(made: Made) -> None:
    async with made() as log:
        assert await log.stream.bounds() == Bounds(low=1, high=0)


@every_adapter
async def test_bounds_follow_appends_and_evictions(made: Made) -> None:
    async with made() as log:
        for number in range(1, 6):
            await log.put(body(number), [NODE])
        assert await log.stream.bounds() == Bounds(low=1, high=5)
        await log.evict(3)
        assert await log.stream.bounds() == Bounds(low=4, high=5)
        await log.evict(5)
        assert await log.stream.bounds() == Bounds(low=6, high=5)
        await log.put(body(6), [NODE])
        assert await log.stream.bounds() == Bounds(low=6, high=6)


@every_adapter
async def test_the_tail_brings_all_nodes_in_order(made: Made) -> None:
    async with made() as log:
        for number in (1, 2, 3):
            await log.put(body(number), [NODE, OTHER_NODE])
        tail = await log.stream.read_tail(1)
        assert entries(tail) == [
            (at, (NODE, OTHER_NODE)[(at - 1) % 2], body((at + 1) // 2).event_id) for at in range(2, 7)
        ]
        assert tail.read_to == 6
        assert tail.appended[-1].body.wire == body(3).wire


@every_adapter
async def test_the_tail_waits_for_the_first_entry(made: Made) -> None:
    async with made() as log, trio.open_nursery() as nursery:
        got: list[Tail] = []
        came = trio.Event()

        async def read() -> None:
            got.append(await log.stream.read_tail(0))
            came.set()

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert not got
        await log.put(body(1), [NODE])
        with trio.fail_after(COMES_SECONDS):
            await came.wait()
        assert [entries(tail) for tail in got] == [[(1, NODE, body(1).event_id)]]


@every_adapter
async def test_a_tail_reader_behind_an_eviction_gets_what_is_left(made: Made) -> None:
    async with made() as log:
        for number in (1, 2, 3):
            await log.put(body(number), [NODE])
        await log.evict(2)
        assert entries(await log.stream.read_tail(0)) == [(3, NODE, body(3).event_id)]


@every_adapter
async def test_a_node_gets_its_own_entries_between_two_places(made: Made) -> None:
    async with made() as log:
        for number in range(1, 6):
            await log.put(body(number), [NODE, OTHER_NODE])
        tail = await log.stream.read_node(NODE, 1, 7)
        assert [(at, node) for at, node, _ in entries(tail)] == [(3, NODE), (5, NODE), (7, NODE)]
        assert tail.read_to == 7
        nothing = await log.stream.read_node(NODE, 9, 10)
        assert (entries(nothing), nothing.read_to) == ([], 10)


@every_adapter
async def test_pieces_of_a_long_replay_join_without_gap_or_repeat(made: Made) -> None:
    async with made() as log:
        for number in range(1, 301):
            await log.put(body(number, size=4000), [NODE])
        place, got = 0, []
        while place < 300:
            tail = await log.stream.read_node(NODE, place, 300)
            got += [at for at, _, _ in entries(tail)]
            assert tail.read_to > place
            place = tail.read_to
        assert got == list(range(1, 301))
