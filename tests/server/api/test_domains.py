"""The doors of Domains: every published refusal, and what a success leaves behind."""

import json

import pytest
from sqlalchemy import select

from reference_server.store import tables
from tests.server import tenancy

STRANGER = "0198c0de-0000-7000-8000-0000000000ff"
GOOD: dict[str, object] = {"name": " Acme ", "slug": "acme", "mesh_cidr": "10.1.0.0/24"}


async def test_creation_answers_and_leaves_key_row_and_audit_in_one_transaction() -> None:
    async with tenancy.opened() as server:
        made = await server.call("domains.create_domain", body=GOOD)
        document = made.json(201)
        assert made.response is not None
        assert made.response.headers == ((b"Location", f"/v1/domains/{document['id']}".encode()),)
        assert list(document) == [
            "id",
            "name",
            "slug",
            "description",
            "mesh_cidr",
            "reachability",
            "created_at",
            "updated_at",
        ]
        assert (document["name"], document["description"]) == ("Acme", "")
        assert document["reachability"]["heartbeat_interval"] == "30s"
        rows = await server.rows(select(tables.outbox_events.c.source, tables.outbox_events.c.transaction_id))
        assert [row.source for row in rows] == ["DomainCreated"]
        audit = tables.audit_entries
        entries = await server.rows(select(audit.c.chain_id, audit.c.transaction_id, audit.c.canonical))
        assert {(row.chain_id, row.transaction_id) for row in entries} == {
            (document["id"], rows[0].transaction_id)
        }
        assert "domain.create" in {json.loads(row.canonical)["relation"] for row in entries}
        assert await server.count(tables.signing_keys) == 1
        read = await server.call("domains.get_domain", id=document["id"].upper())
        assert read.json() == document


async def test_a_domain_without_a_key() -> None:
    async with tenancy.opened() as server:
        await server.domain(signing_key="none")
        assert await server.count(tables.signing_keys) == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": None}, "invalid_body"),
        ({"name": 5}, "invalid_body"),
        ({"reachability": {"stale_after": 5}}, "invalid_body"),
        ({"name": ""}, "invalid_domain"),
        ({"name": "  "}, "invalid_domain"),
        ({"name": "x" * 256}, "invalid_domain"),
        ({"slug": ""}, "invalid_domain"),
        ({"slug": "Acme"}, "invalid_domain"),
        ({"slug": "a--b"}, "invalid_domain"),
        ({"slug": "x" * 65}, "invalid_domain"),
        ({"description": " "}, "invalid_domain"),
        ({"description": "x" * 1025}, "invalid_domain"),
        ({"region": "EU West"}, "invalid_domain"),
        ({"mesh_cidr": ""}, "invalid_domain"),
        ({"mesh_cidr": "10.1.0.1/24"}, "invalid_domain"),
        ({"mesh_cidr": "10.1.0.0"}, "invalid_domain"),
        ({"mesh_cidr": "10.1.0.0/33"}, "invalid_domain"),
        ({"mesh_cidr": "10.1.0.0/255.255.255.0"}, "invalid_domain"),
        ({"signing_key": "later"}, "invalid_domain"),
        ({"reachability": {"stale_after": "90s"}}, "invalid_reachability_policy"),
    ],
)
async def test_what_creation_refuses(change: dict[str, object], code: str) -> None:
    async with tenancy.opened() as server:
        refused = await server.call("domains.create_domain", body=GOOD | change)
        assert refused.outcome == (400, code)
        assert await server.count(tables.domains) == 0


async def test_conflicts_and_relations_of_creation() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        again = await server.call("domains.create_domain", body=GOOD | {"mesh_cidr": "10.9.0.0/24"})
        assert again.outcome == (409, "domain_slug_conflict")
        overlap = await server.call(
            "domains.create_domain", body=GOOD | {"slug": "b", "mesh_cidr": "10.0.0.0/8"}
        )
        assert overlap.outcome == (409, "mesh_cidr_overlap")
        lead = server.operator("lead", ("manage", f"domain:{domain}"))
        denied = await server.call("domains.create_domain", token=lead, body=b"{")
        assert denied.outcome == (403, "permission_denied")
        assert (await server.call("domains.create_domain", token=None)).outcome == (401, "unauthenticated")
        assert (await server.call("domains.create_domain", body=b'{"a":1,"a":2}')).outcome == (
            400,
            "invalid_body",
        )
        assert await server.count(tables.outbox_events) == 1


async def test_reading_hides_what_is_not_there() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        reader = server.operator("reader", ("read", f"domain:{domain}"))
        ask = [
            (reader, domain, (200, None)),
            (reader, STRANGER, (403, "permission_denied")),
            (tenancy.ROOT_TOKEN, STRANGER, (404, "domain_not_found")),
            (tenancy.ROOT_TOKEN, "00000000-0000-0000-0000-000000000000", (400, "invalid_domain_id")),
            (tenancy.ROOT_TOKEN, "acme", (400, "invalid_domain_id")),
            (None, domain, (401, "unauthenticated")),
        ]
        for token, domain_id, expected in ask:
            assert (await server.call("domains.get_domain", token=token, id=domain_id)).outcome == expected


async def test_the_list_is_in_slug_order_filtered_and_paged() -> None:
    async with tenancy.opened() as server:
        ids = {slug: await server.domain(slug, f"10.{n}.0.0/24") for n, slug in enumerate(("c", "a", "b"))}
        first = (await server.call("domains.list_domains", query={"limit": ("2",)})).json()
        assert [item["slug"] for item in first["items"]] == ["a", "b"]
        query = {"limit": ("2",), "cursor": (first["next_cursor"],)}
        last = (await server.call("domains.list_domains", query=query)).json()
        assert [item["slug"] for item in last["items"]] == ["c"] and list(last) == ["items"]
        reader = server.operator("reader", ("read", f"domain:{ids['b']}"))
        mine = (await server.call("domains.list_domains", token=reader)).json()
        assert [item["slug"] for item in mine["items"]] == ["b"] and list(mine) == ["items"]
        foreign = await server.call("domains.list_domains", token=reader, query=query)
        assert foreign.outcome == (403, "cursor_binding_mismatch")
        nobody = server.operator("nobody")
        hidden = (await server.call("domains.list_domains", token=nobody)).json()
        assert hidden == {"items": [], "empty_reason": "no_rebac_membership"}
        for query, code in (({"limit": ("0",)}, "invalid_limit"), ({"cursor": ("x",)}, "invalid_cursor")):
            assert (await server.call("domains.list_domains", query=query)).outcome == (400, code)


async def test_an_empty_list_gives_no_reason() -> None:
    async with tenancy.opened() as server:
        assert (await server.call("domains.list_domains")).json() == {"items": []}


async def test_a_patch_changes_and_bumps() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain(description="old", region="eu")
        server.clock.advance(5)
        policy = {"heartbeat_interval": "10s", "stale_after": "30s", "unreachable_after": "1m"}
        wanted = {
            "name": "New",
            "description": "",
            "region": "us-1",
            "mesh_cidr": "10.7.0.0/16",
            "reachability": policy,
        }
        changed = (await server.call("domains.patch_domain", body=wanted, id=domain)).json()
        assert changed["name"] == "New" and changed["description"] == "" and changed["region"] == "us-1"
        assert (
            changed["mesh_cidr"] == "10.7.0.0/16" and changed["reachability"]["unreachable_after"] == "1m0s"
        )
        assert changed["updated_at"] > changed["created_at"]
        assert (await server.call("domains.get_domain", id=domain)).json() == changed


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", (400, "invalid_body")),
        ({"colour": "red"}, (400, "invalid_body")),
        ({"name": 1}, (400, "invalid_body")),
        ({}, (400, "empty_patch")),
        ({"slug": None}, (400, "slug_immutable")),
        ({"slug": "new", "colour": 1}, (400, "slug_immutable")),
        ({"name": " "}, (400, "invalid_domain")),
        ({"region": ""}, (400, "invalid_domain")),
        ({"description": "  "}, (400, "invalid_domain")),
        ({"mesh_cidr": "nowhere"}, (400, "invalid_domain")),
        ({"reachability": {}}, (400, "invalid_reachability_policy")),
        ({"reachability": {"stale_after": "90s"}}, (400, "invalid_reachability_policy")),
        ({"mesh_cidr": "10.2.0.0/25"}, (409, "mesh_cidr_overlap")),
        ({"mesh_cidr": "10.1.0.0/25"}, (422, "mesh_cidr_invalidates_subrange")),
        ({"mesh_cidr": "fd00::/64"}, (422, "mesh_cidr_invalidates_subrange")),
    ],
)
async def test_what_a_patch_refuses(body: object, expected: tuple[int, str]) -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        await server.domain("other", "10.2.0.0/24")
        project = await server.project(domain, sub_range_cidr="10.1.0.128/28")
        refused = await server.call("domains.patch_domain", body=body, id=domain)
        assert refused.outcome == expected
        if expected[0] == 422:
            assert project in refused.problem()["detail"]


async def test_a_range_may_not_leave_nodes_behind() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        await server.node(domain)
        refused = await server.call("domains.patch_domain", body={"mesh_cidr": "10.1.0.128/25"}, id=domain)
        assert refused.outcome == (400, "invalid_domain")
        grown = await server.call("domains.patch_domain", body={"mesh_cidr": "10.1.0.0/16"}, id=domain)
        assert grown.outcome == (200, None)


async def test_deleting_wants_an_empty_domain() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        node = await server.node(domain)
        refused = await server.call("domains.delete_domain", id=domain)
        assert refused.outcome == (409, "domain_not_empty")
        assert refused.problem()["child_counts"] == {
            "projects": 0,
            "groups": 0,
            "identities": 0,
            "idp_bindings": 0,
            "nodes": 1,
        }
        await server.call("nodes.delete_node", id=node["node_id"])
        assert (await server.call("domains.delete_domain", id=domain)).outcome == (204, None)
        assert (await server.call("domains.delete_domain", id=domain)).outcome == (404, "domain_not_found")
        assert (await server.call("domains.patch_domain", body={"name": "x"}, id=domain)).outcome == (
            404,
            "domain_not_found",
        )
        nobody = server.operator("nobody")
        for door in ("domains.delete_domain", "domains.patch_domain"):
            denied = await server.call(door, token=nobody, id=domain)
            assert denied.outcome == (403, "permission_denied")
            assert (await server.call(door, id="x")).outcome == (400, "invalid_domain_id")
        assert await server.domain()  # slug and range are free again
