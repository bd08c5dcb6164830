"""The doors of signing keys: an operator's (KEY-5) and an agent's (KEY-6)."""

import base64
from collections.abc import Mapping

import msgspec

from reference_server.api import answer, body
from reference_server.api.admission import Admission, path_uuid, subject_of
from reference_server.control import node_signing_keys, signing_keys
from reference_server.control.relations import MANAGE, Kind
from reference_server.control.signing_keys import PublicKey
from reference_server.envelope import instant
from reference_server.envelope.keyring import Keyring
from reference_server.errors import Refusal
from reference_server.ports import Caller, NodeRepo, Store
from reference_server.wire.messages import Request, Response


class _Rotate(msgspec.Struct):
    """SigningKeyRotateRequest; its bounds have a code of their own."""

    transition_seconds: int


class SigningKeys:
    """Handlers of `/v1/domains/{id}/signing-keys` and `/v1/nodes/{id}/signing-keys`."""

    def __init__(self, *, store: Store, nodes: NodeRepo, admission: Admission, keyring: Keyring) -> None:
        self._store = store
        self._nodes = nodes
        self._admission = admission
        self._keyring = keyring

    async def provision_signing_key(self, request: Request) -> Response:
        """POST /v1/domains/{id}/signing-keys: the first key, 201; a second time 409."""
        caller, domain_id = await self._managing(request)
        key = await self._store.change(
            [domain_id],
            lambda change: signing_keys.provision(
                change, domain_id, keyring=self._keyring, subject=subject_of(caller)
            ),
            correlation_id=request.correlation_id,
        )
        return answer.created(_public(key))

    async def rotate_signing_key(self, request: Request) -> Response:
        """POST /v1/domains/{id}/signing-keys/rotate: answers what the event tells."""
        caller, domain_id = await self._managing(request)
        told = body.shaped(
            body.document(request.body, code="invalid_body"), _Rotate, code="invalid_transition"
        )
        rotation = await self._store.change(
            [domain_id],
            lambda change: signing_keys.rotate(
                change,
                domain_id,
                transition_seconds=told.transition_seconds,
                keyring=self._keyring,
                subject=subject_of(caller),
            ),
            correlation_id=request.correlation_id,
        )
        return Response(status=200, body=rotation.payload())

    async def list_signing_keys(self, request: Request) -> Response:
        """GET /v1/domains/{id}/signing-keys: public parts, oldest first."""
        _, domain_id = await self._managing(request)
        keys = await self._store.read(lambda connection: signing_keys.list_keys(connection, domain_id))
        return answer.ok({"items": [_public(key) for key in keys]})

    async def get_node_signing_keys(self, request: Request) -> Response:
        """GET /v1/nodes/{id}/signing-keys: the gates of state, then the chain, read afresh (KEY-6)."""
        _, node_id = await self._admission.node_or_operator(request, request.path_parameters["id"])
        if await self._nodes.find(node_id) is None:
            raise Refusal("node_not_found")
        ladder = await self._store.read(lambda connection: node_signing_keys.ladder(connection, node_id))
        return answer.ok(
            {
                "active_key_id": ladder.active_key_id,
                "active_public_key": _text(ladder.active_public_key),
                "pinned_key_id": ladder.pinned_key_id,
                "pinned_public_key": _text(ladder.pinned_public_key),
                "rotations": [msgspec.Raw(wire) for wire in ladder.rotations],
            }
        )

    async def _managing(self, request: Request) -> tuple[Caller, str]:
        caller = await self._admission.operator(request)
        domain_id = path_uuid(request, "id", code="invalid_domain_id")
        await self._admission.require(caller, MANAGE, Kind.DOMAIN, domain_id)
        return caller, domain_id


def _public(key: PublicKey) -> Mapping[str, object]:
    """SigningKey; what is not set is left out."""
    answered: dict[str, object] = {
        "key_id": key.key_id,
        "public_key": _text(key.public_key),
        "active": key.retired_at is None,
        "created_at": instant.render(key.created_at),
    }
    instants = {"retired_at": key.retired_at, "transition_expires": key.transition_expires}
    return answered | {name: instant.render(at) for name, at in instants.items() if at is not None}


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
