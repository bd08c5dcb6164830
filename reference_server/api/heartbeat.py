"""The door of heartbeats (contract_facts 2; A-23 settles the order)."""

import base64
import binascii
import re
from datetime import timedelta

import msgspec

from reference_server.api import answer, body
from reference_server.api.admission import Admission
from reference_server.control.heartbeats import Beat, Heartbeats
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.ports import Clock, NodeRepo
from reference_server.wire.messages import Request, Response

# contract_facts 1.7.
_SKEW = timedelta(seconds=60)
# N-10: base64 of exactly 32 bytes, padded.
_CHECKSUM = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)
_LONGEST_VERSION = 4096


class _Heartbeat(msgspec.Struct, forbid_unknown_fields=True):
    """HeartbeatRequest; what has a code of its own when it is missing may be missing here."""

    client_now: str
    nat_summary: dict[str, object]
    binary_checksum: str = ""
    binary_version: str = ""


class Heartbeat:
    """Handler of `/v1/nodes/{id}/heartbeat`."""

    def __init__(
        self, *, heartbeats: Heartbeats, clock: Clock, nodes: NodeRepo, admission: Admission
    ) -> None:
        self._heartbeats = heartbeats
        self._clock = clock
        self._nodes = nodes
        self._admission = admission

    async def post_node_heartbeat(self, request: Request) -> Response:
        """POST /v1/nodes/{id}/heartbeat: credential, path id, shape, clock, checksum, version."""
        caller = await self._admission.node(request, request.path_parameters["id"])
        beat = self._beat(request.body)
        node_id = caller.node_id or ""
        facts = await self._nodes.find(node_id)
        if facts is None:
            raise Refusal("nsk_revoked")
        accepted = await self._heartbeats.accept(
            node_id, facts.domain_id, beat, correlation_id=request.correlation_id
        )
        return answer.ok(
            {
                "accepted_at": instant.render(accepted.accepted_at),
                "reconcile": accepted.reconcile,
                "rotate_keys": accepted.rotate_keys,
            }
        )

    def _beat(self, sent: bytes) -> Beat:
        told = body.decode(sent, _Heartbeat, code="malformed_heartbeat_request")
        try:
            client_now = instant.parse(told.client_now)
        except instant.NotAnInstant:
            raise Refusal("malformed_heartbeat_request") from None
        if abs(client_now - self._clock.now()) > _SKEW:
            raise Refusal("clock_skew")
        if not _is_checksum(told.binary_checksum):
            raise Refusal("binary_checksum_empty")
        if not told.binary_version.strip():
            raise Refusal("binary_version_empty")
        if len(told.binary_version) > _LONGEST_VERSION:
            raise Refusal("malformed_heartbeat_request")
        return Beat(
            binary_version=told.binary_version,
            binary_checksum=told.binary_checksum,
            nat_summary=msgspec.json.encode(told.nat_summary),
        )


def _is_checksum(text: str) -> bool:
    if _CHECKSUM.fullmatch(text) is None:
        return False
    try:
        return len(base64.b64decode(text, validate=True)) == 32  # noqa: PLR2004 - SHA-256
    except binascii.Error:
        return False
