"""The order of 401, 400 and 403, and the codes of each door (GATE-5…7, [401n])."""

from collections.abc import Awaitable
from typing import Any

import pytest

from reference_server.api.admission import uuid_of
from reference_server.control import nodes
from reference_server.errors import Refusal
from reference_server.ports import Caller
from reference_server.wire.messages import Request
from tests.server import tenancy

STRANGER = "0198c0de-0000-7000-8000-0000000000ff"


def bearing(*tokens: str) -> Request:
    return tenancy.request(headers=tuple((b"authorization", b"Bearer " + token.encode()) for token in tokens))


async def outcome(asked: Awaitable[Any]) -> tuple[int, str | None]:
    try:
        await asked
    except Refusal as refusal:
        return refusal.status, refusal.code
    return 200, None


async def test_the_nodes_write_surface() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        mine, other = await server.node(domain, "a"), await server.node(domain, "b")
        door = server.admission.node
        ask = [
            (tenancy.request(), mine["node_id"], (401, "unauthorized")),
            (
                tenancy.request(headers=((b"authorization", b"Basic x"),)),
                mine["node_id"],
                (401, "unauthorized"),
            ),
            (bearing(mine["credential"], mine["credential"]), mine["node_id"], (401, "unauthorized")),
            (bearing("nobodys-token-at-all"), mine["node_id"], (401, "nsk_invalid")),
            (bearing(tenancy.ROOT_TOKEN), mine["node_id"], (401, "nsk_invalid")),
            (bearing(mine["nsk"]), mine["node_id"], (401, "nsk_invalid")),
            (bearing(mine["credential"]), "no-uuid", (400, "invalid_node_id")),
            (bearing(mine["credential"]), other["node_id"], (403, "node_id_mismatch")),
            (bearing(mine["credential"]), STRANGER, (403, "node_id_mismatch")),
            (bearing(mine["credential"]), mine["node_id"].upper(), (200, None)),
        ]
        for asked, path_id, expected in ask:
            assert await outcome(door(asked, path_id)) == expected, expected
        assert await door(bearing(mine["credential"]), mine["node_id"]) == Caller(node_id=mine["node_id"])
        await server.store.change(
            [domain], lambda change: nodes.revoke_credential(change, node_id=mine["node_id"])
        )
        assert await outcome(door(bearing(mine["credential"]), other["node_id"])) == (401, "nsk_revoked")


async def test_reading_a_nodes_own_things() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        mine, other = await server.node(domain, "a"), await server.node(domain, "b")
        agent = server.operator("agent", ("node-agent", f"domain:{domain}"))
        door = server.admission.node_or_operator
        ask = [
            (tenancy.request(), "no-uuid", (401, "unauthenticated")),
            (bearing(agent), "no-uuid", (400, "invalid_node_id")),
            (bearing(mine["credential"]), other["node_id"], (403, "node_id_mismatch")),
            (bearing(mine["credential"]), STRANGER, (403, "node_id_mismatch")),
            (bearing(tenancy.ROOT_TOKEN), mine["node_id"], (403, "insufficient_relation")),
            (bearing(agent), STRANGER, (403, "insufficient_relation")),
            (bearing(agent), mine["node_id"], (200, None)),
            (bearing(mine["credential"]), mine["node_id"], (200, None)),
        ]
        for asked, path_id, expected in ask:
            assert await outcome(door(asked, path_id)) == expected, expected


async def test_an_operators_door_takes_no_node_and_no_cookie() -> None:
    async with tenancy.opened() as server:
        mine = await server.node(await server.domain())
        assert await outcome(server.admission.operator(bearing(mine["credential"]))) == (
            401,
            "unauthenticated",
        )
        cookie = tenancy.request(headers=((b"cookie", b"plexsphere_session=abc"),))
        assert await outcome(server.admission.operator(cookie)) == (401, "unauthenticated")


async def test_what_cannot_be_decided_is_503_for_known_and_unknown_alike() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        mine = await server.node(domain)
        agent = server.operator("agent", ("node-agent", f"domain:{domain}"))
        server.store.away = True
        for node_id in (mine["node_id"], STRANGER):
            asked = server.admission.node_or_operator(bearing(agent), node_id)
            assert await outcome(asked) == (503, "authz_unavailable")
        assert await outcome(server.admission.caller(bearing(mine["credential"]))) == (
            503,
            "authz_unavailable",
        )


async def test_a_denial_has_reason_and_relation_path() -> None:
    async with tenancy.opened() as server:
        nobody = server.operator("nobody")
        problem = (await server.call("domains.create_domain", token=nobody, body={})).problem()
        assert (problem["code"], problem["reason"]) == ("permission_denied", "insufficient_relation")
        assert problem["relation_path"] == [] and problem["status"] == 403


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        STRANGER[:-1],
        STRANGER + "0",
        "{" + STRANGER + "}",
        STRANGER.replace("-", ""),
        STRANGER + "\n",
    ],
)
def test_other_spellings_are_no_uuid(text: str) -> None:
    assert uuid_of(text) is None


def test_upper_case_is_the_same_uuid() -> None:
    assert uuid_of(STRANGER.upper()) == STRANGER
