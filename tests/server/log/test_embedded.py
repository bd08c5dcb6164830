"""The embedded log as its readers see it (CUR-4, CUR-5, LOG-2, PROD-6)."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
import trio.testing
from sqlalchemy import update

from reference_server.log import subjects
from reference_server.log.retention import Limits
from reference_server.ports import Appended, Bounds, Change, Outgoing, SignedBody
from reference_server.store import tables
from tests.server.bus import LEASE, MEBI, NO_LIMITS, Bus, flat, opened

_DAY = 86_400 * 1_000_000


def _body(event_id: str, size: int = 100) -> SignedBody:
    return SignedBody(
        event_id=event_id, event_type="t", domain_id="d", key_id="k", wire=event_id.encode().ljust(size)
    )


async def _append(bus: Bus, *outgoing: Outgoing) -> Sequence[Appended]:
    def work(change: Change) -> Sequence[Appended]:
        return bus.log.append(change, outgoing, LEASE).appended

    return await bus.store.change((), work)


async def _fill(bus: Bus, nodes: Sequence[str], events: int, size: int = 100) -> list[str]:
    ids = [bus.ids.uuid7() for _ in range(events)]
    await _append(bus, *(Outgoing(body=_body(event, size), node_ids=nodes) for event in ids))
    return ids


def test_names() -> None:
    assert subjects.STREAM == "PLEXSPHERE_NODE_EVENTS"
    assert subjects.of_node("d", "n") == "plexsphere.node.events.d.n"
    assert subjects.message_id("e", "n") == "e.n"


async def test_a_log_that_never_held_anything() -> None:
    async with opened() as bus:
        assert await bus.log.bounds() == Bounds(low=1, high=0)


@pytest.mark.parametrize("cache_bytes", [MEBI, 0], ids=["from memory", "from the tables"])
async def test_the_tail_brings_everything_in_order(cache_bytes: int) -> None:
    async with opened(cache_bytes=cache_bytes) as bus:
        nodes = [bus.ids.uuid7() for _ in range(3)]
        events = await _fill(bus, nodes, 4)
        assert await bus.log.bounds() == Bounds(low=1, high=12)
        for after in range(12):
            tail = await bus.log.read_tail(after)
            found = flat(tail.appended)
            assert [at for at, _, _ in found] == list(range(after + 1, 13))
            assert tail.read_to == 12
            for at, node, body in found:
                assert node == nodes[(at - 1) % 3]
                assert body.event_id == events[(at - 1) // 3]
                assert body.wire == _body(body.event_id).wire


async def test_the_tail_wakes_every_waiter() -> None:
    async with opened() as bus:
        heard: list[int] = []

        async def wait() -> None:
            heard.append((await bus.log.read_tail(0)).read_to)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert not heard
            await _fill(bus, [bus.ids.uuid7()], 1)
        assert heard == [1] * 5


async def test_one_answer_of_the_tail_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reference_server.log.embedded._TAIL_ENTRIES", 5)
    for cache_bytes in (MEBI, 0):
        async with opened(cache_bytes=cache_bytes) as bus:
            await _fill(bus, [bus.ids.uuid7() for _ in range(3)], 4)
            seen: list[int] = []
            while len(seen) < 12:
                tail = await bus.log.read_tail(seen[-1] if seen else 0)
                sequences = [at for at, _, _ in flat(tail.appended)]
                assert 1 <= len(sequences) <= 5
                assert tail.read_to == sequences[-1]
                seen += sequences
            assert seen == list(range(1, 13))


async def test_a_node_reads_its_own_entries_alone() -> None:
    async with opened() as bus:
        nodes = [bus.ids.uuid7() for _ in range(3)]
        await _fill(bus, nodes, 4)
        tail = await bus.log.read_node(nodes[1], 2, 11)
        assert [(at, node) for at, node, _ in flat(tail.appended)] == [
            (5, nodes[1]),
            (8, nodes[1]),
            (11, nodes[1]),
        ]
        assert tail.read_to == 11
        assert (await bus.log.read_node(nodes[1], 11, 12)).read_to == 12
        assert (await bus.log.read_node(nodes[1], 12, 12)).appended == ()
        assert (await bus.log.read_node(bus.ids.uuid7(), 0, 12)).appended == []


async def test_a_replay_comes_in_pieces_of_bounded_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reference_server.log.embedded._NODE_BYTES", 250)
    async with opened() as bus:
        node = bus.ids.uuid7()
        await _fill(bus, [node], 7)
        seen: list[int] = []
        read_to, pieces = 0, 0
        while read_to < 7:
            tail = await bus.log.read_node(node, read_to, 7)
            seen += [at for at, _, _ in flat(tail.appended)]
            read_to, pieces = tail.read_to, pieces + 1
        assert seen == list(range(1, 8))
        assert pieces == 4


async def test_an_entry_over_the_bound_still_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reference_server.log.embedded._NODE_BYTES", 10)
    async with opened() as bus:
        node = bus.ids.uuid7()
        await _fill(bus, [node], 2)
        tail = await bus.log.read_node(node, 0, 2)
        assert ([at for at, _, _ in flat(tail.appended)], tail.read_to) == ([1], 1)


async def test_what_the_log_holds_is_not_appended_again() -> None:
    async with opened() as bus:
        first, second = bus.ids.uuid7(), bus.ids.uuid7()
        event = bus.ids.uuid7()
        await _append(bus, Outgoing(body=_body(event), node_ids=[first]))
        again = await _append(bus, Outgoing(body=_body(event), node_ids=[first, second]))
        assert [(at, node) for at, node, _ in flat(again)] == [(2, second)]
        assert await _append(bus, Outgoing(body=_body(event), node_ids=[first, second])) == ()
        assert (await bus.log.bounds()).high == 2


async def test_eviction_moves_low_and_never_high() -> None:
    async with opened() as bus:
        nodes = [bus.ids.uuid7() for _ in range(3)]
        await _fill(bus, nodes, 4)
        assert await bus.log.evict(4) == Bounds(low=5, high=12)
        tail = await bus.log.read_tail(0)
        assert [at for at, _, _ in flat(tail.appended)] == list(range(5, 13))
        assert await bus.log.evict() == Bounds(low=13, high=12)
        await _fill(bus, nodes, 1)
        assert await bus.log.bounds() == Bounds(low=13, high=15)
        assert [at for at, _, _ in flat((await bus.log.read_tail(3)).appended)] == [13, 14, 15]


async def test_an_eviction_is_known_to_whoever_has_read_without_the_entries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened() as bus:
        node = bus.ids.uuid7()
        await _fill(bus, [node], 3)
        monkeypatch.setattr(bus.log, "_let_go", lambda low, size: None)  # the commit has not been told yet
        await bus.log.evict()
        assert (await bus.log.bounds()).low == 1
        assert (await bus.log.read_node(node, 1, 3)).appended == []
        assert await bus.log.bounds() == Bounds(low=4, high=3)


async def test_a_reader_behind_an_emptied_log_is_told_how_far_it_is() -> None:
    async with opened() as bus:
        await _fill(bus, [bus.ids.uuid7()], 3)
        await bus.log.evict()
        tail = await bus.log.read_tail(0)
        assert (list(tail.appended), tail.read_to) == ([], 3)


async def test_evicted_bodies_go_when_their_last_entry_goes() -> None:
    async with opened() as bus:
        nodes = [bus.ids.uuid7() for _ in range(3)]
        await _fill(bus, nodes, 2)

        async def bodies() -> int:
            return await bus.store.read(
                lambda connection: len(connection.execute(tables.log_bodies.select()).all())
            )

        await bus.log.evict(2)
        assert await bodies() == 2
        await bus.log.evict(3)
        assert await bodies() == 1
        await bus.log.evict(6)
        assert await bodies() == 0


async def test_age_and_bytes_are_kept_within_their_limits() -> None:
    async with opened(limits=Limits(max_age=_DAY, max_bytes=None)) as bus:
        node = bus.ids.uuid7()
        await _fill(bus, [node], 5)
        bus.clock.advance(86_000)
        await _fill(bus, [node], 2)
        await bus.log.sweep()
        assert await bus.log.bounds() == Bounds(low=1, high=7)
        bus.clock.advance(1_000)
        await bus.log.sweep()
        assert await bus.log.bounds() == Bounds(low=6, high=7)
    async with opened(limits=Limits(max_age=None, max_bytes=1000)) as bus:
        nodes = [bus.ids.uuid7() for _ in range(3)]
        await _fill(bus, nodes, 5)  # fifteen entries of 100 bytes, as JetStream would count them
        await bus.log.sweep()
        assert await bus.log.bounds() == Bounds(low=6, high=15)


async def test_going_over_the_bytes_wakes_retention(nursery: trio.Nursery) -> None:
    async with opened(limits=Limits(max_age=None, max_bytes=1000)) as bus:
        with trio.CancelScope() as running:

            async def until_within() -> None:
                while (await bus.log.bounds()).low != 91:
                    await trio.testing.wait_all_tasks_blocked()
                running.cancel()

            async with trio.open_nursery() as inner:
                inner.start_soon(bus.log.run, 3600.0)
                await _fill(bus, [bus.ids.uuid7()], 100)
                inner.start_soon(until_within)
        assert await bus.log.bounds() == Bounds(low=91, high=100)


async def test_sequences_outlive_a_restart_and_an_empty_log(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    async with opened(path) as bus:
        node = bus.ids.uuid7()
        events = await _fill(bus, [node], 3)
    async with opened(path) as bus:
        assert await bus.log.bounds() == Bounds(low=1, high=3)
        tail = await bus.log.read_tail(1)
        assert [body.event_id for _, _, body in flat(tail.appended)] == events[1:]
        await bus.log.evict()
    async with opened(path) as bus:
        assert await bus.log.bounds() == Bounds(low=4, high=3)
        await _fill(bus, [node], 1)
        assert await bus.log.bounds() == Bounds(low=4, high=4)


async def test_a_rolled_back_append_is_never_seen() -> None:
    async with opened() as bus:
        node = bus.ids.uuid7()

        def fails(change: Change) -> None:
            bus.log.append(change, [Outgoing(body=_body("lost"), node_ids=[node])], LEASE)
            raise KeyError("relay")

        with pytest.raises(KeyError):
            await bus.store.change((), fails)
        assert await bus.log.bounds() == Bounds(low=1, high=0)
        await _fill(bus, [node], 1)
        assert [at for at, _, _ in flat((await bus.log.read_tail(0)).appended)] == [1]


async def test_the_cache_is_bounded() -> None:
    async with opened(cache_bytes=2_000) as bus:
        node = bus.ids.uuid7()
        for _ in range(20):
            await _fill(bus, [node], 5)
        assert bus.log._tail._bytes <= 2_000
        assert bus.log._tail.complete_after >= 90
        seen = [at for at, _, _ in flat((await bus.log.read_tail(0)).appended)]
        assert seen == list(range(1, 101))
        assert bus.log._bodies._bytes <= 2_000


async def test_what_has_been_tampered_with_is_read_as_it_stands() -> None:
    async with opened(cache_bytes=0) as bus:
        await _fill(bus, [bus.ids.uuid7()], 1)
        changed = update(tables.log_bodies).values(wire=b"tampered")
        await bus.store.change((), lambda change: change.connection.execute(changed) and None)
        tail = await bus.log.read_tail(0)
        assert tail.appended[0].body.wire == b"tampered"


async def test_limits_of_none_keep_everything() -> None:
    async with opened(limits=NO_LIMITS) as bus:
        await _fill(bus, [bus.ids.uuid7()], 10)
        bus.clock.advance(10**9)
        await bus.log.sweep()
        assert await bus.log.bounds() == Bounds(low=1, high=10)
