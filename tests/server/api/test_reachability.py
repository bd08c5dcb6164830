"""The door at which reachability is read."""

from tests.server import surface

DOOR = "reachability.get_node_reachability"
STRANGER = "0198c0de-0000-7000-8000-0000000000ff"


async def test_the_node_and_its_agents_read_the_block_of_the_pull() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        agent = stage.server.operator("agent", ("node-agent", f"node:{node.id}"))
        fresh = (await node.call(DOOR)).json()
        assert fresh["state"] == "never_reported"
        assert list(fresh) == ["state", "changed_at"]
        beat = (await node.beat()).json()
        read = await stage.server.call(DOOR, token=agent, id=node.id)
        assert read.json() == {
            "state": "healthy",
            "last_heartbeat_at": beat["accepted_at"],
            "changed_at": beat["accepted_at"],
        }
        assert read.response is not None
        assert b'"reachability":' + read.response.body in await stage.pull(node.id)


async def test_refusals_in_their_order() -> None:
    async with surface.opened() as stage:
        node, other = await stage.node("one"), await stage.node("two")
        everywhere = stage.server.operator("everywhere", ("node-agent", "*"))
        call = stage.server.call
        assert (await call(DOOR, token=None, id="x")).outcome == (401, "unauthenticated")
        assert (await call(DOOR, id="x")).outcome == (400, "invalid_node_id")
        for node_id in (node.id, STRANGER):  # `manage` is no `node-agent`, and hides what exists
            assert (await call(DOOR, id=node_id)).outcome == (403, "insufficient_relation")
        assert (await other.call(DOOR, id=node.id)).outcome == (403, "node_id_mismatch")
        assert (await call(DOOR, token=everywhere, id=STRANGER)).outcome == (404, "node_not_found")
