"""The doors of state entries and reports: what is told, what is not, and every refusal."""

import json
from typing import Any

import pytest

from tests.server import surface
from tests.server.surface import Surface

PUT = "state_entries.put_node_state_entry"
DELETE = "state_entries.delete_node_state_entry"
STRANGER = "0198c0de-0000-7000-8000-0000000000ff"
AT: dict[str, Any] = {"bucket": "metadata", "key": "rack"}


async def told(stage: Surface) -> list[dict[str, list[dict[str, str]]]]:
    return [row.payload["state"] for row in await stage.rows("tenancy.NodeStateEntryChanged")]


async def test_each_change_is_told_to_the_node_and_no_change_to_nobody() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        call = stage.server.call
        answered = (await call(PUT, body={"value": "b<12"}, id=node.id, **AT)).json()
        assert answered["key"] == "rack"
        await call(PUT, body={"value": "b<12", "workload_tag": ""}, id=node.id, **AT)
        await call(PUT, body={"value": "b<12", "workload_tag": "w"}, id=node.id, **AT)
        await call(PUT, body={"value": "1"}, id=node.id, bucket="data", key="a")
        assert (await call(DELETE, id=node.id, **AT)).outcome == (204, None)
        rows = await stage.rows("tenancy.NodeStateEntryChanged")
        assert [row.recipients for row in rows] == [[node.id]] * 4
        assert rows[0].raw.count(b'"value":"b\\u003c12"') == 1
        assert await told(stage) == [
            {"metadata": [{"key": "rack", "value": "b<12"}], "data": [], "reports": []},
            {"metadata": [{"key": "rack", "value": "b<12", "workload_tag": "w"}], "data": [], "reports": []},
            {
                "metadata": [{"key": "rack", "value": "b<12", "workload_tag": "w"}],
                "data": [{"key": "a", "value": "1"}],
                "reports": [],
            },
            {"metadata": [], "data": [{"key": "a", "value": "1"}], "reports": []},
        ]
        puts, deletes = (
            await stage.audited("node_state_entry.put"),
            await stage.audited("node_state_entry.delete"),
        )
        ids = [entry["transaction_id"] for entry in (*puts, *deletes)]
        assert ids == [row.transaction_id for row in rows]


@pytest.mark.parametrize(
    ("at", "body"),
    [
        ({"bucket": "reports", "key": "a"}, {"value": ""}),
        ({"bucket": "other", "key": "a"}, {"value": ""}),
        ({"bucket": "data", "key": "A"}, {"value": ""}),
        ({"bucket": "data", "key": ""}, {"value": ""}),
        ({"bucket": "data", "key": "a" * 129}, {"value": ""}),
        ({"bucket": "data", "key": "a\n"}, {"value": ""}),
        (AT, {}),
        (AT, {"value": 5}),
        (AT, {"value": "", "more": 1}),
        (AT, {"value": "", "workload_tag": "x" * 4097}),
        (AT, b'{"value":"\\u0000"}'),
        (AT, b"{"),
    ],
)
async def test_refusals_of_place_and_body(at: dict[str, Any], body: object) -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        assert (await stage.server.call(PUT, body=body, id=node.id, **at)).outcome == (
            400,
            "invalid_state_entry",
        )


async def test_refusals_before_and_after_the_relation() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        reader = stage.server.operator("reader", ("read", "*"))
        good = {"value": "x"}
        assert (await stage.server.call(PUT, token=None, id=node.id, **AT)).outcome == (
            401,
            "unauthenticated",
        )
        assert (await stage.server.call(PUT, id="x", **AT)).outcome == (400, "invalid_node_id")
        for node_id in (node.id, STRANGER):
            refused = await stage.server.call(PUT, token=reader, body=good, id=node_id, **AT)
            assert refused.outcome == (403, "permission_denied")
        assert (await stage.server.call(PUT, body=good, id=STRANGER, **AT)).outcome == (404, "node_not_found")
        missing = await stage.server.call(DELETE, id=node.id, **AT)
        assert missing.outcome == (404, "state_entry_not_found")


async def test_entries_of_a_node_are_bounded_as_they_are_written() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        call = stage.server.call
        large = await call(PUT, body={"value": "x" * 256 * 1024}, id=node.id, **AT)
        assert large.outcome == (413, "payload_too_large")
        escaped = await call(PUT, body={"value": "<" * 44_000}, id=node.id, **AT)
        assert escaped.outcome == (413, "payload_too_large")
        half = {"value": "x" * 140_000}
        assert (await call(PUT, body=half, id=node.id, bucket="data", key="a")).outcome == (200, None)
        second = await call(PUT, body=half, id=node.id, bucket="data", key="b")
        assert second.outcome == (409, "report_quota_exceeded")
        assert len(await told(stage)) == 1
        pulled = json.loads(await stage.pull(node.id))
        assert [entry["key"] for entry in pulled["state"]["data"]] == ["a"]
