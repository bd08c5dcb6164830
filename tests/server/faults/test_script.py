"""Planned answers: used up in order, an operation at a time, bounded."""

import pytest
import trio

from reference_server.errors import Refusal
from reference_server.faults import script
from reference_server.faults.script import MAX_PLANNED, Planned, Script
from reference_server.wire.messages import Request, Response

REQUEST = Request(
    method="GET",
    path="/",
    target=b"/",
    query={},
    headers=(),
    body=b"",
    http_version=b"1.1",
    client="::1",
    correlation_id="c",
)


async def _ordinary(_request: Request) -> Response:
    return Response(status=200)


async def test_what_is_planned_comes_first_and_once(autojump_clock: trio.testing.MockClock) -> None:
    planned = Script()
    handlers = script.scripted({"A": _ordinary, "B": _ordinary}, planned)
    planned.plan("A", Planned(code="node_not_found"), 2)
    planned.plan("A", Planned(delay_seconds=7), 1)
    for _ in range(2):
        with pytest.raises(Refusal, match="node_not_found"):
            await handlers["A"](REQUEST)
    assert (await handlers["B"](REQUEST)).status == 200  # type: ignore[union-attr]  # no stream
    began = trio.current_time()
    assert (await handlers["A"](REQUEST)).status == 200  # type: ignore[union-attr]  # no stream
    assert trio.current_time() - began == pytest.approx(7)
    assert (await handlers["A"](REQUEST)).status == 200  # type: ignore[union-attr]  # no stream
    assert planned.size == 0


def test_the_plan_is_bounded() -> None:
    planned = Script()
    planned.plan("A", Planned(status=503), MAX_PLANNED)
    with pytest.raises(ValueError, match=str(MAX_PLANNED)):
        planned.plan("B", Planned(status=503), 1)
