"""The doors of a Node's own reports (contract_facts 2, A-31)."""

import msgspec

from reference_server.api import answer, body
from reference_server.api.admission import Admission
from reference_server.control import reports
from reference_server.control.state_entries import Content
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.ports import NodeRepo, Store
from reference_server.wire.messages import Request, Response


class _Report(msgspec.Struct):
    """NodeStateReportRequest."""

    value: str
    workload_tag: str = ""


class Reports:
    """Handlers of `/v1/nodes/{id}/state/reports/{key}`."""

    def __init__(self, *, store: Store, nodes: NodeRepo, admission: Admission) -> None:
        self._store = store
        self._nodes = nodes
        self._admission = admission

    async def put_node_state_report(self, request: Request) -> Response:
        """PUT: stored or replaced; never an event."""
        node_id, domain_id = await self._admitted(request, gone="node_not_found")
        told = body.decode(request.body, _Report, code="invalid_report")
        key = request.path_parameters["key"]
        content = Content(value=told.value, workload_tag=told.workload_tag or None)
        accepted_at = await self._store.change(
            [domain_id],
            lambda change: reports.put(change, node_id, key, content),
            correlation_id=request.correlation_id,
        )
        return answer.ok({"accepted_at": instant.render(accepted_at), "key": key})

    async def delete_node_state_report(self, request: Request) -> Response:
        """DELETE: 204, and 404 the second time."""
        node_id, domain_id = await self._admitted(request, gone="report_not_found")
        key = request.path_parameters["key"]
        await self._store.change(
            [domain_id],
            lambda change: reports.remove(change, node_id, key),
            correlation_id=request.correlation_id,
        )
        return answer.EMPTY

    async def _admitted(self, request: Request, *, gone: str) -> tuple[str, str]:
        caller = await self._admission.node(request, request.path_parameters["id"])
        facts = await self._nodes.find(caller.node_id or "")
        if facts is None:
            raise Refusal(gone)
        return facts.node_id, facts.domain_id
