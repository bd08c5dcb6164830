"""The doors of labels and their definitions (contract_facts 10)."""

import msgspec

from reference_server.api import answer, body
from reference_server.api.admission import Admission, path_uuid, subject_of, uuid_of
from reference_server.control import label_definitions, labels
from reference_server.control.label_definitions import DOMAIN, PLATFORM, Draft
from reference_server.control.relations import MANAGE, READ, Kind
from reference_server.errors import Refusal
from reference_server.ports import Caller, Store
from reference_server.wire.messages import Request, Response


class _Assign(msgspec.Struct, forbid_unknown_fields=True):
    """LabelAssignmentRequest."""

    definition_id: str
    value: object


class Labels:
    """Handlers of `/v1/label-definitions` and `/v1/objects/{kind}/{id}/labels`."""

    def __init__(self, *, store: Store, admission: Admission) -> None:
        self._store = store
        self._admission = admission

    async def create_label_definition(self, request: Request) -> Response:
        """POST /v1/label-definitions: `manage` on the scope, before it is looked up."""
        caller = await self._admission.operator(request)
        told = body.document(request.body, code="invalid_body")
        draft = body.shaped(told, Draft, code="invalid_label_definition")
        label_definitions.check(draft)
        draft.scope_id = None if draft.scope_id is None else uuid_of(draft.scope_id)
        if draft.scope != PLATFORM and draft.scope_id is None:
            raise Refusal("invalid_label_definition")
        await self._require_scope(caller, draft)
        _, document = await self._store.change(
            await self._domains_of(draft),
            lambda change: label_definitions.create(change, draft, subject=subject_of(caller)),
            correlation_id=request.correlation_id,
        )
        return Response(status=201, body=document)

    async def put_object_label(self, request: Request) -> Response:
        """PUT /v1/objects/{kind}/{id}/labels: `manage` on the object, before it is looked up."""
        caller, kind, object_id = await self._admitted(request, MANAGE)
        told = body.shaped(body.document(request.body, code="invalid_body"), _Assign, code="invalid_label")
        definition_id = uuid_of(told.definition_id)
        if definition_id is None:
            raise Refusal("invalid_label")
        assignment = await self._store.change(
            [await self._domain_of(kind, object_id)],
            lambda change: labels.put(
                change,
                kind,
                object_id,
                definition_id=definition_id,
                value=told.value,
                subject=subject_of(caller),
            ),
            correlation_id=request.correlation_id,
        )
        return answer.ok(assignment)

    async def delete_object_label(self, request: Request) -> Response:
        """DELETE /v1/objects/{kind}/{id}/labels?qualified_key=…: 204 also where there is none."""
        caller, kind, object_id = await self._admitted(request, MANAGE)
        keys = request.query.get("qualified_key", ())
        if len(keys) != 1 or not keys[0]:
            raise Refusal("invalid_label")
        await self._store.change(
            [await self._domain_of(kind, object_id)],
            lambda change: labels.remove(
                change, kind, object_id, qualified_key=keys[0], subject=subject_of(caller)
            ),
            correlation_id=request.correlation_id,
        )
        return answer.EMPTY

    async def list_object_labels(self, request: Request) -> Response:
        """GET /v1/objects/{kind}/{id}/labels: all of them, by key."""
        _, kind, object_id = await self._admitted(request, READ)
        items = await self._store.read(
            lambda connection: labels.assignments(connection, labels.bearer(connection, kind, object_id))
        )
        return answer.ok({"items": items})

    async def _require_scope(self, caller: Caller, draft: Draft) -> None:
        if draft.scope_id is None:
            await self._admission.require_platform(caller, MANAGE)
        else:
            kind = Kind.DOMAIN if draft.scope == DOMAIN else Kind.PROJECT
            await self._admission.require(caller, MANAGE, kind, draft.scope_id)

    async def _domains_of(self, draft: Draft) -> list[str]:
        scope_id = draft.scope_id
        if scope_id is None or draft.scope == DOMAIN:
            return [scope_id] if scope_id is not None else []
        return [
            await self._store.read(
                lambda connection: label_definitions.domain_of_project(connection, scope_id)
            )
        ]

    async def _admitted(self, request: Request, relation: str) -> tuple[Caller, str, str]:
        caller = await self._admission.operator(request)
        kind = request.path_parameters["kind"]
        if kind not in labels.KINDS:
            raise Refusal("invalid_object")
        object_id = path_uuid(request, "id", code="invalid_object", nil=True)
        await self._admission.require(caller, relation, Kind(kind), object_id)
        return caller, kind, object_id

    async def _domain_of(self, kind: str, object_id: str) -> str:
        return (
            await self._store.read(lambda connection: labels.bearer(connection, kind, object_id))
        ).domain_id
