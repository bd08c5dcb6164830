"""Who calls, and whether they may: what every handler asks before it does anything (GATE-5…7, GATE-11)."""

import re

from reference_server.control import credentials
from reference_server.control.relations import PLATFORM_ID, Kind
from reference_server.errors import Refusal
from reference_server.ports import Caller, CredentialResolver, RelationChecker, Unavailable
from reference_server.wire.messages import Request

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
NIL_UUID = "00000000-0000-0000-0000-000000000000"


def uuid_of(text: str) -> str | None:
    """The text as the lower-case UUID that it is; None where it is none."""
    return text.lower() if _UUID.fullmatch(text) else None


def path_uuid(request: Request, name: str, *, code: str, nil: bool = False) -> str:
    """A path parameter as UUID. Raises Refusal(`code`); the nil UUID is none unless `nil` allows it."""
    found = uuid_of(request.path_parameters[name])
    if found is None or (found == NIL_UUID and not nil):
        raise Refusal(code)
    return found


def subject_of(caller: Caller) -> str:
    """The caller's name in audit rows and cursors."""
    return f"operator:{caller.operator}" if caller.node_id is None else f"node:{caller.node_id}"


class Admission:
    """One server's admission: its CredentialResolver and RelationChecker, asked in the published order."""

    __slots__ = ("_credentials", "_relations")

    def __init__(self, *, credentials: CredentialResolver, relations: RelationChecker) -> None:
        self._credentials = credentials
        self._relations = relations

    async def caller(self, request: Request) -> Caller:
        """Whoever sends a credential that is in force (GATE-5). Raises Refusal (401, 503)."""
        try:
            return await self._credentials.resolve(request.header_lines(b"authorization"))
        except Unavailable:
            raise Refusal("authz_unavailable") from None

    async def operator(self, request: Request) -> Caller:
        """The operator behind a request; a Node's credential is none that such a door takes."""
        caller = await self.caller(request)
        if caller.operator is None:
            raise Refusal("unauthenticated")
        return caller

    async def node_alone(self, request: Request) -> Caller:
        """The Node behind a write that names no Node in its path ([401n] of contract_facts 1.2).

        A missing or malformed header is `unauthorized`; any bearer but a Node's is `nsk_invalid`.
        """
        if credentials.bearer_of(request.header_lines(b"authorization")) is None:
            raise Refusal("unauthorized")
        try:
            caller = await self.caller(request)
        except Refusal as refusal:
            raise _as_node_write(refusal) from None
        if caller.node_id is None:
            raise Refusal("nsk_invalid")
        return caller

    async def node(self, request: Request, path_id: str, *, mismatch: str = "node_id_mismatch") -> Caller:
        """The Node behind a write on `path_id`, the path's text as sent: 401, 400, 403 in this order."""
        caller = await self.node_alone(request)
        node_id = uuid_of(path_id)
        if node_id is None:
            raise Refusal("invalid_node_id")
        if caller.node_id != node_id:
            raise Refusal(mismatch)
        return caller

    async def node_or_operator(self, request: Request, path_id: str) -> tuple[Caller, str]:
        """Who reads a Node's own things (N-1): the Node itself, or an operator with `node-agent`.

        Answers the caller and the Node's id. Raises Refusal: 401, 400, 403 in this order; existence is the
        next gate (GATE-7).
        """
        caller = await self.caller(request)
        node_id = uuid_of(path_id)
        if node_id is None:
            raise Refusal("invalid_node_id")
        if caller.node_id is not None and caller.node_id != node_id:
            raise Refusal("node_id_mismatch")
        await self.require(caller, "node-agent", Kind.NODE, node_id, code="insufficient_relation")
        return caller, node_id

    async def require(
        self, caller: Caller, relation: str, kind: str, object_id: str, *, code: str = "permission_denied"
    ) -> None:
        """Go on only where the caller stands in the relation. Raises Refusal(`code`) or 503."""
        if not await self.may(caller, relation, kind, object_id):
            raise Refusal(code)

    async def require_platform(self, caller: Caller, relation: str) -> None:
        """As `require`, on the platform itself."""
        await self.require(caller, relation, Kind.PLATFORM, PLATFORM_ID)

    async def may(self, caller: Caller, relation: str, kind: str, object_id: str) -> bool:
        """Whether the caller stands in the relation. Raises Refusal (503) where that cannot be decided."""
        try:
            return await self._relations.check(caller, relation, kind, object_id)
        except Unavailable:
            raise Refusal("authz_unavailable") from None


def _as_node_write(refusal: Refusal) -> Refusal:
    return Refusal("nsk_invalid") if refusal.code == "unauthenticated" else refusal
