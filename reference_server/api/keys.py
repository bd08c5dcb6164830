"""The doors of mesh key rotation: asked for, looked at beforehand, carried out (contract_facts 2, A-27)."""

import dataclasses

import msgspec

from reference_server.api import answer, body
from reference_server.api.admission import Admission, path_uuid, subject_of
from reference_server.control import key_rotation, nodes, wireguard
from reference_server.control.psks import Seal
from reference_server.control.relations import NODE_OPERATE, Kind
from reference_server.errors import Refusal
from reference_server.ports import Caller, NodeRepo, Store
from reference_server.wire.messages import Request, Response

# contract_facts 1.7.
_BODY_BYTES = 4096


class _Rotate(msgspec.Struct, forbid_unknown_fields=True):
    """KeysRotateRequest; the text's own faults are 422, not 400."""

    new_public_key: str


class Keys:
    """Handlers of `/v1/nodes/{id}/keys/rotate`, its preview, and `/v1/keys/rotate`. `seal` wraps PSKs."""

    def __init__(self, *, store: Store, node_repo: NodeRepo, admission: Admission, seal: Seal) -> None:
        self._store = store
        self._nodes = node_repo
        self._admission = admission
        self._seal = seal

    async def post_node_keys_rotate(self, request: Request) -> Response:
        """POST /v1/nodes/{id}/keys/rotate: `node-operate` before existence; once, however often sent."""
        caller, node_id, domain_id = await self._operating(request)
        requested = await self._store.change(
            [domain_id],
            lambda change: key_rotation.request(change, domain_id, node_id, subject=subject_of(caller)),
            correlation_id=request.correlation_id,
        )
        return answer.ok(dataclasses.asdict(requested))

    async def get_node_keys_rotate_preview(self, request: Request) -> Response:
        """GET /v1/nodes/{id}/keys/rotate/preview: a pure read behind the same gates."""
        _, node_id, domain_id = await self._operating(request)
        preview = await self._store.read(
            lambda connection: key_rotation.preview(connection, domain_id, node_id)
        )
        return answer.ok(dataclasses.asdict(preview))

    async def post_keys_rotate(self, request: Request) -> Response:
        """POST /v1/keys/rotate: credential, size, shape, key, Peer; then replay, pending, unchanged."""
        caller = await self._admission.node_alone(request)
        if len(request.body) > _BODY_BYTES:
            raise Refusal("keys_rotate_body_too_large")
        told = body.decode(request.body, _Rotate, code="malformed_keys_rotate_request")
        octets = wireguard.octets_of(told.new_public_key)
        if octets is None:
            raise Refusal("keys_rotate_public_key_invalid")
        facts = await self._nodes.find(caller.node_id or "")
        if facts is None:
            raise Refusal("keys_rotate_peer_not_found")
        receipt = await self._store.change(
            [facts.domain_id],
            lambda change: key_rotation.complete(
                change, facts.domain_id, facts.node_id, wireguard.text_of(octets), self._seal
            ),
            correlation_id=request.correlation_id,
        )
        return answer.ok(dataclasses.asdict(receipt))

    async def _operating(self, request: Request) -> tuple[Caller, str, str]:
        caller = await self._admission.operator(request)
        node_id = path_uuid(request, "id", code="invalid_node_id", nil=True)
        await self._admission.require(caller, NODE_OPERATE, Kind.NODE, node_id, code="insufficient_relation")
        domain_id = await self._store.read(lambda connection: nodes.domain_of(connection, node_id))
        return caller, node_id, domain_id
