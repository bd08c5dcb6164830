"""The door of endpoint reports: who hears of one, when, and every refusal."""

import pytest
from sqlalchemy import delete, update

from reference_server.envelope import instant
from reference_server.store import tables
from tests.server import surface
from tests.server.surface import ABSENT

MINUTE = 60 * 1_000_000


async def test_a_new_endpoint_is_told_to_all_others_in_one_transaction_with_its_audit_row() -> None:
    async with surface.opened() as stage:
        node, *others = [await stage.node(seed) for seed in ("one", "two", "three")]
        accepted = (await node.report_endpoint()).json()
        ttl = instant.parse(accepted["stale_after"]) - instant.parse(accepted["accepted_at"])
        assert ttl.total_seconds() == 300
        (row,) = await stage.rows("PeerEndpointChanged")
        assert sorted(row.recipients) == sorted(other.id for other in others)
        assert {name: row.payload[name] for name in ("node_id", "endpoint", "nat_type", "stale_after")} == {
            "node_id": node.id,
            "endpoint": "203.0.113.7:51820",
            "nat_type": "full_cone",
            "stale_after": accepted["stale_after"],
        }
        (entry,) = await stage.audited("node_endpoint.report")
        assert entry["transaction_id"] == row.transaction_id


async def test_the_same_endpoint_only_refreshes_and_takes_no_lock() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        first = (await node.report_endpoint("[2001:DB8::1]:51820")).json()
        version = stage.server.store.version(stage.domain_id)
        again = (await node.report_endpoint("[2001:db8:0::1]:51820", nat_type="symmetric")).json()
        assert again["stale_after"] > first["stale_after"]
        assert len(await stage.rows("PeerEndpointChanged")) == 1
        assert stage.server.store.version(stage.domain_id) == version


async def test_another_port_or_coming_back_from_stale_is_told() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await node.report_endpoint()
        await node.report_endpoint("203.0.113.7:51821")
        stage.server.clock.advance(301)
        await node.report_endpoint("203.0.113.7:51821")
        told = [row.payload["endpoint"] for row in await stage.rows("PeerEndpointChanged")]
        assert told == ["203.0.113.7:51820", "203.0.113.7:51821", "203.0.113.7:51821"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"endpoint": ABSENT}, "malformed_endpoint_request"),
        ({"nat_type": ABSENT}, "malformed_endpoint_request"),
        ({"nat_type": "cone"}, "malformed_endpoint_request"),
        ({"reported_at": ABSENT}, "malformed_endpoint_request"),
        ({"reported_at": "now"}, "malformed_endpoint_request"),
        ({"extra": 1}, "malformed_endpoint_request"),
        ({"endpoint": "x", "reported_at": "2020-01-01T00:00:00Z"}, "endpoint_clock_skew"),
        ({"endpoint": "host.example:1"}, "endpoint_unparseable"),
        ({"endpoint": "127.0.0.1:51820"}, "endpoint_unparseable"),
    ],
)
async def test_refusals_of_the_body(changes: dict[str, object], code: str) -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        assert (await node.report_endpoint(**changes)).outcome == (400, code)
        assert await stage.rows("PeerEndpointChanged") == []


async def test_size_is_checked_before_the_shape_and_after_the_credential() -> None:
    async with surface.opened() as stage:
        node, other = await stage.node("one"), await stage.node("two")
        door, large = "endpoint.put_node_endpoint", b"{" * 4097
        assert (await node.call(door, body=large)).outcome == (413, "endpoint_body_too_large")
        assert (await node.call(door, body=large[:4096])).outcome == (400, "malformed_endpoint_request")
        assert (await node.call(door, body=large, id=other.id)).outcome == (403, "node_id_mismatch")
        assert (await stage.server.call(door, token=None, id=node.id)).outcome == (401, "unauthorized")


async def test_a_report_older_than_the_domain_keeps_endpoints() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        short = update(tables.domains).values(endpoint_ttl=MINUTE // 2)
        await stage.server.store.change([], lambda change: change.connection.execute(short))
        at = instant.render(instant.micros(stage.server.clock.now()) - 40 * 1_000_000)
        assert (await node.report_endpoint(reported_at=at)).outcome == (400, "endpoint_clock_skew")


async def test_a_node_without_peer_and_one_that_left() -> None:
    async with surface.opened() as stage:
        bare, gone = await stage.node("one"), await stage.node("two")
        drop = delete(tables.peers).where(tables.peers.c.node_id == bare.id)
        await stage.server.store.change([], lambda change: change.connection.execute(drop))
        assert (await bare.report_endpoint()).outcome == (404, "endpoint_peer_not_found")
        leave = update(tables.nodes).where(tables.nodes.c.id == gone.id).values(deregistered_at=1)
        await stage.server.nodes.record(gone.id)
        await stage.server.store.change([], lambda change: change.connection.execute(leave))
        assert (await gone.report_endpoint()).outcome == (410, "endpoint_peer_gone")
