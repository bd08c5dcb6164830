"""The doors of mesh key rotation: trigger, preview, completion (A-27)."""

import base64
import json

from sqlalchemy import delete, select

from reference_server.store import tables
from tests.server import surface, tenancy

TRIGGER = "keys.post_node_keys_rotate"
PREVIEW = "keys.get_node_keys_rotate_preview"
COMPLETE = "keys.post_keys_rotate"
STRANGER = "0198c0de-0000-7000-8000-0000000000ff"
NEW_KEY = tenancy.public_key("new")


async def test_a_trigger_is_one_event_however_often_it_is_sent() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        first = (await stage.server.call(TRIGGER, id=node.id)).json()
        again = (await stage.server.call(TRIGGER, id=node.id)).json()
        assert again == {**first, "already_pending": True}
        (row,) = await stage.rows("NodeKeyRotationRequested")
        assert row.recipients == [node.id]
        assert (row.payload["node_id"], row.payload["rotation_id"]) == (node.id, first["rotation_id"])
        (entry,) = await stage.audited("node_key_rotation.request")
        assert entry["transaction_id"] == row.transaction_id


async def test_a_preview_names_every_edge_and_changes_nothing() -> None:
    async with surface.opened() as stage:
        node, *others = [await stage.node(seed) for seed in ("one", "two", "three")]
        before = (await stage.server.call(PREVIEW, id=node.id)).json()
        assert [edge["peer_node_id"] for edge in before["affected_edges"]] == sorted(o.id for o in others)
        assert before["affected_peer_count"] == 2
        assert before["already_pending"] is False
        assert before["estimated_duration_seconds"] == 30
        triggered = (await stage.server.call(TRIGGER, id=node.id)).json()
        after = (await stage.server.call(PREVIEW, id=node.id)).json()
        assert after == {**before, "already_pending": True}
        assert after["peer_id"] == triggered["peer_id"]
        assert len(await stage.rows("NodeKeyRotationRequested")) == 1


async def test_completion_puts_key_and_psk_in_force_and_tells_all_others() -> None:
    async with surface.opened() as stage:
        node, other = await stage.node("one"), await stage.node("two")
        asked = (await stage.server.call(TRIGGER, id=node.id)).json()
        old_kid = (await stage.server.call(PREVIEW, id=node.id)).json()["affected_edges"][0]["current_kid"]
        receipt = (await node.call(COMPLETE, body={"new_public_key": NEW_KEY})).json()
        assert receipt["rotation_id"] == asked["rotation_id"]
        assert receipt["kid"] != old_kid
        (row,) = await stage.rows("PeerKeyRotated")
        assert row.recipients == [other.id]
        assert row.payload == {
            "node_id": node.id,
            "public_key": NEW_KEY,
            "kid": receipt["kid"],
            "wrap_key_version": receipt["wrap_key_version"],
        }
        assert json.loads(await stage.pull(other.id))["peers"][0]["public_key"] == NEW_KEY
        psks = tables.peer_psks
        in_force = select(psks.c.kid).where(psks.c.node_id == node.id, psks.c.retired_at.is_(None))
        assert [row.kid for row in await stage.server.rows(in_force)] == [receipt["kid"]]
        (entry,) = await stage.audited("node_key_rotation.complete")
        assert entry["transaction_id"] == row.transaction_id
        again = (await node.call(COMPLETE, body={"new_public_key": NEW_KEY})).json()
        assert again == receipt
        assert len(await stage.rows("PeerKeyRotated")) == 1


async def test_refusals_of_a_completion_in_their_order() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        current = tenancy.public_key("one")
        call = stage.server.call
        assert (await call(COMPLETE, token=None)).outcome == (401, "unauthorized")
        assert (await node.call(COMPLETE, body=b"{" * 4097)).outcome == (413, "keys_rotate_body_too_large")
        for body in (b"{", {}, {"new_public_key": 1}, {"new_public_key": NEW_KEY, "more": 1}):
            refused = await node.call(COMPLETE, body=body)
            assert refused.outcome == (400, "malformed_keys_rotate_request")
        zero = base64.b64encode(bytes(32)).decode()
        for key in ("", "AAAA", NEW_KEY[:-1], zero, NEW_KEY + "\n"):
            refused = await node.call(COMPLETE, body={"new_public_key": key})
            assert refused.outcome == (422, "keys_rotate_public_key_invalid")
        for key in (NEW_KEY, current):
            refused = await node.call(COMPLETE, body={"new_public_key": key})
            assert refused.outcome == (409, "keys_rotate_no_pending_rotation")
        await call(TRIGGER, id=node.id)
        refused = await node.call(COMPLETE, body={"new_public_key": current})
        assert refused.outcome == (422, "keys_rotate_public_key_unchanged")
        drop = delete(tables.peers)
        await stage.server.store.change([], lambda change: change.connection.execute(drop))
        refused = await node.call(COMPLETE, body={"new_public_key": NEW_KEY})
        assert refused.outcome == (404, "keys_rotate_peer_not_found")


async def test_refusals_of_trigger_and_preview() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        reader = stage.server.operator("reader", ("read", "*"))
        for door in (TRIGGER, PREVIEW):
            assert (await stage.server.call(door, token=None, id=node.id)).outcome == (401, "unauthenticated")
            assert (await node.call(door)).outcome == (401, "unauthenticated")
            assert (await stage.server.call(door, id="x")).outcome == (400, "invalid_node_id")
            for node_id in (node.id, STRANGER):
                refused = await stage.server.call(door, token=reader, id=node_id)
                assert refused.outcome == (403, "insufficient_relation")
            assert (await stage.server.call(door, id=STRANGER)).outcome == (404, "node_not_found")
