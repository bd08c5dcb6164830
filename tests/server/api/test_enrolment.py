"""Both doors into a Domain: all or nothing, in the published order (PROD-1, KEY-1, PULL-3)."""

import base64
import json
from typing import Any

import pytest
import trio
from sqlalchemy import select, update

from reference_server.control import credentials
from reference_server.ports import Caller
from reference_server.store import tables
from tests.server import tenancy

STRANGER = "0198c0de-0000-7000-8000-0000000000ff"
DOOR = "enrolment.post_register"


class Site:
    """A Project with a Resource and a token, and the body that redeems it."""

    def __init__(self, server: tenancy.Tenancy) -> None:
        self.server = server
        self.domain = self.project = self.resource = ""
        self.body: dict[str, object] = {}

    async def build(self, *, kind: str = "node", resource_kind: str = "vm", **domain: Any) -> "Site":
        self.domain = await self.server.domain(**domain)
        self.project = await self.server.project(self.domain)
        self.resource = await self.server.resource(self.project, kind=resource_kind)
        self.body = {
            "project_id": self.project,
            "resource_handle": "edge-1",
            "bootstrap_token": await self.server.bootstrap_token(self.project, kind),
            "nonce": "first-boot",
            "public_key": tenancy.public_key("one"),
        }
        return self

    async def register(self, **change: object) -> tenancy.Answer:
        return await self.server.call(DOOR, token=None, body=self.body | change)

    async def is_untouched(self) -> bool:
        used = await self.server.rows(select(tables.bootstrap_tokens.c.consumed_at))
        empty = [tables.nodes, tables.peers, tables.node_secret_keys, tables.register_nonces]
        return {row.consumed_at for row in used} == {None} and not any(
            [await self.server.count(table) for table in empty]
        )


async def outbox(server: tenancy.Tenancy) -> list[Any]:
    table = tables.outbox_events
    rows = (
        select(table).where(table.c.source.in_(["NodeRegistered", "NodeDeregistered"])).order_by(table.c.id)
    )
    return await server.rows(rows)


async def test_a_registration_gives_everything_once() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        document = (await site.register()).json(201)
        assert list(document) == [
            "node_id",
            "mesh_ip",
            "signing_public_key",
            "signing_key_id",
            "nsk",
            "peer_snapshot",
            "domain_mesh_cidr",
            "credential",
        ]
        assert (document["mesh_ip"], document["domain_mesh_cidr"]) == ("10.1.0.1", "10.1.0.0/24")
        assert document["peer_snapshot"] == []
        assert len(base64.b64decode(document["nsk"])) == 32
        assert len(base64.b64decode(document["signing_public_key"])) == 32
        given = credentials.parse(document["credential"].encode())
        assert given is not None and given.secret == base64.b64decode(document["nsk"])
        bearer = b"Bearer " + document["credential"].encode()
        assert await server.resolver.resolve([bearer]) == Caller(node_id=document["node_id"])
        node = (await server.rows(select(tables.nodes)))[0]
        assert (node.project_id, node.resource_id, node.kind) == (site.project, site.resource, "vm")
        assert node.reachability == "never_reported" and node.registered_rung == 0
        assert await server.scalar(select(tables.bootstrap_tokens.c.consumed_at)) == node.created_at


async def test_nothing_secret_is_stored_in_the_clear() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        document = (await site.register()).json(201)
        secrets = [str(site.body["bootstrap_token"]).encode(), base64.b64decode(document["nsk"])]
        secrets += [document["nsk"].encode(), document["credential"].encode()]
        for table in tables.metadata.sorted_tables:
            for row in await server.rows(select(table)):
                for value in row:
                    octets = value if isinstance(value, bytes) else str(value).encode()
                    assert not any(secret in octets for secret in secrets), table.name


async def test_the_others_are_told_exactly_what_the_pull_will_hold() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        first = await server.node(site.domain, "a")
        second = await server.node(site.domain, "b")
        gone = await server.node(site.domain, "c")
        await server.call("nodes.delete_node", id=gone["node_id"])
        third = (await site.register()).json(201)
        rows = await outbox(server)
        assert [row.source for row in rows] == ["NodeRegistered"] * 3 + ["NodeDeregistered", "NodeRegistered"]
        told = [_ids(row.recipients) for row in rows]
        pair = sorted([first["node_id"], second["node_id"]])
        assert told[0] == [] and sorted(told[4]) == pair and sorted(told[3]) == pair
        assert json.loads(rows[3].payload) == {"node_id": gone["node_id"]}
        assert third["peer_snapshot"] == [json.loads(rows[0].payload), json.loads(rows[1].payload)]
        assert list(json.loads(rows[4].payload)) == ["node_id", "mesh_ip", "public_key"]
        assert json.loads(rows[4].payload)["public_key"] == site.body["public_key"]


async def test_row_audit_and_node_share_a_transaction() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        await site.register()
        row = (await outbox(server))[0]
        audit = tables.audit_entries
        entries = await server.rows(
            select(audit.c.canonical).where(audit.c.transaction_id == row.transaction_id)
        )
        assert [json.loads(entry.canonical)["relation"] for entry in entries] == ["node.register"]
        key_id = await server.scalar(select(tables.signing_keys.c.key_id))
        assert row.key_id == key_id


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"public_key": "x", "bootstrap_token": ""}, (400, "public_key_invalid")),
        ({"public_key": None}, (400, "public_key_invalid")),
        ({"public_key": "A" * 43 + "="}, (400, "public_key_invalid")),
        ({"public_key": base64.b64encode(b"x" * 31).decode()}, (400, "public_key_invalid")),
        ({"public_key": "-" * 43 + "="}, (400, "public_key_invalid")),
        ({"project_id": "x"}, (422, "invariant_violation")),
        ({"project_id": "00000000-0000-0000-0000-000000000000"}, (422, "invariant_violation")),
        ({"project_id": 5}, (422, "invariant_violation")),
        ({"resource_handle": ""}, (422, "invariant_violation")),
        ({"resource_handle": "x" * 4097}, (422, "invariant_violation")),
        ({"nonce": " "}, (422, "invariant_violation")),
        ({"nonce": None}, (422, "invariant_violation")),
        ({"bootstrap_token": ""}, (422, "invariant_violation")),
        ({"requested_resource_id": 3}, (422, "invariant_violation")),
        ({"bootstrap_token": "psb_nonsense"}, (422, "bootstrap_token_invalid")),
        ({"project_id": STRANGER}, (403, "project_mismatch")),
        ({"resource_handle": "edge-9"}, (404, "resource_not_found")),
        ({"requested_resource_id": STRANGER}, (404, "resource_not_found")),
        ({"requested_resource_id": "anything"}, (404, "resource_not_found")),
    ],
)
async def test_a_refused_registration_leaves_nothing(
    change: dict[str, object], expected: tuple[int, str]
) -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        assert (await site.register(**change)).outcome == expected
        assert await site.is_untouched()
        assert (await site.register()).outcome == (201, None)


@pytest.mark.parametrize("sent", [b"", b"[]", b"{", b'{"nonce":"a","nonce":"b"}', b'{"nonce":"\\ud800"}'])
async def test_what_is_no_document_is_400(sent: bytes) -> None:
    async with tenancy.opened() as server:
        assert (await server.call(DOOR, token=None, body=sent)).outcome == (400, "invalid_body")


async def test_a_token_is_used_once() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        await site.register()
        assert (await site.register(nonce="second")).outcome == (403, "token_consumed")


async def test_a_token_expires_and_can_be_revoked() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        token_id = await server.scalar(select(tables.bootstrap_tokens.c.id))
        server.clock.advance(301)
        assert (await site.register()).outcome == (403, "token_expired")
        ids = {"project_id": site.project, "id": token_id}
        await server.call("bootstrap_tokens.revoke_bootstrap_token", **ids)
        assert (await site.register()).outcome == (403, "token_revoked")


async def test_a_token_nobody_issued() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        token = str(site.body["bootstrap_token"])
        last = "b" if token[-1] == "a" else "a"
        for forged in (token[:-1] + last, token.replace("psb_test", "psb_prod"), token[:-38]):
            refused = await site.register(bootstrap_token=forged)
            assert refused.outcome == (403, "token_unknown"), forged
            assert token not in json.dumps(refused.problem())


async def test_a_project_that_is_gone() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        lost = tables.projects.delete().where(tables.projects.c.id == site.project)
        await server.store.change([site.domain], lambda change: change.connection.execute(lost))
        assert (await site.register()).outcome == (404, "project_not_found")


async def test_a_nonce_is_used_once_in_its_project() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        await site.register()
        fresh = await server.bootstrap_token(site.project)
        assert (await site.register(bootstrap_token=fresh)).outcome == (403, "nonce_collision")
        again = await site.register(
            bootstrap_token=fresh, nonce="second", public_key=tenancy.public_key("two")
        )
        assert again.outcome == (201, None)


@pytest.mark.parametrize(("kind", "hosts"), [("node", "bridge"), ("bridge", "vm")])
async def test_kinds_go_together(kind: str, hosts: str) -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build(kind=kind, resource_kind=hosts)
        assert (await site.register()).outcome == (403, "kind_mismatch")
        assert await site.is_untouched()


async def test_a_bridge_registers_with_a_bridge_token() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build(kind="bridge", resource_kind="bridge")
        node = (await site.register()).json(201)["node_id"]
        assert await server.scalar(select(tables.nodes.c.kind).where(tables.nodes.c.id == node)) == "bridge"


async def test_a_resource_asked_for_by_id_goes_before_the_handle() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        wanted = await server.resource(site.project, "edge-2")
        await site.register(requested_resource_id=wanted.upper())
        assert await server.scalar(select(tables.nodes.c.resource_id)) == wanted


async def test_a_resource_of_another_project_is_none() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        foreign = await server.resource(await server.project(site.domain, "other"))
        refused = await site.register(requested_resource_id=foreign)
        assert refused.outcome == (404, "resource_not_found")


async def test_without_a_signing_key_the_token_stays_unused_and_the_operators_door_works() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build(signing_key="none")
        assert (await site.register()).outcome == (503, "signing_key_not_provisioned")
        assert await site.is_untouched()
        made = await server.node(site.domain, "a")
        assert "signing_key_id" not in made and "signing_public_key" not in made
        assert (await outbox(server))[0].key_id is None


async def test_exhausted_ranges_leave_the_token_unused() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build(cidr="10.1.0.0/32")
        await server.node(site.domain, "a")
        assert (await site.register()).outcome == (503, "pool_exhausted")
        narrow = update(tables.projects).values(sub_range_cidr="10.1.0.0/32")
        await server.store.change([site.domain], lambda change: change.connection.execute(narrow))
        assert (await site.register()).outcome == (503, "subrange_exhausted")
        assert await server.count(tables.nodes) == 1
        assert await server.scalar(select(tables.bootstrap_tokens.c.consumed_at)) is None


async def test_one_token_in_many_hands_makes_one_node() -> None:
    async with tenancy.opened() as server:
        site = await Site(server).build()
        outcomes: list[tuple[int, str | None]] = []

        async def redeem(number: int) -> None:
            outcomes.append((await site.register(nonce=f"n-{number}")).outcome)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(redeem, number)
        assert sorted(outcomes, key=str) == [(201, None)] + [(403, "token_consumed")] * 7
        assert await server.count(tables.nodes) == 1


async def test_keys_are_stored_in_their_one_spelling() -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        canonical = base64.b64encode(b"\x01" * 32).decode()
        sloppy = canonical[:42] + chr(ord(canonical[42]) + 1) + "="
        assert base64.b64decode(sloppy) == b"\x01" * 32 and sloppy != canonical
        await server.node(domain, public_key=sloppy)
        assert await server.scalar(select(tables.peers.c.public_key)) == canonical


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", (400, "invalid_body")),
        ({"colour": 1}, (400, "invalid_body")),
        ({"name": 1}, (400, "invalid_body")),
        ({"public_key": ""}, (400, "public_key_invalid")),
        ({"name": " "}, (400, "invalid_node")),
        ({"name": "x" * 256}, (400, "invalid_node")),
        ({"kind": "x" * 65}, (400, "invalid_node")),
        ({"project_id": "x"}, (400, "invalid_node")),
        ({"resource_handle": "edge-1"}, (400, "invalid_node")),
        ({"project_id": STRANGER}, (404, "project_not_found")),
        ({"project_id": STRANGER, "resource_handle": "edge-1"}, (404, "resource_not_found")),
    ],
)
async def test_what_the_operators_door_refuses(body: Any, expected: tuple[int, str]) -> None:
    async with tenancy.opened() as server:
        domain = await server.domain()
        sent = body if isinstance(body, bytes) else {"public_key": tenancy.public_key("a")} | body
        refused = await server.call("enrolment.create_domain_node", body=sent, id=domain)
        assert refused.outcome == expected
        assert await server.count(tables.nodes) == 0


async def test_who_may_use_the_operators_door() -> None:
    async with tenancy.opened() as server:
        domain, elsewhere = await server.domain(), await server.domain("other", "10.2.0.0/24")
        foreign = await server.project(elsewhere)
        lead = server.operator("lead", ("manage", f"domain:{domain}"))
        body = {"public_key": tenancy.public_key("a"), "name": "edge", "kind": "worker"}
        ask = [
            (None, domain, body, (401, "unauthenticated")),
            (lead, "x", body, (400, "invalid_domain_id")),
            (lead, STRANGER, body, (403, "permission_denied")),
            (tenancy.ROOT_TOKEN, STRANGER, body, (404, "domain_not_found")),
            (lead, domain, body | {"project_id": foreign}, (404, "project_not_found")),
            (lead, domain, body, (201, None)),
        ]
        for token, domain_id, sent, expected in ask:
            answer = await server.call("enrolment.create_domain_node", token=token, body=sent, id=domain_id)
            assert answer.outcome == expected


def _ids(packed: bytes) -> list[str]:
    texts = [packed[at : at + 16].hex() for at in range(0, len(packed), 16)]
    return [f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in texts]
