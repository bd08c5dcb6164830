"""The doors of Projects."""

import pytest
from sqlalchemy import select

from reference_server.store import tables
from tests.server import tenancy

STRANGER = "0198c0de-0000-7000-8000-0000000000ff"


async def test_creation_answers_and_leaves_its_rows() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        body = {"domain_id": domain, "name": " Shop ", "slug": "shop", "sub_range_cidr": "10.1.0.16/28"}
        made = await server.call("projects.create_project", body=body)
        document = made.json(201)
        assert made.response is not None
        assert made.response.headers == ((b"Location", f"/v1/projects/{document['id']}".encode()),)
        assert list(document) == [
            "id",
            "domain_id",
            "name",
            "slug",
            "description",
            "sub_range_cidr",
            "created_at",
            "updated_at",
        ]
        assert document["name"] == "Shop" and document["sub_range_cidr"] == "10.1.0.16/28"
        sources = await server.rows(select(tables.outbox_events.c.source).order_by(tables.outbox_events.c.id))
        assert [row.source for row in sources] == ["DomainCreated", "ProjectCreated"]
        assert (await server.call("projects.get_project", id=document["id"])).json() == document


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": 5}, (400, "invalid_body")),
        ({"domain_id": ""}, (400, "invalid_project")),
        ({"domain_id": "00000000-0000-0000-0000-000000000000"}, (400, "invalid_project")),
        ({"name": " "}, (400, "invalid_project")),
        ({"slug": "No"}, (400, "invalid_project")),
        ({"description": " "}, (400, "invalid_project")),
        ({"sub_range_cidr": "10.1.0.1/28"}, (400, "invalid_project")),
        ({"sub_range_cidr": "10.2.0.0/28"}, (400, "invalid_project")),
        ({"sub_range_cidr": "10.0.0.0/8"}, (400, "invalid_project")),
        ({"sub_range_cidr": "fd00::/64"}, (400, "invalid_project")),
        ({"sub_range_cidr": ""}, (400, "invalid_project")),
        ({"sub_range_cidr": None}, (400, "invalid_body")),
        ({"domain_id": STRANGER}, (409, "parent_domain_missing")),
        ({"slug": "taken"}, (409, "project_slug_conflict")),
        ({"sub_range_cidr": "10.1.0.0/27"}, (409, "sub_range_overlap")),
    ],
)
async def test_what_creation_refuses(change: dict[str, object], expected: tuple[int, str]) -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        await server.project(domain, "taken", sub_range_cidr="10.1.0.16/28")
        body = {"domain_id": domain, "name": "Shop", "slug": "shop"} | change
        assert (await server.call("projects.create_project", body=body)).outcome == expected
        assert await server.count(tables.projects) == 1


async def test_relations_decide_before_existence() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        project = await server.project(domain)
        lead = server.operator("lead", ("manage", f"domain:{domain}"))
        body = {"domain_id": STRANGER, "name": "x", "slug": "x"}
        assert (await server.call("projects.create_project", token=lead, body=body)).outcome == (
            403,
            "permission_denied",
        )
        ask = [
            (lead, project, (200, None)),
            (lead, STRANGER, (403, "permission_denied")),
            (tenancy.ROOT_TOKEN, STRANGER, (404, "project_not_found")),
            (tenancy.ROOT_TOKEN, "x", (400, "invalid_project_id")),
            (None, "x", (401, "unauthenticated")),
        ]
        for token, project_id, expected in ask:
            assert (await server.call("projects.get_project", token=token, id=project_id)).outcome == expected


async def test_the_list_goes_by_slug_over_domains_and_by_filter() -> None:
    async with tenancy.opened() as server:
        one, two = await server.domain(), await server.domain("other", "10.2.0.0/24")
        for domain in (one, two):
            for slug in ("b", "a"):
                await server.project(domain, slug)
        seen: list[tuple[str, str]] = []
        query: dict[str, tuple[str, ...]] = {"limit": ("1",)}
        while True:
            page = (await server.call("projects.list_projects", query=query)).json()
            seen += [(item["slug"], item["domain_id"]) for item in page["items"]]
            if "next_cursor" not in page:
                break
            query = {"limit": ("1",), "cursor": (page["next_cursor"],)}
        assert [slug for slug, _ in seen] == ["a", "a", "b", "b"] and len(set(seen)) == 4
        only = (await server.call("projects.list_projects", query={"domain_id": (two,)})).json()
        assert {item["domain_id"] for item in only["items"]} == {two}
        crossed = await server.call("projects.list_projects", query={**query, "domain_id": (two,)})
        assert crossed.outcome == (400, "invalid_cursor")
        bad = await server.call("projects.list_projects", query={"domain_id": ("x",)})
        assert bad.outcome == (400, "invalid_domain_filter")
        reader = server.operator("reader", ("read", f"domain:{one}"))
        mine = (await server.call("projects.list_projects", token=reader)).json()
        assert {item["domain_id"] for item in mine["items"]} == {one}
        nobody = server.operator("nobody")
        hidden = (await server.call("projects.list_projects", token=nobody)).json()
        assert hidden == {"items": [], "empty_reason": "no_rebac_membership"}
