"""The doors of Projects (contract_facts 3)."""

import msgspec
from sqlalchemy import Connection

from reference_server.api import answer, body
from reference_server.api.admission import NIL_UUID, Admission, path_uuid, subject_of, uuid_of
from reference_server.api.lists import ListedRow, Lists, domain_filter
from reference_server.control import projects
from reference_server.control.projects import Draft
from reference_server.control.relations import MANAGE, READ, Kind
from reference_server.errors import Refusal
from reference_server.ports import Store
from reference_server.wire.messages import Request, Response


class _Create(msgspec.Struct):
    """ProjectCreateRequest."""

    domain_id: str = ""
    name: str = ""
    slug: str = ""
    description: str = ""
    sub_range_cidr: str | msgspec.UnsetType = msgspec.UNSET


class Projects:
    """Handlers of `/v1/projects`."""

    def __init__(self, *, store: Store, admission: Admission, lists: Lists) -> None:
        self._store = store
        self._admission = admission
        self._lists = lists

    async def create_project(self, request: Request) -> Response:
        """POST /v1/projects: `manage` on the parent, which only the body names."""
        caller = await self._admission.operator(request)
        asked = body.decode(request.body, _Create, code="invalid_body")
        domain_id = uuid_of(asked.domain_id)
        if domain_id is None or domain_id == NIL_UUID:
            raise Refusal("invalid_project")
        await self._admission.require(caller, MANAGE, Kind.DOMAIN, domain_id)
        draft = Draft(
            domain_id=domain_id,
            name=asked.name,
            slug=asked.slug,
            description=asked.description,
            sub_range_cidr=None if asked.sub_range_cidr is msgspec.UNSET else asked.sub_range_cidr,
        )
        made = await self._store.change(
            [domain_id],
            lambda change: projects.create(change, draft=draft, subject=subject_of(caller)),
            correlation_id=request.correlation_id,
        )
        return answer.created(made, location=f"/v1/projects/{made['id']}")

    async def list_projects(self, request: Request) -> Response:
        """GET /v1/projects: those that the caller may read, in slug order, of one Domain or of all."""
        caller = await self._admission.operator(request)
        domain_id = domain_filter(request)

        def read(connection: Connection, after: str | None, count: int) -> list[ListedRow]:
            return list(projects.after_position(connection, domain_id, after, count))

        async def visible(row: ListedRow) -> bool:
            return await self._admission.may(caller, READ, Kind.DOMAIN, row._mapping["domain_id"])

        return await self._lists.answer(
            request,
            caller,
            list_name=f"projects of {domain_id}",
            read=read,
            position=projects.position_of,
            render=projects.render,
            visible=visible,
            says_why_empty=True,
        )

    async def get_project(self, request: Request) -> Response:
        """GET /v1/projects/{id}: the relation before the look-up."""
        caller = await self._admission.operator(request)
        project_id = path_uuid(request, "id", code="invalid_project_id")
        await self._admission.require(caller, READ, Kind.PROJECT, project_id)
        row = await self._store.read(lambda connection: projects.read(connection, project_id))
        return answer.ok(projects.render(row))
