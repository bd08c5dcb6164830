"""The ring of requests: filters, bounds, and credentials masked."""

from datetime import UTC, datetime, timedelta

from reference_server.faults import requests
from reference_server.faults.requests import BODY_BYTES, KEPT, Ring
from reference_server.wire.messages import Request
from reference_server.wire.site import Answered

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
NODE = "0198c0de-0000-7000-8000-00000000b001"


def _answered(path: str = f"/v1/nodes/{NODE}/state", status: int = 200, **over: object) -> Answered:
    given = {"method": "GET", "target": b"/", "query": {}, "headers": (), "body": b"", "http_version": b"1.1"}
    request = Request(path=path, client="::1", correlation_id="c", **(given | over))  # type: ignore[arg-type]
    return Answered(
        request=request,
        operation_id="GetNodeState",
        status=status,
        code=None,
        seconds=0.0015,
        client="::1",
        correlation_id="c",
    )


def test_records_are_found_by_what_they_are() -> None:
    ring = Ring()
    for minute, status in enumerate((200, 503, 200)):
        ring.add(_answered(status=status), NOON + timedelta(minutes=minute))
    ring.add(_answered(path="/v1/health"), NOON)
    assert [record.serial for record in ring.select()] == [1, 2, 3, 4]
    assert [record.serial for record in ring.select(status=503)] == [2]
    assert [record.serial for record in ring.select(since=2)] == [3, 4]
    assert [record.serial for record in ring.select(since=NOON + timedelta(minutes=1))] == [2, 3]
    assert [record.serial for record in ring.select(node_id=NODE, status=200)] == [1, 3]
    assert ring.select(operation_id="GetHealth") == []
    assert requests.plain(ring.select()[0])["at"] == "2026-11-02T12:00:00Z"


def test_the_ring_is_bounded() -> None:
    ring = Ring()
    for _ in range(KEPT + 5):
        ring.add(_answered(), NOON)
    assert (len(ring.select()), ring.select()[0].serial) == (KEPT, 6)
    ring.add(_answered(body=b"x" * (BODY_BYTES + 1)), NOON)
    assert ring.select()[-1].body == f"({BODY_BYTES + 1} bytes)"


def test_an_authorization_shows_its_form_and_no_more() -> None:
    shown = {}
    for sent in (b"Bearer nsk_dev_AAAA", b"Bearer hunter2hunter2", b"hunter2 x", b"nsk_dev_AAAA"):
        ring = Ring()
        ring.add(_answered(headers=((b"authorization", sent),)), NOON)
        shown[sent] = ring.select()[0].authorization
    assert shown == {
        b"Bearer nsk_dev_AAAA": "Bearer nsk_dev_***",
        b"Bearer hunter2hunter2": "Bearer ***",
        b"hunter2 x": "***",
        b"nsk_dev_AAAA": "nsk_dev_***",
    }


def test_what_could_not_be_read_is_not_kept() -> None:
    ring = Ring()
    unread = _answered()
    ring.add(
        Answered(
            request=None,
            operation_id=None,
            status=400,
            code=None,
            seconds=0,
            client=unread.client,
            correlation_id="c",
        ),
        NOON,
    )
    assert ring.select() == []
