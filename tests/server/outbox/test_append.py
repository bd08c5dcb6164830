"""The one door into the outbox (OUT-1, OUT-6, OUT-10, OUT-11, TYPE-1, TYPE-2)."""

import json
from itertools import product

import pytest
from sqlalchemy import select

from reference_server.envelope import model, signing
from reference_server.outbox import append, lifecycle, schemas, wire_types
from reference_server.outbox.append import AppendRefused
from reference_server.outbox.lifecycle import Move, Status
from reference_server.ports import Change
from reference_server.store import node_bytes, tables
from tests.server.bus import SOURCE, opened, payload_for

_rows = tables.outbox_events


async def test_a_row_holds_what_it_needs_to_leave() -> None:
    async with opened() as bus:
        domain, nodes = bus.ids.uuid7(), [bus.ids.uuid7() for _ in range(3)]
        key_id = await bus.provision(domain)
        spaced = b' { "node_id" : "%b" } ' % nodes[0].encode()
        event_id = await bus.store.change(
            [domain],
            lambda change: append.append(
                change, domain_id=domain, source=SOURCE, recipients=nodes, payload=spaced
            ),
        )
        row = await bus.store.read(lambda connection: connection.execute(select(_rows)).one())
    assert (row.event_id, row.domain_id, row.source, row.key_id) == (event_id, domain, SOURCE, key_id)
    assert node_bytes.unpack(row.recipients) == nodes
    assert row.payload == b'{"node_id":"%b"}' % nodes[0].encode()
    assert row.status == "pending"
    assert row.transaction_id


@pytest.mark.parametrize(
    ("source", "payload", "said"),
    [
        ("NoSuchThing", b"{}", "no outbox type"),
        (SOURCE, b"{}", "schema"),
        (SOURCE, b'{"node_id":"nobody"}', "schema at /node_id"),
        (SOURCE, b'{"node_id":1,"node_id":2}', "repeated"),
        (SOURCE, b"nonsense", "malformed"),
        ("DomainCreated", b'"' + b"x" * append.MAX_WIRE_BYTES + b'"', "too large"),
        ("SigningKeyRotated", b"{}", "signed"),
    ],
)
async def test_what_could_never_leave_is_refused_with_its_transaction(
    source: str, payload: bytes, said: str
) -> None:
    async with opened() as bus:
        node = bus.ids.uuid7()

        def work(change: Change) -> None:
            append.append(change, domain_id="d", source=SOURCE, recipients=[node], payload=payload_for(node))
            append.append(change, domain_id="d", source=source, recipients=[node], payload=payload)

        with pytest.raises(AppendRefused, match=said):
            await bus.store.change(["d"], work)
        assert await bus.statuses() == {}


async def test_the_lock_of_the_domain_must_be_held() -> None:
    async with opened() as bus:
        with pytest.raises(AppendRefused, match="lock"):
            await bus.store.change(
                ["other"],
                lambda change: append.append(
                    change, domain_id="d", source="DomainCreated", recipients=[], payload=b"{}"
                ),
            )


async def test_the_largest_payload_still_fits_the_wire() -> None:
    envelope = model.build(
        event_id="0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a1",
        event_type=max(wire_types.WireType, key=len),
        domain_id="0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a1",
        key_id="k" * 100,
        issued_at=1_700_000_000_123_456,
        payload=b'"' + b"x" * (append.MAX_PAYLOAD_BYTES - 2) + b'"',
        signing_key=signing.key_pair(b"s" * 32)[1],
    )
    assert len(envelope.wire) <= append.MAX_WIRE_BYTES


async def test_a_rotation_is_kept_as_signed() -> None:
    async with opened() as bus:
        domain, node = bus.ids.uuid7(), bus.ids.uuid7()
        old = await bus.provision(domain)
        await bus.rotate(domain, [node], old, "key-1")
        row = await bus.store.read(lambda connection: connection.execute(select(_rows)).one())
        envelope = model.parse(row.envelope)
        assert (row.key_id, envelope.key_id, envelope.id) == (old, old, row.event_id)
        assert envelope.verified_by(await bus.public_key(old))


async def test_only_a_rotation_of_this_domain_is_taken_signed() -> None:
    async with opened() as bus:
        key = signing.key_pair(b"s" * 32)[1]
        body = model.build(
            event_id="e",
            event_type="peer_deregistered",
            domain_id="d",
            key_id="k",
            issued_at=0,
            payload=b"{}",
            signing_key=key,
        )
        with pytest.raises(AppendRefused, match="not a signed rotation"):
            await bus.store.change(
                ["d"], lambda change: append.append_signed(change, recipients=[], body=body)
            )


def test_the_table_of_types_is_closed_and_unambiguous() -> None:
    sources = [source for family in wire_types.FAMILIES for source in family.sources]
    assert len(sources) == len(set(sources))
    assert not wire_types.UNPUBLISHED.intersection(sources)
    assert {family.wire for family in wire_types.FAMILIES} == set(wire_types.WireType)
    assert len(wire_types.WireType) == 14
    for family in wire_types.FAMILIES:
        assert wire_types.wire_type_for(wire_types.source_for(family.wire)) is family.wire
    for source in wire_types.UNPUBLISHED:
        assert wire_types.wire_type_for(source) is None
    with pytest.raises(wire_types.UnknownSource):
        wire_types.wire_type_for("peer_registered")


@pytest.mark.parametrize("family", wire_types.FAMILIES, ids=lambda family: family.wire)
def test_every_type_has_its_schema(family: wire_types.Family) -> None:
    assert schemas.fault_of(family.schema, json.loads(b"[]")) == "/"


@pytest.mark.parametrize(("status", "move"), list(product(Status, Move)))
def test_the_lifecycle_is_total(status: Status, move: Move) -> None:
    ended = status in (Status.PUBLISHED, Status.SETTLED, Status.DISCARDED)
    illegal = ended or (status is Status.PENDING and move is Move.DISCARD)
    if illegal:
        with pytest.raises(lifecycle.IllegalMove):
            lifecycle.after(status, move)
    else:
        assert lifecycle.after(status, move) is lifecycle.MOVES[status, move]
