"""The doors of the entries that operators write into a Node's state (protocol 10a)."""

import msgspec

from reference_server.api import answer, body
from reference_server.api.admission import Admission, path_uuid, subject_of
from reference_server.control import nodes, state_entries
from reference_server.control.relations import MANAGE, Kind
from reference_server.control.state_entries import Content, Place
from reference_server.envelope import instant
from reference_server.errors import Refusal
from reference_server.ports import Caller, Change, Store
from reference_server.wire.messages import Request, Response

# contract_facts 7.3, as for reports.
_TAG_BYTES = 4096


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """NodeStateEntryRequest."""

    value: str
    workload_tag: str = ""


class StateEntries:
    """Handlers of `/v1/nodes/{id}/state/{bucket}/{key}`."""

    def __init__(self, *, store: Store, admission: Admission) -> None:
        self._store = store
        self._admission = admission

    async def put_node_state_entry(self, request: Request) -> Response:
        """PUT: `manage` on the Node, then key and body; a value that changes nothing is told to nobody."""
        caller, place = await self._admitted(request)
        told = body.decode(request.body, _Entry, code="invalid_state_entry")
        if len(told.workload_tag.encode()) > _TAG_BYTES:
            raise Refusal("invalid_state_entry")
        content = Content(value=told.value, workload_tag=told.workload_tag or None)
        domain_id = await self._domain_of(place)

        def work(change: Change) -> int:
            state_entries.put(change, domain_id, place, content, subject=subject_of(caller))
            return change.now

        accepted_at = await self._store.change([domain_id], work, correlation_id=request.correlation_id)
        return answer.ok({"accepted_at": instant.render(accepted_at), "key": place.key})

    async def delete_node_state_entry(self, request: Request) -> Response:
        """DELETE: 204, and 404 the second time."""
        caller, place = await self._admitted(request)
        domain_id = await self._domain_of(place)
        await self._store.change(
            [domain_id],
            lambda change: state_entries.remove(change, domain_id, place, subject=subject_of(caller)),
            correlation_id=request.correlation_id,
        )
        return answer.EMPTY

    async def _admitted(self, request: Request) -> tuple[Caller, Place]:
        caller = await self._admission.operator(request)
        node_id = path_uuid(request, "id", code="invalid_node_id", nil=True)
        await self._admission.require(caller, MANAGE, Kind.NODE, node_id)
        bucket, key = request.path_parameters["bucket"], request.path_parameters["key"]
        if bucket not in state_entries.PLATFORM_BUCKETS or not state_entries.is_key(key):
            raise Refusal("invalid_state_entry")
        return caller, Place(node_id=node_id, bucket=bucket, key=key)

    async def _domain_of(self, place: Place) -> str:
        return await self._store.read(lambda connection: nodes.domain_of(connection, place.node_id))
