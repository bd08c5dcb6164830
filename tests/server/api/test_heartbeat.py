"""The door of heartbeats: order of its refusals, the cheap path, the move to healthy, the two flags."""

import pytest
from sqlalchemy import select, update

from reference_server.control import nodes
from reference_server.envelope import instant
from reference_server.store import tables
from tests.server import surface
from tests.server.surface import ABSENT, CHECKSUM


async def test_the_first_heartbeat_makes_a_node_healthy_and_later_ones_tell_nobody() -> None:
    async with surface.opened() as stage:
        node, other = await stage.node("one"), await stage.node("two")
        first = (await node.beat()).json()
        assert first["reconcile"] is False
        assert first["rotate_keys"] is False
        assert (await node.beat()).json()["accepted_at"] >= first["accepted_at"]
        rows = await stage.rows("tenancy.NodeReachabilityChanged")
        assert [(row.payload["node_id"], row.recipients) for row in rows] == [(node.id, [node.id])]
        assert rows[0].payload["reachability"] == {
            "state": "healthy",
            "last_heartbeat_at": first["accepted_at"],
            "changed_at": first["accepted_at"],
        }
        moves = await stage.audited("node_reachability.transition")
        assert [(m["relation_path"], m["transaction_id"]) for m in moves] == [
            (["never_reported", "healthy", "heartbeat_received"], rows[0].transaction_id)
        ]
        assert moves[0]["object"] == {"type": "domain", "id": stage.domain_id.replace("-", "")}
        assert moves[0]["reason"] == "granted"
        assert (await other.beat()).outcome == (200, None)


async def test_a_healthy_node_costs_its_domain_no_lock() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await node.beat()
        version = stage.server.store.version(stage.domain_id)
        await node.beat()
        assert stage.server.store.version(stage.domain_id) == version


async def test_what_the_agent_reports_is_kept() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await node.beat(nat_summary={"kind": "none"}, binary_version="9.9")
        columns = (tables.nodes.c.binary_version, tables.nodes.c.binary_checksum, tables.nodes.c.nat_summary)
        row = (await stage.server.rows(select(*columns)))[0]
        assert tuple(row) == ("9.9", CHECKSUM, b'{"kind":"none"}')


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_now": ABSENT}, "malformed_heartbeat_request"),
        ({"client_now": "yesterday"}, "malformed_heartbeat_request"),
        ({"client_now": 5}, "malformed_heartbeat_request"),
        ({"nat_summary": ABSENT}, "malformed_heartbeat_request"),
        ({"nat_summary": []}, "malformed_heartbeat_request"),
        ({"extra": 1}, "malformed_heartbeat_request"),
        ({"binary_version": "x" * 4097}, "malformed_heartbeat_request"),
        ({"client_now": "2020-01-01T00:00:00Z", "binary_checksum": ""}, "clock_skew"),
        ({"binary_checksum": ABSENT, "binary_version": ABSENT}, "binary_checksum_empty"),
        ({"binary_checksum": "0" * 64}, "binary_checksum_empty"),
        ({"binary_checksum": CHECKSUM[:-1]}, "binary_checksum_empty"),
        ({"binary_checksum": "-" * 43 + "="}, "binary_checksum_empty"),
        ({"binary_version": ABSENT}, "binary_version_empty"),
        ({"binary_version": " \t"}, "binary_version_empty"),
    ],
)
async def test_refusals_of_the_body(changes: dict[str, object], code: str) -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        assert (await node.beat(**changes)).outcome == (400, code)
        assert await stage.rows("tenancy.NodeReachabilityChanged") == []


@pytest.mark.parametrize(("seconds", "status"), [(-61, 400), (-58, 200), (58, 200), (61, 400)])
async def test_the_clock_may_be_a_minute_off(seconds: int, status: int) -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        now = instant.micros(stage.server.clock.now()) + seconds * 1_000_000
        assert (await node.beat(client_now=instant.render(now))).outcome[0] == status


async def test_the_credential_comes_before_the_body() -> None:
    async with surface.opened() as stage:
        node, other = await stage.node("one"), await stage.node("two")
        door = "heartbeat.post_node_heartbeat"
        assert (await stage.server.call(door, token=None, id=node.id)).outcome == (401, "unauthorized")
        assert (await stage.server.call(door, id=node.id)).outcome == (401, "nsk_invalid")
        assert (await node.call(door, body=b"{", id=other.id)).outcome == (403, "node_id_mismatch")
        assert (await node.call(door, body=b"{")).outcome == (400, "malformed_heartbeat_request")
        assert (await node.call(door, body=b"{", id="x")).outcome == (400, "invalid_node_id")


async def test_a_node_that_left_is_told_so() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await stage.server.call("nodes.delete_node", id=node.id)
        assert (await node.beat()).outcome == (401, "nsk_revoked")


async def test_a_node_that_leaves_between_the_gates_and_the_change() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await stage.server.nodes.record(node.id)
        real = stage.server.store

        async def leave_first(domains: object, work: object, **more: object) -> object:
            stage.server.store.change = type(real).change.__get__(real)  # type: ignore[method-assign]
            await real.change(
                [stage.domain_id], lambda change: nodes.deregister(change, node_id=node.id, subject="test")
            )
            return await real.change(domains, work, **more)  # type: ignore[arg-type]

        stage.server.store.change = leave_first  # type: ignore[method-assign]
        assert (await node.beat()).outcome == (401, "nsk_revoked")


async def test_reconcile_stands_until_a_pull_and_rotate_keys_until_the_rotation() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        mark = update(tables.nodes).values(reconcile=True)
        await stage.pull(node.id)
        await stage.server.store.change([], lambda change: change.connection.execute(mark))
        assert (await node.beat()).json()["reconcile"] is True
        assert (await node.beat()).json()["reconcile"] is True
        await stage.pull(node.id)
        assert (await node.beat()).json()["reconcile"] is False
        await stage.server.call("keys.post_node_keys_rotate", id=node.id)
        assert (await node.beat()).json()["rotate_keys"] is True
