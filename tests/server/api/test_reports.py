"""The doors of a Node's own reports: in the pull, never an event."""

import json

import pytest

from tests.server import surface

PUT = "reports.put_node_state_report"
DELETE = "reports.delete_node_state_report"


async def test_a_report_is_in_the_pull_and_in_no_event() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        await stage.pull(node.id)
        answered = (
            await node.call(PUT, body={"value": "up", "workload_tag": "w", "more": 1}, key="disk")
        ).json()
        assert answered["key"] == "disk"
        pulled = json.loads(await stage.pull(node.id))
        assert pulled["reports"] == pulled["state"]
        assert pulled["reports"]["reports"] == [{"key": "disk", "value": "up", "workload_tag": "w"}]
        await node.call(PUT, body={"value": "down"}, key="disk")
        assert json.loads(await stage.pull(node.id))["reports"]["reports"] == [
            {"key": "disk", "value": "down"}
        ]
        assert (await node.call(DELETE, key="disk")).outcome == (204, None)
        assert (await node.call(DELETE, key="disk")).outcome == (404, "report_not_found")
        assert await stage.rows("tenancy.NodeStateEntryChanged") == []


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("Disk", {"value": ""}),
        ("", {"value": ""}),
        ("a" * 129, {"value": ""}),
        ("disk", {}),
        ("disk", {"value": 1}),
        ("disk", {"value": "x" * 4097}),
        ("disk", {"value": "é" * 2049}),
        ("disk", {"value": "", "workload_tag": "x" * 4097}),
        ("disk", b"[]"),
    ],
)
async def test_refusals(key: str, body: object) -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        assert (await node.call(PUT, body=body, key=key)).outcome == (400, "invalid_report")


async def test_the_largest_value_fits_and_the_quota_ends_it() -> None:
    async with surface.opened() as stage:
        node = await stage.node("one")
        outcomes = [
            (await node.call(PUT, body={"value": "é" * 2048}, key=f"k{number}")).outcome
            for number in range(64)
        ]
        assert set(outcomes[:62]) == {(200, None)}
        assert outcomes[63] == (409, "report_quota_exceeded")


async def test_only_the_node_itself() -> None:
    async with surface.opened() as stage:
        node, other = await stage.node("one"), await stage.node("two")
        assert (await node.call(PUT, id=other.id, key="k")).outcome == (403, "node_id_mismatch")
        assert (await stage.server.call(PUT, id=node.id, key="k")).outcome == (401, "nsk_invalid")
        await stage.server.call("nodes.delete_node", id=node.id)
        assert (await node.call(PUT, body={"value": ""}, key="k")).outcome == (401, "nsk_revoked")
