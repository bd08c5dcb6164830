"""The list of Nodes, and the door out."""

from sqlalchemy import select

from reference_server.control import credentials
from reference_server.store import tables
from tests.server import tenancy

STRANGER = "0198c0de-0000-7000-8000-0000000000ff"


async def listed(server: tenancy.Tenancy, token: str = tenancy.ROOT_TOKEN, **query: str) -> list[str]:
    asked = {name: (value,) for name, value in query.items()}
    page = (await server.call("nodes.list_nodes", token=token, query=asked)).json()
    return [item["id"] for item in page["items"]]


async def test_the_list_shows_live_nodes_that_the_caller_may_read() -> None:
    async with tenancy.opened() as server:
        one, two = await server.domain(), await server.domain("other", "10.2.0.0/24")
        a = (await server.node(one, "a", name="edge", kind="vm"))["node_id"]
        b = (await server.node(one, "b"))["node_id"]
        c = (await server.node(two, "c"))["node_id"]
        assert await listed(server) == [a, b, c]
        assert await listed(server, domain_id=two.upper()) == [c]
        assert await listed(server, domain_id=STRANGER) == []
        assert await listed(server, server.operator("dom", ("read", f"domain:{one}"))) == [a, b]
        assert await listed(server, server.operator("single", ("read", f"node:{b}"))) == [b]
        assert await listed(server, server.operator("agent", ("node-agent", "*"))) == []
        await server.call("nodes.delete_node", id=a)
        assert await listed(server) == [b, c]


async def test_a_summary_leaves_out_what_is_unset() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        await server.node(domain, "a", name="edge", kind="vm")
        await server.node(domain, "b")
        page = (await server.call("nodes.list_nodes")).json()
        assert [list(item) for item in page["items"]] == [
            ["id", "domain_id", "name", "kind", "created_at"],
            ["id", "domain_id", "created_at"],
        ]


async def test_pages_and_their_refusals() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        nodes = [(await server.node(domain, seed))["node_id"] for seed in "abc"]
        first = (await server.call("nodes.list_nodes", query={"limit": ("2",)})).json()
        assert await listed(server, cursor=first["next_cursor"]) == nodes[2:]
        reader = server.operator("reader", ("read", "*"))
        ask: list[tuple[str | None, dict[str, tuple[str, ...]], tuple[int, str]]] = [
            (reader, {"cursor": (first["next_cursor"],)}, (403, "cursor_binding_mismatch")),
            (reader, {"cursor": ("x.y",)}, (400, "invalid_cursor")),
            (reader, {"limit": ("201",)}, (400, "invalid_limit")),
            (reader, {"domain_id": ("acme",)}, (400, "invalid_domain_filter")),
            (reader, {"domain_id": (domain, domain)}, (400, "invalid_domain_filter")),
            (None, {}, (401, "unauthenticated")),
        ]
        for token, query, expected in ask:
            assert (await server.call("nodes.list_nodes", token=token, query=query)).outcome == expected


async def test_deregistration_revokes_tells_and_forgets() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        node, other = await server.node(domain, "a"), await server.node(domain, "b")
        bearer = b"Bearer " + node["credential"].encode()
        assert await server.resolver.resolve([bearer])
        assert (await server.call("nodes.delete_node", id=node["node_id"].upper())).outcome == (204, None)
        assert server.revoked == [node["node_id"]]
        again = await server.call("nodes.delete_node", id=node["node_id"])
        assert again.outcome == (404, "node_not_found") and server.revoked == [node["node_id"]]
        assert await server.nodes.find(node["node_id"]) is None
        keys = tables.node_secret_keys
        revoked = select(keys.c.revoked_at).where(keys.c.node_id == node["node_id"])
        assert await server.scalar(revoked) is not None
        assert [row.node_id for row in await server.rows(select(tables.peers.c.node_id))] == [
            other["node_id"]
        ]
        assert [row.node_id for row in await server.rows(select(tables.peer_psks.c.node_id))] == [
            other["node_id"]
        ]


async def test_who_may_deregister() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        node = (await server.node(domain))["node_id"]
        nobody = server.operator("nobody", ("node-agent", "*"), ("read", "*"))
        lead = server.operator("lead", ("manage", f"domain:{domain}"))
        ask = [
            (None, node, (401, "unauthenticated")),
            (nobody, node, (403, "permission_denied")),
            (nobody, STRANGER, (403, "permission_denied")),
            (lead, STRANGER, (403, "permission_denied")),
            (tenancy.ROOT_TOKEN, STRANGER, (404, "node_not_found")),
            (tenancy.ROOT_TOKEN, "x", (400, "invalid_node_id")),
            (lead, node, (204, None)),
        ]
        for token, node_id, expected in ask:
            assert (await server.call("nodes.delete_node", token=token, id=node_id)).outcome == expected


async def test_a_node_cannot_deregister_itself_or_others() -> None:
    async with tenancy.opened() as server:
        node = await server.node(await server.domain())
        denied = await server.call("nodes.delete_node", token=node["credential"], id=node["node_id"])
        assert denied.outcome == (401, "unauthenticated")
        assert credentials.parse(node["credential"].encode()) is not None
