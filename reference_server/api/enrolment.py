"""The two doors that let a Node in: with a bootstrap token, and by an operator (PROD-1, KEY-1)."""

import base64
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from reference_server.api import answer, body
from reference_server.api.admission import NIL_UUID, Admission, path_uuid, subject_of, uuid_of
from reference_server.control import enrolment, projects, redemption, resources, texts, wireguard
from reference_server.control.enrolment import Minting, Newcomer, Registered
from reference_server.control.relations import MANAGE, Kind
from reference_server.errors import Refusal
from reference_server.ports import Change, Store
from reference_server.wire.messages import Request, Response

# ResourceCreateRequest.kind; a Node's kind is an open string.
_MAX_KIND = 64

Entered = tuple[Registered, Sequence[bytes]]  # the Node and the entries of its peer_snapshot


class _CreateNode(msgspec.Struct, forbid_unknown_fields=True):
    """The body of the operator's door, an extension of ours."""

    public_key: object = None
    name: str = ""
    kind: str = ""
    project_id: str | UnsetType = UNSET
    resource_handle: str = ""


class Enrolment:
    """Handlers of `/v1/register` and `/v1/domains/{id}/nodes`."""

    def __init__(self, *, store: Store, admission: Admission, minting: Minting) -> None:
        self._store = store
        self._admission = admission
        self._minting = minting

    async def post_register(self, request: Request) -> Response:
        """POST /v1/register: the token in the body is the credential."""
        document = body.document(request.body, code="invalid_body")
        if not isinstance(document, dict):
            raise Refusal("invalid_body")
        application = redemption.examine(document, _project_of(document.get("project_id")))
        domain_id = await self._store.read(
            lambda connection: projects.domain_of(connection, application.project_id)
        )

        def work(change: Change) -> Entered:
            made = redemption.redeem(change, application=application, minting=self._minting)
            return made, enrolment.peers_of(change.connection, made.domain_id, made.node_id)

        entered = await self._store.change([domain_id], work, correlation_id=request.correlation_id)
        return answer.created(_rendered(entered))

    async def create_domain_node(self, request: Request) -> Response:
        """POST /v1/domains/{id}/nodes: works without a signing key, then names none (KEY-1, KEY-6)."""
        caller = await self._admission.operator(request)
        domain_id = path_uuid(request, "id", code="invalid_domain_id")
        await self._admission.require(caller, MANAGE, Kind.DOMAIN, domain_id)
        asked = body.decode(request.body, _CreateNode, code="invalid_body")
        newcomer = _newcomer(domain_id, asked)

        def work(change: Change) -> Entered:
            made = enrolment.register_node(
                change,
                newcomer=_hosted(change, newcomer, asked.resource_handle),
                minting=self._minting,
                subject=subject_of(caller),
            )
            return made, enrolment.peers_of(change.connection, made.domain_id, made.node_id)

        entered = await self._store.change([domain_id], work, correlation_id=request.correlation_id)
        return answer.created(_rendered(entered))


def _project_of(value: object) -> str | None:
    found = uuid_of(value) if isinstance(value, str) else None
    return None if found == NIL_UUID else found


def _newcomer(domain_id: str, asked: _CreateNode) -> Newcomer:
    """The Node that an operator asks for. Raises Refusal: public_key_invalid, invalid_node."""
    public_key = wireguard.octets_of(asked.public_key)
    if public_key is None:
        raise Refusal("public_key_invalid")
    project_id = _project_of(asked.project_id)
    name = texts.name(asked.name) if asked.name else None
    unfit = (
        (asked.project_id is not UNSET and project_id is None)
        or (asked.name and name is None)
        or (asked.resource_handle and project_id is None)
        or len(asked.kind) > _MAX_KIND
    )
    if unfit:
        raise Refusal("invalid_node")
    return Newcomer(
        domain_id=domain_id, public_key=public_key, project_id=project_id, name=name, kind=asked.kind or None
    )


def _hosted(change: Change, newcomer: Newcomer, handle: str) -> Newcomer:
    """The newcomer with the Resource that has this handle. Raises Refusal(`resource_not_found`)."""
    if not handle or newcomer.project_id is None:
        return newcomer
    row = resources.by_handle(change.connection, newcomer.project_id, handle)
    if row is None:
        raise Refusal("resource_not_found")
    resource = row._mapping
    return Newcomer(
        domain_id=newcomer.domain_id,
        public_key=newcomer.public_key,
        project_id=newcomer.project_id,
        resource_id=resource["id"],
        name=newcomer.name,
        kind=newcomer.kind or resource["kind"],
    )


def _rendered(entered: Entered) -> dict[str, object]:
    """RegisterResponse, and as last member the bearer that the Node sends from now on (CRED-1).

    Without a key in the Domain the two signing members are left out, and the Node pins the first one after.
    """
    made, peers = entered
    signing: dict[str, str] = {}
    if made.signing_key is not None:
        signing["signing_public_key"] = base64.b64encode(made.signing_key.public_key).decode()
        signing["signing_key_id"] = made.signing_key.key_id
    return {
        "node_id": made.node_id,
        "mesh_ip": made.mesh_ip,
        **signing,
        "nsk": base64.b64encode(made.nsk).decode(),
        "peer_snapshot": [msgspec.Raw(peer) for peer in peers],
        "domain_mesh_cidr": made.mesh_cidr,
        "credential": made.credential,
    }
