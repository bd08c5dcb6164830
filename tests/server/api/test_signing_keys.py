"""The doors of signing keys: provision, rotate, list, and the ladder of KEY-6."""

import base64
import json
from typing import Any

import pytest
from sqlalchemy import select, update

from reference_server.envelope import model, signing
from reference_server.store import tables
from tests.server import surface
from tests.server.surface import Surface

PROVISION = "signing_keys.provision_signing_key"
ROTATE = "signing_keys.rotate_signing_key"
LIST = "signing_keys.list_signing_keys"
LADDER = "signing_keys.get_node_signing_keys"
STRANGER = "0198c0de-0000-7000-8000-0000000000ff"


async def rotate(stage: Surface) -> dict[str, Any]:
    body = {"transition_seconds": 60}
    return (await stage.server.call(ROTATE, body=body, id=stage.domain_id)).json()


async def keys(stage: Surface) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await stage.server.call(LIST, id=stage.domain_id)).json()["items"]
    return items


async def test_provisioning_once_stamps_what_waited() -> None:
    async with surface.opened(signing_key="none") as stage:
        await stage.node("one")
        assert [row.key_id for row in await stage.rows("NodeRegistered")] == [None]
        made = (await stage.server.call(PROVISION, id=stage.domain_id)).json(201)
        assert made["active"] is True
        assert made["key_id"].startswith("did:web:plexsphere.com#")
        assert len(base64.b64decode(made["public_key"])) == 32
        assert await keys(stage) == [made]
        assert [row.key_id for row in await stage.rows("NodeRegistered")] == [made["key_id"]]
        again = await stage.server.call(PROVISION, id=stage.domain_id)
        assert again.outcome == (409, "signing_key_exists")
        assert len(await stage.audited("signing_key.provision")) == 1


async def test_a_rotation_is_signed_by_the_outgoing_key_in_its_own_transaction() -> None:
    async with surface.opened() as stage:
        nodes = [await stage.node(seed) for seed in ("one", "two")]
        (old,) = await keys(stage)
        told = await rotate(stage)
        retired, active = await keys(stage)
        assert (retired["key_id"], retired["active"]) == (old["key_id"], False)
        assert retired["transition_expires"] == told["transition_expires"]
        assert (active["key_id"], active["active"]) == (told["key_id"], True)
        assert active["key_id"] != old["key_id"]
        (row,) = await stage.rows("SigningKeyRotated")
        assert sorted(row.recipients) == sorted(node.id for node in nodes)
        assert (row.key_id, row.payload) == (old["key_id"], told)
        assert told["previous_key_id"] == old["key_id"]
        stored = await stage.server.rows(select(tables.signing_key_rotations))
        outbox = await stage.server.rows(
            select(tables.outbox_events).where(tables.outbox_events.c.source == "SigningKeyRotated")
        )
        assert stored[0].envelope == outbox[0].envelope
        assert (stored[0].rung, stored[0].outbox_id, stored[0].event_id) == (
            1,
            outbox[0].id,
            outbox[0].event_id,
        )
        envelope = model.parse(stored[0].envelope)
        assert envelope.scope == f"domain:{stage.domain_id}"
        assert envelope.verified_by(base64.b64decode(old["public_key"]))
        assert not envelope.verified_by(base64.b64decode(active["public_key"]))
        (entry,) = await stage.audited("signing_key.rotate")
        assert entry["transaction_id"] == row.transaction_id
        await stage.node("three")
        assert (await stage.rows("NodeRegistered"))[-1].key_id == active["key_id"]


async def test_a_private_part_is_destroyed_once_no_unsent_row_names_it() -> None:
    async with surface.opened() as stage:
        await stage.node("one")
        table = tables.signing_keys
        sealed = select(table.c.sealed_seed).order_by(table.c.rung)
        await rotate(stage)
        assert [row[0] is None for row in await stage.server.rows(sealed)] == [False, False]
        sent = update(tables.outbox_events).values(status="published")
        await stage.server.store.change([], lambda change: change.connection.execute(sent))
        await rotate(stage)
        assert [row[0] is None for row in await stage.server.rows(sealed)] == [True, True, False]


async def test_the_ladder_leads_from_the_key_of_registration_to_the_active_one() -> None:
    async with surface.opened() as stage:
        early = await stage.node("one")
        await rotate(stage)
        late = await stage.node("two")
        await rotate(stage)
        first, second, third = await keys(stage)
        wires = [row.envelope for row in await stage.server.rows(select(tables.signing_key_rotations))]
        climbed = await early.call(LADDER)
        assert climbed.json()["pinned_key_id"] == first["key_id"]
        assert climbed.json()["active_key_id"] == third["key_id"]
        assert climbed.json()["active_public_key"] == third["public_key"]
        assert climbed.response is not None
        assert b'"rotations":[' + b",".join(wires) + b"]" in climbed.response.body
        short = (await late.call(LADDER)).json()
        assert (short["pinned_key_id"], short["pinned_public_key"]) == (
            second["key_id"],
            second["public_key"],
        )
        assert [rotation["payload"]["key_id"] for rotation in short["rotations"]] == [third["key_id"]]
        key = base64.b64decode(climbed.json()["pinned_public_key"])
        for wire in wires:
            envelope = model.parse(wire)
            assert signing.verify(envelope.canonical, envelope.signature, key)
            key = base64.b64decode(json.loads(envelope.payload)["public_key"])
        assert base64.b64encode(key).decode() == third["public_key"]


async def test_a_node_that_got_no_key_pins_the_first_one() -> None:
    async with surface.opened(signing_key="none") as stage:
        node = await stage.node("one")
        assert (await node.call(LADDER)).outcome == (503, "signing_key_not_provisioned")
        made = (await stage.server.call(PROVISION, id=stage.domain_id)).json(201)
        await rotate(stage)
        climbed = (await node.call(LADDER)).json()
        assert climbed["pinned_key_id"] == made["key_id"]
        assert len(climbed["rotations"]) == 1


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"{", (400, "invalid_body")),
        (b"", (400, "invalid_body")),
        ({}, (400, "invalid_transition")),
        ({"transition_seconds": "60"}, (400, "invalid_transition")),
        ({"transition_seconds": 59}, (400, "invalid_transition")),
        ({"transition_seconds": 604_801}, (400, "invalid_transition")),
        ({"transition_seconds": 60}, (409, "signing_key_missing")),
        ({"transition_seconds": 604_800}, (409, "signing_key_missing")),
    ],
)
async def test_refusals_of_a_rotation(body: object, outcome: tuple[int, str]) -> None:
    async with surface.opened(signing_key="none") as stage:
        assert (await stage.server.call(ROTATE, body=body, id=stage.domain_id)).outcome == outcome


@pytest.mark.parametrize("door", [PROVISION, ROTATE, LIST])
async def test_refusals_of_the_operators_doors(door: str) -> None:
    async with surface.opened() as stage:
        call, body = stage.server.call, {"transition_seconds": 60}
        reader = stage.server.operator("reader", ("read", "*"))
        assert (await call(door, token=None, id=stage.domain_id)).outcome == (401, "unauthenticated")
        assert (await call(door, body=body, id="x")).outcome == (400, "invalid_domain_id")
        for domain_id in (stage.domain_id, STRANGER):
            refused = await call(door, token=reader, body=body, id=domain_id)
            assert refused.outcome == (403, "permission_denied")
        assert (await call(door, body=body, id=STRANGER)).outcome == (404, "domain_not_found")


async def test_refusals_of_the_ladder() -> None:
    async with surface.opened() as stage:
        node, other = await stage.node("one"), await stage.node("two")
        everywhere = stage.server.operator("everywhere", ("node-agent", "*"))
        assert (await stage.server.call(LADDER, token=None, id=node.id)).outcome == (401, "unauthenticated")
        assert (await other.call(LADDER, id=node.id)).outcome == (403, "node_id_mismatch")
        refused = await stage.server.call(LADDER, id=node.id)
        assert refused.outcome == (403, "insufficient_relation")
        missing = await stage.server.call(LADDER, token=everywhere, id=STRANGER)
        assert missing.outcome == (404, "node_not_found")


async def test_no_answer_holds_a_private_part() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        rows = await stage.server.rows(select(tables.signing_keys.c.sealed_seed))
        seed = stage.server.keyring.unseal(rows[0].sealed_seed)
        answers = [await stage.server.call(LIST, id=stage.domain_id), await node.call(LADDER)]
        for answered in answers:
            assert answered.response is not None
            for secret in (seed, rows[0].sealed_seed):
                assert base64.b64encode(secret) not in answered.response.body
                assert secret.hex().encode() not in answered.response.body
