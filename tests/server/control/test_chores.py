"""What time alone brings about, on a clock that is moved by hand."""

import json
from functools import partial
from typing import Any

import pytest
import trio

from reference_server.control import chores, endpoints, reachability
from reference_server.ports import Change, Unavailable
from tests.server import surface
from tests.server.surface import Surface

DECAY = chores.Chore(name="d", due=reachability.due, work=reachability.decay, at_once=200)
SWEEP = chores.Chore(name="s", due=endpoints.due, work=endpoints.sweep, at_once=100)


async def step(stage: Surface, chore: chores.Chore) -> int | None:
    return await chores.step(chore, store=stage.server.store, clock=stage.server.clock)


async def states(stage: Surface) -> list[str]:
    rows = await stage.rows("tenancy.NodeReachabilityChanged")
    return [row.payload["reachability"]["state"] for row in rows]


async def test_silence_moves_a_node_on_and_each_move_leaves_one_row_of_each_kind() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        assert await step(stage, DECAY) is None  # never_reported does not decay
        await node.beat()
        assert await step(stage, DECAY) is not None
        assert await states(stage) == ["healthy"]
        stage.server.clock.advance(91)
        await step(stage, DECAY)
        await step(stage, DECAY)
        assert await states(stage) == ["healthy", "stale"]
        stage.server.clock.advance(210)
        assert await step(stage, DECAY) is None
        assert await states(stage) == ["healthy", "stale", "unreachable"]
        rows = await stage.rows("tenancy.NodeReachabilityChanged")
        moves = await stage.audited("node_reachability.transition")
        assert [move["transaction_id"] for move in moves] == [row.transaction_id for row in rows]
        assert [move["relation_path"] for move in moves[1:]] == [
            ["healthy", "stale", "stale_after_elapsed"],
            ["stale", "unreachable", "unreachable_after_elapsed"],
        ]
        await node.beat()
        assert await states(stage) == ["healthy", "stale", "unreachable", "healthy"]


async def test_the_event_holds_the_blocks_of_the_pull() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await node.beat()
        stage.server.clock.advance(91)
        await step(stage, DECAY)
        pulled = await stage.pull(node.id)
        (*_, row) = await stage.rows("tenancy.NodeReachabilityChanged")
        for block in ("reachability", "state"):
            written = json.dumps(row.payload[block], separators=(",", ":")).encode()
            assert b'"%b":%b' % (block.encode(), written) in pulled
            assert b'"%b":%b' % (block.encode(), written) in row.raw


async def test_long_silence_passes_through_stale() -> None:
    async with surface.opened() as stage:
        nodes = [await stage.node(str(number)) for number in range(5)]
        for node in nodes:
            await node.beat()
        stage.server.clock.advance(10_000)
        await step(stage, DECAY)
        seen = await states(stage)
        assert (seen.count("stale"), seen.count("unreachable")) == (5, 5)
        moves = await stage.audited("node_reachability.transition")
        assert len({move["transaction_id"] for move in moves[5:]}) == 1


async def test_more_than_one_transaction_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachability, "NODES_AT_ONCE", 2)
    small = chores.Chore(name="d", due=reachability.due, work=reachability.decay, at_once=2)
    async with surface.opened() as stage:
        for number in range(5):
            await (await stage.node(str(number))).beat()
        stage.server.clock.advance(10_000)
        await step(stage, small)
        assert (await states(stage)).count("unreachable") == 5


async def test_thresholds_are_the_domains_own() -> None:
    policy = {"heartbeat_interval": "10s", "stale_after": "30s", "unreachable_after": "60s"}
    async with surface.opened(reachability=policy) as stage:
        await (await stage.node("one")).beat()
        stage.server.clock.advance(31)
        await step(stage, DECAY)
        assert await states(stage) == ["healthy", "stale"]


async def test_a_node_that_left_does_not_decay() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await node.beat()
        await stage.server.call("nodes.delete_node", id=node.id)
        stage.server.clock.advance(1000)
        assert await step(stage, DECAY) is None
        assert await states(stage) == ["healthy"]


async def test_a_stale_endpoint_is_told_once() -> None:
    async with surface.opened() as stage:
        node, other = await stage.node("one"), await stage.node("two")
        await node.report_endpoint()
        assert await step(stage, SWEEP) is not None
        stage.server.clock.advance(301)
        assert await step(stage, SWEEP) is None
        assert await step(stage, SWEEP) is None
        rows = await stage.rows("PeerEndpointChanged")
        assert [row.payload["endpoint"] for row in rows] == ["203.0.113.7:51820", None]
        assert rows[1].recipients == [other.id]
        assert rows[1].payload["stale_after"] == rows[0].payload["stale_after"]
        (entry,) = await stage.audited("node_endpoint.stale")
        assert entry["transaction_id"] == rows[1].transaction_id
        await node.report_endpoint()
        assert len(await stage.rows("PeerEndpointChanged")) == 3


class _Watched:
    """The stage's store, with an event at the first look that it answers and at the first change."""

    def __init__(self, stage: Surface) -> None:
        self._inner = stage.server.store
        self.refused, self.looked, self.changed = trio.Event(), trio.Event(), trio.Event()

    async def change(self, domains: Any, work: Any, **more: Any) -> Any:
        result = await self._inner.change(domains, work, **more)
        self.changed.set()
        return result

    async def read(self, work: Any) -> Any:
        if not self.refused.is_set():
            self.refused.set()
            raise Unavailable("away for the test")
        result = await self._inner.read(work)
        self.looked.set()
        return result

    shared = False

    def counted(self, _connection: Any, domain_id: str) -> int:
        return self.version(domain_id)

    def version(self, domain_id: str) -> int:
        return self._inner.version(domain_id)


@pytest.mark.parametrize(
    ("runs", "seconds", "source"),
    [
        (chores.run_evaluator, 91, "tenancy.NodeReachabilityChanged"),
        (chores.run_endpoint_sweeper, 301, "PeerEndpointChanged"),
    ],
)
async def test_a_clock_that_is_moved_is_noticed_and_an_outage_survived(
    runs: Any, seconds: int, source: str
) -> None:
    async with surface.opened() as stage, trio.open_nursery() as nursery:
        node = await stage.node("one")
        store = _Watched(stage)
        nursery.start_soon(partial(runs, store=store, clock=stage.server.clock, every=60))
        with trio.fail_after(10):
            await store.looked.wait()
            await node.beat()
            await node.report_endpoint()
            before = len(await stage.rows(source))
            stage.server.clock.advance(seconds)
            await store.changed.wait()
        assert len(await stage.rows(source)) == before + 1
        nursery.cancel_scope.cancel()


async def test_work_that_finds_nothing_after_all_ends_the_step() -> None:
    async with surface.opened() as stage:
        looks = 0

        def due(_connection: object, _now: int) -> tuple[list[str], int | None]:
            nonlocal looks
            looks += 1
            return [stage.domain_id], 7

        def work(_change: Change, _domain_id: str) -> int:
            return 0

        idle = chores.Chore(name="idle", due=due, work=work, at_once=1)
        assert await step(stage, idle) == 7
        assert looks == 1
