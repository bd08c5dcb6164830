"""GET /v1/nodes/{id}/events: up the ladder, then into the hub."""

from functools import partial

from reference_server.errors import Refusal
from reference_server.ports import SignatureVerifier, Unavailable
from reference_server.stream import gates
from reference_server.stream.hub import Admitted, Hub
from reference_server.wire.messages import Request, Takeover

# SSE-1, SSE-7; no-transform and X-Accel-Buffering keep proxies from holding frames back.
_HEADERS = (
    (b"Content-Type", b"text/event-stream"),
    (b"Cache-Control", b"no-cache, no-store, no-transform"),
    (b"X-Accel-Buffering", b"no"),
)


class Events:
    """Serves streams."""

    __slots__ = ("_doors", "_hub", "_verifier")

    def __init__(self, *, doors: gates.Doors, hub: Hub, verifier: SignatureVerifier) -> None:
        self._doors = doors
        self._hub = hub
        self._verifier = verifier

    async def get_node_events(self, request: Request) -> Takeover:
        """GetNodeEvents: from behind the cursor, or from the log's head (CUR-1, CUR-2)."""
        passed = await gates.climb("GetNodeEvents", request, self._doors)
        node, bounds, caller = passed.node, passed.bounds, passed.caller
        assert node and bounds and caller  # noqa: S101  # the gates have set them
        after = bounds.high if passed.cursor is None else passed.cursor
        try:
            rung = await self._verifier.rung_at(node.node_id, node.domain_id, after)
        except Unavailable:
            raise Refusal("event_stream_unavailable") from None
        gates.record_admitted(passed)
        admitted = Admitted(
            node_id=node.node_id, domain_id=node.domain_id, caller=caller, after=after, rung=rung
        )
        return Takeover(headers=_HEADERS, serve=partial(self._hub.serve, admitted))
