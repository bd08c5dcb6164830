"""The doors of bootstrap tokens."""

import base64
import re
import uuid

import pytest
from sqlalchemy import select

from reference_server.control import bootstrap_tokens
from reference_server.errors import Refusal
from reference_server.store import tables
from tests.server import tenancy

STRANGER = "0198c0de-0000-7000-8000-0000000000ff"
GOOD: dict[str, object] = {"kind": "node", "env_prefix": "prod", "ttl_seconds": 600}
GRAMMAR = re.compile(r"^psb_[a-z]+_[a-z2-7]+_(node|bridge)_[a-z2-7]{20,}$")


async def test_an_issued_token_is_seen_once_and_found_by_its_metadata() -> None:
    async with tenancy.opened() as server:
        project = await server.project(await server.domain())
        made = await server.call("bootstrap_tokens.issue_bootstrap_token", body=GOOD, project_id=project)
        issued = made.json(201)
        assert made.response is not None
        path = f"/v1/projects/{project}/bootstrap-tokens/{issued['token_id']}"
        assert made.response.headers == ((b"Location", path.encode()),)
        assert list(issued) == ["token_id", "token", "issued_at", "expires_at"]
        assert GRAMMAR.fullmatch(issued["token"])
        segment = issued["token"].split("_")[2].upper()
        assert uuid.UUID(bytes=base64.b32decode(segment + "======")) == uuid.UUID(project)
        ids = {"project_id": project, "id": issued["token_id"]}
        read = (await server.call("bootstrap_tokens.get_bootstrap_token_metadata", **ids)).json()
        assert list(read) == [
            "id",
            "project_id",
            "kind",
            "env_prefix",
            "issued_at",
            "expires_at",
            "issued_by_user_id",
        ]
        assert uuid.UUID(read["issued_by_user_id"])
        listed = (await server.call("bootstrap_tokens.list_bootstrap_tokens", project_id=project)).json()
        assert listed == {"items": [read]}
        stored = await server.scalar(select(tables.bootstrap_tokens.c.token_hash))
        assert stored.startswith(b"$argon2id$") and issued["token"].encode() not in stored


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ttl_seconds": "600"}, "invalid_body"),
        ({"ttl_seconds": True}, "invalid_body"),
        ({"ttl_seconds": 299}, "invalid_bootstrap_token_request"),
        ({"ttl_seconds": 86_401}, "invalid_bootstrap_token_request"),
        ({"kind": "router"}, "invalid_bootstrap_token_request"),
        ({"env_prefix": ""}, "invalid_bootstrap_token_request"),
        ({"env_prefix": "Prod"}, "invalid_bootstrap_token_request"),
        ({"env_prefix": "x" * 33}, "invalid_bootstrap_token_request"),
    ],
)
async def test_what_issuing_refuses(change: dict[str, object], code: str) -> None:
    async with tenancy.opened() as server:
        project = await server.project(await server.domain())
        body = GOOD | change
        refused = await server.call("bootstrap_tokens.issue_bootstrap_token", body=body, project_id=project)
        assert refused.outcome == (400, code)


async def test_revoking_is_terminal() -> None:
    async with tenancy.opened() as server:
        project = await server.project(await server.domain())
        door = "bootstrap_tokens.revoke_bootstrap_token"
        issued = await server.call("bootstrap_tokens.issue_bootstrap_token", body=GOOD, project_id=project)
        ids = {"project_id": project, "id": issued.json(201)["token_id"]}
        assert (await server.call(door, **ids)).outcome == (204, None)
        assert (await server.call(door, **ids)).outcome == (409, "bootstrap_token_settled")
        read = (await server.call("bootstrap_tokens.get_bootstrap_token_metadata", **ids)).json()
        assert "revoked_at" in read and "consumed_at" not in read


async def test_ids_and_relations() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        project, other = await server.project(domain), await server.project(domain, "other")
        issued = await server.call("bootstrap_tokens.issue_bootstrap_token", body=GOOD, project_id=project)
        token_id = issued.json(201)["token_id"]
        nobody = server.operator("nobody")
        for name in ("get_bootstrap_token_metadata", "revoke_bootstrap_token"):
            door = f"bootstrap_tokens.{name}"
            ask = [
                (nobody, project, token_id, (403, "permission_denied")),
                (None, project, token_id, (401, "unauthenticated")),
                (tenancy.ROOT_TOKEN, "x", token_id, (400, "invalid_project_id")),
                (tenancy.ROOT_TOKEN, project, "x", (400, "invalid_bootstrap_token_id")),
                (tenancy.ROOT_TOKEN, other, token_id, (404, "bootstrap_token_not_found")),
                (tenancy.ROOT_TOKEN, project, STRANGER, (404, "bootstrap_token_not_found")),
                (tenancy.ROOT_TOKEN, STRANGER, token_id, (404, "project_not_found")),
            ]
            for token, project_id, asked, expected in ask:
                answer = await server.call(door, token=token, project_id=project_id, id=asked)
                assert answer.outcome == expected
        for name in ("issue_bootstrap_token", "list_bootstrap_tokens"):
            door = f"bootstrap_tokens.{name}"
            missing = await server.call(door, body=GOOD, project_id=STRANGER)
            assert missing.outcome == (404, "project_not_found")


@pytest.mark.parametrize(
    "plaintext",
    [
        "",
        "psb",
        "psb_Dev_aguga3qaabyabaaaaaaaaaaaaa_node_" + "a" * 58,
        "psb_dev_aguga3qaabyabaaaaaaaaaaaaa_router_" + "a" * 58,
        "psb_dev_aguga3qaabyabaaaaaaaaaaaaa_node_" + "a" * 19,
        "psb_dev_aguga3qaabyabaaaaaaaaaaaaa_node_" + "1" * 58,
        "psb_dev_aaaa_node_" + "a" * 58,
        "psb_dev_aguga3qaabyabaaaaaaaaaaaab_node_" + "a" * 58,
        "psb_dev_aguga3qaabyabaaaaaaaaaaaaa_node_" + "a" * 58 + "\n",
    ],
)
def test_other_grammars(plaintext: str) -> None:
    with pytest.raises(Refusal) as caught:
        bootstrap_tokens.present(plaintext)
    assert (caught.value.status, caught.value.code) == (422, "bootstrap_token_invalid")


def test_a_token_of_another_length_is_well_formed_but_none_of_ours() -> None:
    presented = bootstrap_tokens.present("psb_dev_aguga3qaabyabaaaaaaaaaaaaa_node_" + "a" * 20)
    assert presented.token_id is None
