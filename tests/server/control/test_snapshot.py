"""The pull: its members, its determinism, what it costs, and what is left of it in an outage."""

import json
from typing import Any

import pytest
from sqlalchemy import update

from reference_server.control import snapshot, snapshot_parts
from reference_server.control.snapshot_parts import Peers, PeersCache
from reference_server.ports import Unavailable
from reference_server.store import tables
from tests.server import surface
from tests.server.surface import Surface

MEMBERS = [
    "peers",
    "executions",
    "sessions",
    "reachability",
    "policy",
    "bridge",
    "state",
    "reports",
    "sources",
]


async def pulled(stage: Surface, node_id: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(await stage.pull(node_id))
    return document


async def test_an_empty_pull_has_every_member_in_order() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        document = await pulled(stage, node.id)
        assert list(document) == MEMBERS
        assert document["reachability"].pop("changed_at")
        buckets: dict[str, list[object]] = {"metadata": [], "data": [], "reports": []}
        assert document == {
            "peers": [],
            "executions": [],
            "sessions": [],
            "reachability": {"state": "never_reported"},
            "policy": {
                "revision_id": "00000000-0000-0000-0000-000000000000",
                "fingerprint": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                "rules": [],
            },
            "bridge": {},
            "state": buckets,
            "reports": buckets,
            "sources": {"policy": [], "bridge": []},
        }


async def test_peers_are_the_others_in_order_and_equal_to_their_events() -> None:
    async with surface.opened() as stage:
        nodes = [await stage.node(str(number)) for number in range(4)]
        told = {row.payload["node_id"]: row.raw for row in await stage.rows("NodeRegistered")}
        for node in nodes:
            body = await stage.pull(node.id)
            others = sorted(other.id for other in nodes if other is not node)
            entries = b",".join(told[other] for other in others)
            assert body.startswith(b'{"peers":[' + entries + b'],"executions":[]')
        await stage.server.call("nodes.delete_node", id=nodes[1].id)
        left = [peer["node_id"] for peer in (await pulled(stage, nodes[0].id))["peers"]]
        assert left == [nodes[2].id, nodes[3].id]


async def test_two_pulls_are_byte_equal_and_the_second_reads_nothing() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        first = await stage.pull(node.id)
        reads = stage.server.store.reads
        assert await stage.pull(node.id) == first
        assert stage.server.store.reads == reads


async def test_a_heartbeat_shows_though_it_moves_no_version() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await node.beat()
        await stage.pull(node.id)
        beat = (await node.beat()).json()
        assert (await pulled(stage, node.id))["reachability"]["last_heartbeat_at"] == beat["accepted_at"]


async def test_a_heartbeat_during_the_read_is_not_lost() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await node.beat()
        real = stage.server.store.read
        beats: list[str] = []

        async def heard_meanwhile(work: Any) -> Any:
            result = await real(work)
            stage.server.store.read = real  # type: ignore[method-assign]
            beats.append((await node.beat()).json()["accepted_at"])
            return result

        await stage.server.nodes.find(node.id)
        stage.server.store.read = heard_meanwhile  # type: ignore[method-assign]
        older = json.loads(await stage.pull(node.id))
        assert older["reachability"]["last_heartbeat_at"] != beats[0]
        assert (await pulled(stage, node.id))["reachability"]["last_heartbeat_at"] == beats[0]


async def test_a_thousand_pulls_after_a_change_write_the_peers_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with surface.opened() as stage:
        nodes = [await stage.node(str(number)) for number in range(20)]
        written = 0
        real = Peers.read

        def counted(connection: Any, domain_id: str) -> Peers:
            nonlocal written
            written += 1
            return real(connection, domain_id)

        monkeypatch.setattr(snapshot_parts.Peers, "read", counted)
        for node in nodes:
            assert len((await pulled(stage, node.id))["peers"]) == 19
        assert written == 1
        await stage.node("late")
        for node in nodes:
            assert len((await pulled(stage, node.id))["peers"]) == 20
        assert written == 2


async def test_an_outage_serves_a_young_copy_with_its_age_and_no_old_one() -> None:
    async with surface.opened() as stage:
        node, never_pulled = await stage.node("one"), await stage.node("two")
        fresh = await stage.pull(node.id)
        await stage.server.nodes.find(never_pulled.id)
        stage.server.store.away = True
        stage.server.clock.advance(61)
        served = await stage.snapshots.snapshot(node.id)
        assert served is not None
        assert (served.body, served.age_seconds) == (fresh, 61)
        with pytest.raises(Unavailable):
            await stage.snapshots.snapshot(never_pulled.id)
        stage.server.clock.advance(240)
        with pytest.raises(Unavailable):
            await stage.snapshots.snapshot(node.id)
        stage.server.store.away = False
        again = await stage.snapshots.snapshot(node.id)
        assert again is not None
        assert (again.body, again.age_seconds) == (fresh, None)


async def test_an_outage_after_a_heartbeat_still_has_the_copy() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await stage.pull(node.id)
        stage.snapshots.heard(node.id)
        stage.server.store.away = True
        served = await stage.snapshots.snapshot(node.id)
        assert served is not None
        assert served.age_seconds == 0


async def test_there_is_no_pull_of_a_stranger_or_of_a_node_that_left() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await stage.pull(node.id)
        await stage.server.call("nodes.delete_node", id=node.id)
        assert await stage.snapshots.snapshot(node.id) is None
        assert await stage.snapshots.snapshot("0198c0de-0000-7000-8000-0000000000ff") is None


async def test_a_pull_takes_the_mark_back_and_a_later_mark_stands() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        mark = update(tables.nodes).values(reconcile=True)
        await stage.server.store.change([], lambda change: change.connection.execute(mark))
        body = await stage.pull(node.id)
        assert (await node.beat()).json()["reconcile"] is False
        assert json.loads(body)["peers"] == []
        await stage.server.store.change([], lambda change: change.connection.execute(mark))
        assert (await node.beat()).json()["reconcile"] is True


async def test_copies_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_TAIL_BYTES", 1500)
    async with surface.opened() as stage:
        nodes = [await stage.node(str(number)) for number in range(6)]
        for node in nodes:
            await stage.pull(node.id)
        stage.server.store.away = True
        stage.server.clock.advance(61)
        assert await stage.snapshots.snapshot(nodes[-1].id) is not None
        with pytest.raises(Unavailable):
            await stage.snapshots.snapshot(nodes[0].id)


async def test_the_cache_of_peers_is_bounded_but_keeps_the_newest() -> None:
    async with surface.opened() as stage:
        await stage.node("one")
        cache = PeersCache(max_bytes=1)

        def work(connection: Any) -> None:
            for version in range(3):
                cache.read(connection, stage.domain_id, version)

        await stage.server.store.read(work)
        assert cache.find(stage.domain_id, 1) is None
        assert cache.find(stage.domain_id, 2) is not None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_node_is_cut_out_wherever_it_stands(number: int) -> None:
    joined, spans = b'{"a"},{"b"},{"c"}', {"1": (0, 5), "2": (6, 11), "3": (12, 17)}
    rest = [entry for at, entry in enumerate([b'{"a"}', b'{"b"}', b'{"c"}'], start=1) if at != number]
    peers = Peers(joined=joined, spans=spans)
    assert peers.without(str(number)) == b",".join(rest)
    assert peers.without("absent") == joined
