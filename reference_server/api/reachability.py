"""The door at which a Node's reachability is read (contract_facts 2, N-1, N-8)."""

from sqlalchemy import Connection

from reference_server.api.admission import Admission
from reference_server.control import blocks
from reference_server.errors import Refusal
from reference_server.ports import NodeRepo, Store
from reference_server.wire.messages import Request, Response


class Reachability:
    """Handler of `/v1/nodes/{id}/reachability`."""

    def __init__(self, *, store: Store, nodes: NodeRepo, admission: Admission) -> None:
        self._store = store
        self._nodes = nodes
        self._admission = admission

    async def get_node_reachability(self, request: Request) -> Response:
        """GET /v1/nodes/{id}/reachability: the gates of state, then the block that the pull shows."""
        _, node_id = await self._admission.node_or_operator(request, request.path_parameters["id"])
        if await self._nodes.find(node_id) is None:
            raise Refusal("node_not_found")

        def read(connection: Connection) -> bytes:
            return blocks.read_reachability(connection, node_id)

        return Response(status=200, body=await self._store.read(read))
