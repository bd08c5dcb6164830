"""`relay skipped list|requeue|discard` over a file and over Postgres (OUT-5, OUT-6, AUD-1)."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from reference_server.control import audit_chain
from reference_server.exits import Outcome
from reference_server.ports import Change
from reference_server.store import tables
from tests import process
from tests.server.cli.called import Place, called, refused

ACME, GLOBEX = "018f0000-0000-7000-8000-000000000001", "018f0000-0001-7000-8000-000000000002"
NODE = "018f0000-0000-7000-8000-0000000000aa"


def _skipped(outcome: Outcome, place: Place, *arguments: object) -> str:
    return called(outcome, "relay", "skipped", *arguments, *place.flags).output


def _listed(place: Place, *arguments: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(
        _skipped(Outcome.LISTED, place, "list", "--format", "json", *arguments)
    )
    return told


def _audited(place: Place, chain_id: str) -> list[dict[str, Any]]:
    """The rows of a chain, which must hang together."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        assert audit_chain.verify_chain(connection, chain_id) is None
        entries = tables.audit_entries.c
        found = select(entries.canonical).where(entries.chain_id == chain_id).order_by(entries.seq)
        return [json.loads(canonical) for canonical in connection.execute(found).scalars()]

    return place.read(read)


def _statuses(place: Place) -> dict[int, str]:
    rows = tables.outbox_events.c
    return place.read(
        lambda connection: {
            row_id: status for row_id, status in connection.execute(select(rows.id, rows.status))
        }
    )


def _node(change: Change) -> None:
    row = {"id": NODE, "domain_id": ACME, "project_id": ACME, "name": "a", "mesh_ip": "10.0.0.1"}
    columns = {
        column.name: 0
        for column in tables.nodes.columns
        if not column.nullable and column.server_default is None and column.name not in row
    }
    change.connection.execute(
        insert(tables.nodes), columns | row | {"reconcile": False, "reachability": "healthy"}
    )


def _reconciles(place: Place) -> bool:
    return bool(place.read(lambda connection: connection.execute(select(tables.nodes.c.reconcile)).scalar()))


def test_an_empty_list(place: Place) -> None:
    called(Outcome.MIGRATED, "db", "upgrade", *place.flags)
    assert _skipped(Outcome.LISTED, place, "list") == "0 parked rows\n"
    assert _listed(place) == []


def test_parked_rows_are_listed_by_domain_and_reason(place: Place) -> None:
    rows = place.park(ACME, NODE, "bad_payload", 120)
    [waits] = place.park(GLOBEX, NODE, "no_signing_key")
    assert [row["outbox_id"] for row in _listed(place)] == [*rows, waits]
    assert [row["outbox_id"] for row in _listed(place, "--domain", GLOBEX)] == [waits]
    assert [row["outbox_id"] for row in _listed(place, "--reason", "no_signing_key")] == [waits]
    [told] = _listed(place, "--domain", GLOBEX)
    assert (told["domain_id"], told["source"], told["node_ids"]) == (GLOBEX, "NodeDeregistered", [NODE])
    assert told["parked_at"].endswith("Z")
    table = _skipped(Outcome.LISTED, place, "list").splitlines()
    assert (table[0].split()[0], len(table), table[-1]) == ("ROW", 123, "121 parked rows")
    assert "payload" not in told


def test_a_row_is_discarded_its_nodes_pull_and_it_is_audited(place: Place) -> None:
    place.change([ACME], _node)
    first, second = place.park(ACME, NODE, "bad_payload", 2)
    told = _skipped(Outcome.HANDLED, place, "discard", first)
    assert told == f"row {first} is given up; 1 Nodes are told to pull\n"
    assert _statuses(place) == {first: "discarded", second: "parked"}
    assert [row["outbox_id"] for row in _listed(place)] == [second]
    assert _reconciles(place)
    [entry] = _audited(place, ACME)
    assert (entry["relation"], entry["object"]) == (
        "outbox_row.discard",
        {"type": "outbox_row", "id": str(first)},
    )
    assert entry["relation_path"][0] == "bad_payload"


def test_a_row_is_requeued_as_a_new_one_and_audited(place: Place) -> None:
    place.change([ACME], _node)
    [row] = place.park(ACME, NODE, "signing_key_destroyed")
    told = _skipped(Outcome.HANDLED, place, "requeue", row)
    assert _statuses(place) == {row: "settled", row + 1: "pending"}
    assert _listed(place) == []
    assert not _reconciles(place)  # that a Node has gone stays true
    [entry] = _audited(place, ACME)
    assert entry["relation"] == "outbox_row.requeue"
    assert entry["relation_path"][2] in told


def test_a_state_is_requeued_as_it_is_now(place: Place) -> None:
    place.change([ACME], _node)
    [row] = place.park(ACME, NODE, "signing_key_destroyed")
    rows = tables.outbox_events

    def stale(change: Change) -> None:
        change.connection.execute(
            update(rows).values(source="tenancy.NodeStateEntryChanged", payload=b'{"old":1}')
        )
        entry = {"node_id": NODE, "bucket": "metadata", "key": "now", "value": '"new"', "updated_at": 1}
        change.connection.execute(insert(tables.state_entries), entry)

    place.change([ACME], stale)
    _skipped(Outcome.HANDLED, place, "requeue", row)
    payload = place.read(
        lambda connection: connection.execute(
            select(rows.c.payload).where(rows.c.status == "pending")
        ).scalar_one()
    )
    assert b"now" in payload and b"old" not in payload


def test_an_old_payload_goes_out_with_a_pull(place: Place) -> None:
    place.change([ACME], _node)
    [row] = place.park(ACME, NODE, "signing_key_destroyed")
    payload = json.dumps(
        {
            "node_id": NODE,
            "endpoint": None,
            "nat_type": "unknown",
            "reported_at": "2026-01-01T00:00:00Z",
            "stale_after": "2026-01-01T00:00:00Z",
        }
    ).encode()

    def endpoint(change: Change) -> None:
        change.connection.execute(
            update(tables.outbox_events).values(source="PeerEndpointChanged", payload=payload)
        )

    place.change([ACME], endpoint)
    _skipped(Outcome.HANDLED, place, "requeue", row)
    assert _reconciles(place)


def test_what_waits_for_a_key_keeps_its_place(place: Place) -> None:
    """Requeued it would come behind later rows of its Domain (OUT-5)."""
    [row] = place.park(ACME, NODE, "no_signing_key")
    assert "leaves by itself" in _skipped(Outcome.SOME_STAY, place, "requeue", row)
    assert (_statuses(place), _audited(place, ACME)) == ({row: "parked"}, [])
    _skipped(Outcome.HANDLED, place, "discard", row)


def test_what_can_never_leave_stays_where_it_is(place: Place) -> None:
    bad, good = place.park(ACME, NODE, "bad_payload", 2)
    rows = tables.outbox_events
    place.change(
        [ACME],
        lambda change: (
            change.connection.execute(update(rows).where(rows.c.id == bad).values(source="Mystery")).rowcount
        ),
    )
    told = _skipped(Outcome.SOME_STAY, place, "requeue", "--all")
    assert f"row {bad} stays: no outbox type 'Mystery'" in told
    assert _statuses(place) == {bad: "parked", good: "settled", good + 1: "pending"}


def test_all_of_one_domain(place: Place) -> None:
    place.park(ACME, NODE, "bad_payload", 3)
    [other] = place.park(GLOBEX, NODE, "bad_payload")
    _skipped(Outcome.HANDLED, place, "discard", "--all", "--domain", ACME)
    assert [row["outbox_id"] for row in _listed(place)] == [other]
    assert [len(_audited(place, chain)) for chain in (ACME, GLOBEX)] == [3, 0]
    _skipped(Outcome.HANDLED, place, "discard", "--all")
    assert _listed(place) == []
    _skipped(Outcome.HANDLED, place, "discard", "--all")


def test_rows_that_are_not_parked_are_named(place: Place) -> None:
    [row] = place.park(ACME, NODE, "bad_payload")
    assert "row 99 is not parked" in _skipped(Outcome.SOME_STAY, place, "discard", row, 99)
    assert _statuses(place) == {row: "discarded"}
    assert f"row {row} is not parked" in _skipped(Outcome.SOME_STAY, place, "requeue", row)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["discard"], "name rows, or say --all"),
        (["discard", "1", "--all"], "name rows, or say --all"),
        (["requeue", "1", "--domain", ACME], "go with --all"),
        (["discard", "one"], "'one' is not a valid int"),
        (["list", "--format", "xml"], "'xml' is not one of"),
        (["drop", "1"], "No such command 'drop'"),
    ],
)
def test_bad_words_are_refused_in_one_line(place: Place, arguments: list[str], said: str) -> None:
    refused("relay", "skipped", *arguments, *place.flags, said=said)


def test_options_before_the_name_are_not_overheard(place: Place) -> None:
    refused("relay", *place.flags, "skipped", "list", said="come after its name")


def test_an_old_schema_is_upgraded_first(place: Place) -> None:
    called(Outcome.MIGRATED, "db", "upgrade", "0001", *place.flags)
    for command in (["list"], ["discard", "--all"]):
        refused("relay", "skipped", *command, *place.flags, said="busproof db upgrade")


def test_a_database_that_is_away() -> None:
    url = "postgresql://nobody@127.0.0.1:1/bus"
    refused("relay", "skipped", "list", "--database-url", url, said="cannot be reached")


def test_a_file_in_use_is_listed_but_not_changed(tmp_path: Path) -> None:
    with process.running(tmp_path) as server:
        assert server.put_entry("mute", "a", "1").status_code < 300
        place = Place(engine="file", where=str(tmp_path / "bus.db"))
        while not (rows := _listed(place)):
            server.state("alpha")  # the relay comes within its tick
        assert {row["reason"] for row in rows} == {"no_signing_key"}
        refused("relay", "skipped", "discard", "--all", *place.flags, said="is in use by another process")
