"""The list of Nodes, and the door out (contract_facts 2, protocol 10a)."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from reference_server.api import answer
from reference_server.api.admission import Admission, path_uuid, subject_of
from reference_server.api.lists import ListedRow, Lists, domain_filter, position_by_id
from reference_server.control import nodes
from reference_server.control.relations import MANAGE, READ, Kind
from reference_server.ports import Caller, Change, Store
from reference_server.wire.messages import Request, Response


class Nodes:
    """Handlers of `/v1/nodes`. `on_revoked` is told, after the commit, whose streams must end (GATE-15)."""

    def __init__(
        self, *, store: Store, admission: Admission, lists: Lists, on_revoked: Callable[[str], None]
    ) -> None:
        self._store = store
        self._admission = admission
        self._lists = lists
        self._on_revoked = on_revoked

    async def list_nodes(self, request: Request) -> Response:
        """GET /v1/nodes: live Nodes that the caller may read, in the order of their registration."""
        caller = await self._admission.operator(request)
        domain_id = domain_filter(request)

        def read(connection: Connection, after: str | None, count: int) -> list[ListedRow]:
            return list(nodes.after_id(connection, domain_id, after, count))

        return await self._lists.answer(
            request,
            caller,
            list_name=f"nodes of {domain_id}",
            read=read,
            position=position_by_id,
            render=nodes.render,
            visible=_Visible(self._admission, caller),
        )

    async def delete_node(self, request: Request) -> Response:
        """DELETE /v1/nodes/{id}: deregister. The relation before the look-up."""
        caller = await self._admission.operator(request)
        node_id = path_uuid(request, "id", code="invalid_node_id", nil=True)
        await self._admission.require(caller, MANAGE, Kind.NODE, node_id)
        domain_id = await self._store.read(lambda connection: nodes.domain_of(connection, node_id))

        def work(change: Change) -> None:
            nodes.deregister(change, node_id=node_id, subject=subject_of(caller))
            change.after_commit.append(partial(self._on_revoked, node_id))

        await self._store.change([domain_id], work, correlation_id=request.correlation_id)
        return answer.EMPTY


class _Visible:
    """Whether the caller may read a Node: asked once per Domain, and per Node only where that says no."""

    __slots__ = ("_admission", "_by_domain", "_caller")

    def __init__(self, admission: Admission, caller: Caller) -> None:
        self._admission = admission
        self._caller = caller
        self._by_domain: dict[str, bool] = {}

    async def __call__(self, row: ListedRow) -> bool:
        node = row._mapping
        domain_id: str = node["domain_id"]
        if domain_id not in self._by_domain:
            self._by_domain[domain_id] = await self._admission.may(self._caller, READ, Kind.DOMAIN, domain_id)
        if self._by_domain[domain_id]:
            return True
        return await self._admission.may(self._caller, READ, Kind.NODE, node["id"])
