"""The door of endpoint reports (contract_facts 2; A-26 settles the order)."""

from datetime import timedelta
from typing import Literal

import msgspec

from reference_server.api import answer, body
from reference_server.api.admission import Admission
from reference_server.control import endpoint_text
from reference_server.control.endpoints import Endpoints, Report
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.ports import Clock, NodeRepo
from reference_server.wire.messages import Request, Response

# contract_facts 1.7.
_SKEW = timedelta(seconds=60)
_BODY_BYTES = 4096

NatType = Literal["full_cone", "restricted", "port_restricted", "symmetric", "unknown"]


class _Endpoint(msgspec.Struct, forbid_unknown_fields=True):
    """EndpointRequest."""

    endpoint: str
    nat_type: NatType
    reported_at: str


class Endpoint:
    """Handler of `/v1/nodes/{id}/endpoint`."""

    def __init__(self, *, endpoints: Endpoints, clock: Clock, nodes: NodeRepo, admission: Admission) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._nodes = nodes
        self._admission = admission

    async def put_node_endpoint(self, request: Request) -> Response:
        """PUT /v1/nodes/{id}/endpoint: credential, path id, size, shape, clock, endpoint."""
        caller = await self._admission.node(request, request.path_parameters["id"])
        if len(request.body) > _BODY_BYTES:
            raise Refusal("endpoint_body_too_large")
        report = self._report(request.body)
        node_id = caller.node_id or ""
        facts = await self._nodes.find(node_id)
        if facts is None:
            raise Refusal("endpoint_peer_gone")
        accepted = await self._endpoints.accept(
            node_id, facts.domain_id, report, correlation_id=request.correlation_id
        )
        return answer.ok(
            {
                "accepted_at": instant.render(accepted.accepted_at),
                "stale_after": instant.render(accepted.stale_after),
            }
        )

    def _report(self, sent: bytes) -> Report:
        told = body.decode(sent, _Endpoint, code="malformed_endpoint_request")
        try:
            reported_at = instant.parse(told.reported_at)
        except instant.NotAnInstant:
            raise Refusal("malformed_endpoint_request") from None
        if abs(reported_at - self._clock.now()) > _SKEW:
            raise Refusal("endpoint_clock_skew")
        try:
            endpoint = endpoint_text.parse(told.endpoint)
        except endpoint_text.NotAnEndpoint:
            raise Refusal("endpoint_unparseable") from None
        return Report(endpoint=endpoint, nat_type=told.nat_type, reported_at=instant.micros(reported_at))
