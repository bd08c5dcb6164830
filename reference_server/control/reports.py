"""Reports: entries that a Node writes about itself; they show in its pull and are never an event."""

from reference_server.control import state_entries
from reference_server.control.state_entries import Content, Place
from reference_server.errors import Refusal
from reference_server.ports import Change

BUCKET = "reports"

# contract_facts 1.7: a report's value, in UTF-8 bytes, and 7.3: its tag.
VALUE_BYTES = 4096
TAG_BYTES = 4096


def put(change: Change, node_id: str, key: str, content: Content) -> int:
    """Store a report and give the instant in microseconds.

    Raises Refusal `invalid_report`, `report_quota_exceeded`, `node_not_found`.
    """
    if not (state_entries.is_key(key) and _fits(content)):
        raise Refusal("invalid_report")
    state_entries.write(change, Place(node_id=node_id, bucket=BUCKET, key=key), content)
    return change.now


def remove(change: Change, node_id: str, key: str) -> None:
    """Drop a report. Raises Refusal `report_not_found`."""
    if not state_entries.erase(change, Place(node_id=node_id, bucket=BUCKET, key=key)):
        raise Refusal("report_not_found")


def _fits(content: Content) -> bool:
    tag = content.workload_tag or ""
    return len(content.value.encode()) <= VALUE_BYTES and len(tag.encode()) <= TAG_BYTES
