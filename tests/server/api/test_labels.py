"""The doors of labels: definitions, assignments, and every refusal."""

from typing import Any

import pytest

from tests.server import surface
from tests.server.surface import Surface

DEFINE = "labels.create_label_definition"
PUT = "labels.put_object_label"
DELETE = "labels.delete_object_label"
LIST = "labels.list_object_labels"
STRANGER = "0198c0de-0000-7000-8000-0000000000ff"
ENV: dict[str, Any] = {
    "scope": "platform",
    "local_key": "env",
    "value_schema": {"kind": "enum", "values": ["test", "live"]},
    "applicable_kinds": ["node", "resource"],
}


async def define(stage: Surface, **changes: object) -> dict[str, Any]:
    return (await stage.server.call(DEFINE, body={**ENV, **changes})).json(201)


async def labels_of(stage: Surface, node_id: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await stage.server.call(LIST, kind="node", id=node_id)).json()["items"]
    return items


async def test_definitions_are_qualified_by_their_scope() -> None:
    async with surface.opened() as stage:
        project_id = await stage.server.project(stage.domain_id, "checkout")
        made = await define(stage)
        assert made == {
            **ENV,
            "id": made["id"],
            "qualified_key": "platform/env",
            "created_at": made["created_at"],
        }
        of_domain = await define(stage, scope="domain", scope_id=stage.domain_id.upper())
        assert (of_domain["qualified_key"], of_domain["scope_id"]) == ("acme/env", stage.domain_id)
        assert (await define(stage, scope="project", scope_id=project_id))[
            "qualified_key"
        ] == "acme:checkout/env"
        again = await stage.server.call(DEFINE, body=ENV)
        assert again.outcome == (409, "label_definition_conflict")
        chains = [entry["domain_id"] for entry in await stage.audited("label_definition.create")]
        assert sorted(chains) == sorted(["platform", stage.domain_id, stage.domain_id])


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "node"},
        {"scope": "domain"},
        {"scope": "domain", "scope_id": "x"},
        {"scope_id": STRANGER},
        {"local_key": ""},
        {"local_key": "Env"},
        {"local_key": "env."},
        {"local_key": "x" * 65},
        {"applicable_kinds": []},
        {"applicable_kinds": ["node"] * 65},
        {"applicable_kinds": [""]},
        {"value_schema": {"kind": "colour"}},
        {"value_schema": {"kind": "enum", "values": "x"}},
        {"value_schema": None},
        {"default_value": "other"},
        {"on_delete": "never"},
        {"cardinality": 0},
        {"description": "x" * 513},
        {"required": "yes"},
    ],
)
async def test_definitions_that_cannot_stand(changes: dict[str, object]) -> None:
    async with surface.opened() as stage:
        refused = await stage.server.call(DEFINE, body={**ENV, **changes})
        assert refused.outcome == (400, "invalid_label_definition")


async def test_a_definition_asks_for_manage_on_its_scope() -> None:
    async with surface.opened() as stage:
        local = stage.server.operator("local", ("manage", f"domain:{stage.domain_id}"))
        project_id = await stage.server.project(stage.domain_id)

        async def outcome(token: str | None = None, **changes: object) -> tuple[int, str | None]:
            return (await stage.server.call(DEFINE, token=token, body={**ENV, **changes})).outcome

        assert await outcome() == (401, "unauthenticated")
        assert await outcome(local) == (403, "permission_denied")
        assert await outcome(local, scope="domain", scope_id=STRANGER) == (403, "permission_denied")
        assert await outcome(local, scope="domain", scope_id=stage.domain_id) == (201, None)
        assert await outcome(local, scope="project", scope_id=project_id) == (201, None)
        root = await stage.server.call(DEFINE, body={**ENV, "scope": "domain", "scope_id": STRANGER})
        assert root.outcome == (404, "domain_not_found")
        root = await stage.server.call(DEFINE, body={**ENV, "scope": "project", "scope_id": STRANGER})
        assert root.outcome == (404, "project_not_found")
        assert (await stage.server.call(DEFINE, body=b"{")).outcome == (400, "invalid_body")


async def test_a_label_is_put_replaced_listed_and_taken_away() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        env, rank = await define(stage), await define(stage, local_key="a", value_schema={"kind": "numeric"})

        async def put(definition: dict[str, Any], value: object) -> dict[str, Any]:
            body = {"definition_id": definition["id"], "value": value}
            return (await stage.server.call(PUT, body=body, kind="node", id=node.id)).json()

        first = await put(env, "test")
        assert first == {
            "definition_id": env["id"],
            "qualified_key": "platform/env",
            "object_kind": "node",
            "object_id": node.id,
            "value": "test",
            "assigned_by": "user",
            "assigned_at": first["assigned_at"],
        }
        second, third = await put(env, "live"), await put(rank, 1.5)
        assert await labels_of(stage, node.id) == [third, second]
        query = {"qualified_key": ("platform/env",)}
        for _ in range(2):
            gone = await stage.server.call(DELETE, query=query, kind="node", id=node.id)
            assert gone.outcome == (204, None)
        assert await labels_of(stage, node.id) == [third]
        assert len(await stage.audited("label.put")) == 3
        assert len(await stage.audited("label.delete")) == 1


async def test_resources_carry_labels_too() -> None:
    async with surface.opened() as stage:
        resource_id = await stage.server.resource(await stage.server.project(stage.domain_id))
        body = {"definition_id": (await define(stage))["id"], "value": "live"}
        put = await stage.server.call(PUT, body=body, kind="resource", id=resource_id)
        assert put.json()["object_kind"] == "resource"


async def test_refusals_of_an_assignment() -> None:
    async with surface.opened() as stage:
        node, project_id = await stage.node("one"), await stage.server.project(stage.domain_id)
        env = await define(stage)
        bound = await define(stage, local_key="fixed", immutable=True, value_schema={"kind": "string"})
        elsewhere = await define(stage, scope="project", scope_id=project_id)
        resources = await define(stage, local_key="r", applicable_kinds=["resource"])
        many = await define(stage, local_key="many", cardinality=2)

        async def put(definition_id: object, value: object = "test", **place: Any) -> tuple[int, str | None]:
            body = {"definition_id": definition_id, "value": value}
            at: dict[str, Any] = {"kind": "node", "id": node.id, **place}
            return (await stage.server.call(PUT, body=body, **at)).outcome

        assert await put(env["id"], kind="policy") == (400, "invalid_object")
        assert await put(env["id"], id="x") == (400, "invalid_object")
        assert await put("x") == (400, "invalid_label")
        assert await put(5) == (400, "invalid_label")
        bad = await stage.server.call(PUT, body=b"{", kind="node", id=node.id)
        assert bad.outcome == (400, "invalid_body")
        assert await put(env["id"], id=STRANGER) == (404, "object_not_found")
        assert await put(STRANGER) == (404, "label_definition_not_found")
        assert await put(elsewhere["id"]) == (422, "label_not_applicable")
        assert await put(resources["id"]) == (422, "label_not_applicable")
        assert await put(env["id"], "prod") == (422, "label_value_invalid")
        assert await put(env["id"], ["test"]) == (422, "label_value_invalid")
        assert await put(many["id"], ["test", "live"]) == (200, None)
        assert await put(many["id"], ["test", "live", "test"]) == (422, "label_value_invalid")
        assert await put(bound["id"], "a") == (200, None)
        assert await put(bound["id"], "a") == (200, None)
        assert await put(bound["id"], "b") == (409, "label_immutable")
        query = {"qualified_key": ("platform/fixed",)}
        kept = await stage.server.call(DELETE, query=query, kind="node", id=node.id)
        assert kept.outcome == (409, "label_immutable")
        for asked in ({}, {"qualified_key": ("",)}, {"qualified_key": ("a", "b")}):
            refused = await stage.server.call(DELETE, query=asked, kind="node", id=node.id)
            assert refused.outcome == (400, "invalid_label")


@pytest.mark.parametrize("door", [PUT, DELETE, LIST])
async def test_the_relation_comes_before_existence(door: str) -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        nobody = stage.server.operator("nobody", ("auditor", "*"))
        assert (await stage.server.call(door, token=None, kind="node", id=node.id)).outcome[0] == 401
        for object_id in (node.id, STRANGER):
            refused = await stage.server.call(door, token=nobody, kind="node", id=object_id)
            assert refused.outcome == (403, "permission_denied")


async def test_a_node_that_left_carries_nothing() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await stage.server.call("nodes.delete_node", id=node.id)
        gone = await stage.server.call(LIST, kind="node", id=node.id)
        assert gone.outcome == (404, "object_not_found")
