"""The doors of Resources (contract_facts 10)."""

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection

from reference_server.api import answer, body
from reference_server.api.admission import Admission, path_uuid, subject_of
from reference_server.api.lists import ListedRow, Lists, position_by_id
from reference_server.control import projects, resources
from reference_server.control.relations import DEPLOY, READ, Kind
from reference_server.control.resources import Draft
from reference_server.ports import Store
from reference_server.wire.messages import Request, Response


class _Create(msgspec.Struct):
    """ResourceCreateRequest."""

    origin: str = ""
    kind: str = ""
    external_ref: str = ""
    parameters: dict[str, object] | UnsetType = UNSET


class Resources:
    """Handlers of a Project's Resources."""

    def __init__(self, *, store: Store, admission: Admission, lists: Lists) -> None:
        self._store = store
        self._admission = admission
        self._lists = lists

    async def create_resource(self, request: Request) -> Response:
        """POST …/resources: `deploy` on the Project, then the body, then the look-up."""
        caller = await self._admission.operator(request)
        project_id = path_uuid(request, "project_id", code="invalid_project_id")
        await self._admission.require(caller, DEPLOY, Kind.PROJECT, project_id)
        asked = body.decode(request.body, _Create, code="invalid_body")
        draft = Draft(
            origin=asked.origin,
            kind=asked.kind,
            external_ref=asked.external_ref,
            has_parameters=asked.parameters is not UNSET,
        )
        resources.check(draft)
        domain_id = await self._store.read(lambda connection: projects.domain_of(connection, project_id))
        made = await self._store.change(
            [domain_id],
            lambda change: resources.create(
                change, project_id=project_id, draft=draft, subject=subject_of(caller)
            ),
            correlation_id=request.correlation_id,
        )
        return answer.created(made)

    async def list_project_resources(self, request: Request) -> Response:
        """GET …/resources, in the order of their creation."""
        caller = await self._admission.operator(request)
        project_id = path_uuid(request, "project_id", code="invalid_project_id")
        await self._admission.require(caller, READ, Kind.PROJECT, project_id)
        await self._store.read(lambda connection: projects.read(connection, project_id))

        def read(connection: Connection, after: str | None, count: int) -> list[ListedRow]:
            return list(resources.after_id(connection, project_id, after, count))

        return await self._lists.answer(
            request,
            caller,
            list_name=f"resources of {project_id}",
            read=read,
            position=position_by_id,
            render=resources.render,
        )

    async def get_resource(self, request: Request) -> Response:
        """GET /v1/resources/{id}."""
        caller = await self._admission.operator(request)
        resource_id = path_uuid(request, "id", code="invalid_resource_id")
        await self._admission.require(caller, READ, Kind.RESOURCE, resource_id)
        row = await self._store.read(lambda connection: resources.read(connection, resource_id))
        return answer.ok(resources.render(row))

    async def delete_resource(self, request: Request) -> Response:
        """DELETE /v1/resources/{id}: only one that hosts no Node."""
        caller = await self._admission.operator(request)
        resource_id = path_uuid(request, "id", code="invalid_resource_id")
        await self._admission.require(caller, DEPLOY, Kind.RESOURCE, resource_id)
        domain_id = await self._store.read(lambda connection: resources.domain_of(connection, resource_id))
        await self._store.change(
            [domain_id],
            lambda change: resources.remove(change, resource_id=resource_id, subject=subject_of(caller)),
            correlation_id=request.correlation_id,
        )
        return answer.EMPTY
