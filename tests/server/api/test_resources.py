"""The doors of Resources."""

from typing import Any

import pytest

from reference_server.store import tables
from tests.server import tenancy

STRANGER = "0198c0de-0000-7000-8000-0000000000ff"
GOOD: dict[str, object] = {"origin": "adopted", "kind": " vm ", "external_ref": "edge-1"}


async def test_a_resource_comes_is_read_and_goes() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        project = await server.project(domain)
        made = (await server.call("resources.create_resource", body=GOOD, project_id=project)).json(201)
        assert (made["kind"], made["origin"], made["external_ref"]) == ("vm", "adopted", "edge-1")
        assert (made["project_id"], made["domain_id"]) == (project, domain)
        assert (await server.call("resources.get_resource", id=made["id"])).json() == made
        listed = (await server.call("resources.list_project_resources", project_id=project)).json()
        assert listed == {"items": [made]}
        body = {"project_id": project, "resource_handle": "edge-1"}
        node = await server.node(domain, **body)
        refused = await server.call("resources.delete_resource", id=made["id"])
        assert refused.outcome == (409, "resource_not_empty")
        await server.call("nodes.delete_node", id=node["node_id"])
        assert (await server.call("resources.delete_resource", id=made["id"])).outcome == (204, None)
        for door in ("resources.get_resource", "resources.delete_resource"):
            assert (await server.call(door, id=made["id"])).outcome == (404, "resource_not_found")
            assert (await server.call(door, id="x")).outcome == (400, "invalid_resource_id")


async def test_a_resource_without_a_handle() -> None:
    async with tenancy.opened() as server:
        project = await server.project(await server.domain())
        for _ in range(2):
            body = {"origin": "adopted", "kind": "vm"}
            made = (await server.call("resources.create_resource", body=body, project_id=project)).json(201)
            assert "external_ref" not in made


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": 1}, (400, "invalid_body")),
        ({"origin": "found"}, (400, "invalid_resource_origin")),
        ({"origin": ""}, (400, "invalid_resource_origin")),
        ({"kind": " "}, (400, "invalid_resource")),
        ({"kind": "x" * 65}, (400, "invalid_resource")),
        ({"external_ref": "x" * 4097}, (400, "invalid_resource")),
        ({"external_ref": " edge"}, (400, "invalid_resource")),
        ({"parameters": {}}, (400, "invalid_resource")),
        ({"origin": "provisioned", "parameters": {"size": 1}}, (422, "resource_origin_unsupported")),
        ({}, (409, "resource_handle_conflict")),
    ],
)
async def test_what_creation_refuses(change: dict[str, object], expected: tuple[int, str]) -> None:
    async with tenancy.opened() as server:
        project = await server.project(await server.domain())
        await server.resource(project, "edge-1")
        refused = await server.call("resources.create_resource", body=GOOD | change, project_id=project)
        assert refused.outcome == expected
        assert await server.count(tables.resources) == 1


async def test_deploy_is_needed_and_read_is_not_enough() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        project = await server.project(domain)
        resource = await server.resource(project)
        reader = server.operator("reader", ("read", f"domain:{domain}"))
        deployer = server.operator("deployer", ("deploy", f"domain:{domain}"))
        ask: list[tuple[str, str, dict[str, Any], tuple[int, str | None]]] = [
            ("resources.create_resource", reader, {"project_id": project}, (403, "permission_denied")),
            ("resources.delete_resource", reader, {"id": resource}, (403, "permission_denied")),
            ("resources.get_resource", reader, {"id": resource}, (200, None)),
            ("resources.list_project_resources", reader, {"project_id": project}, (200, None)),
            ("resources.get_resource", deployer, {"id": resource}, (403, "permission_denied")),
            ("resources.delete_resource", deployer, {"id": resource}, (204, None)),
            ("resources.create_resource", deployer, {"project_id": STRANGER}, (403, "permission_denied")),
            ("resources.list_project_resources", reader, {"project_id": "x"}, (400, "invalid_project_id")),
        ]
        for door, token, path, expected in ask:
            assert (await server.call(door, token=token, **path)).outcome == expected, door
        missing = await server.call("resources.create_resource", body=GOOD, project_id=STRANGER)
        assert missing.outcome == (404, "project_not_found")
        listed = await server.call("resources.list_project_resources", project_id=STRANGER)
        assert listed.outcome == (404, "project_not_found")
