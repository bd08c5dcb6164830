"""GET /v1/nodes/{id}/state: the pull, which needs no log (PULL-5)."""

from reference_server.errors import Refusal
from reference_server.ports import SnapshotProvider, Unavailable
from reference_server.stream import gates
from reference_server.wire.messages import Request, Response


class State:
    """Serves snapshots."""

    __slots__ = ("_doors", "_snapshots")

    def __init__(self, *, doors: gates.Doors, snapshots: SnapshotProvider) -> None:
        self._doors = doors
        self._snapshots = snapshots

    async def get_node_state(self, request: Request) -> Response:
        """GetNodeState: the snapshot; with `Age` when it comes from a cache during an outage."""
        passed = await gates.climb("GetNodeState", request, self._doors)
        try:
            snapshot = await self._snapshots.snapshot(passed.node_id)
        except Unavailable:
            raise Refusal("datastore_unavailable") from None
        if snapshot is None:
            raise Refusal("node_not_found")
        gates.record_admitted(passed)
        age = snapshot.age_seconds
        return Response(
            status=200,
            body=snapshot.body,
            headers=() if age is None else ((b"Age", b"%d" % age),),
        )
