"""The admission ladders: one table, whose order in this file is the order on the wire (protocol section 3).

The first gate that does not pass answers, and nothing behind it is looked at (GATE-12). Before the first one
stands the router, which answers 405 (SSE-10).
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from reference_server.errors import Refusal
from reference_server.ports import (
    AuditSink,
    Bounds,
    Caller,
    Clock,
    CredentialResolver,
    Decision,
    NodeFacts,
    NodeRepo,
    RelationChecker,
    Unavailable,
)
from reference_server.stream import accept, cursor
from reference_server.wire.messages import Request

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_NODE_AGENT = "node-agent"

# GATE-14: refusals that are audited, beside the 401 that a credential earned and the 200.
_AUDITED = frozenset({403, 404, 410})
_UNAUTHORIZED = 401
_OK = 200
# The id as asked, which may be anything that fits into a request line.
_ASKED_LENGTH = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What the gates ask. `is_wired` is asked at every request; `window` is the hub's (CUR-4)."""

    is_wired: Callable[[str], bool]
    credentials: CredentialResolver
    relations: RelationChecker
    nodes: NodeRepo
    window: Callable[[], Awaitable[Bounds]]
    audit: AuditSink | None
    clock: Clock


@dataclass(slots=True, kw_only=True)
class Climb:
    """One request on its way up: what was found out so far."""

    request: Request
    doors: Doors
    ladder: "Ladder"
    caller: Caller | None = None
    node_id: str = ""
    node: NodeFacts | None = None
    cursor: int | None = None
    bounds: Bounds | None = None

    @property
    def asked_id(self) -> str:
        """The Node id as it stands in the path."""
        return self.request.path_parameters["id"]


Gate = Callable[[Climb], Awaitable[None]]


# ---- the gates


async def wired(climb: Climb) -> None:
    """501: a port that the surface needs is missing (GATE-1…3)."""
    if not all(map(climb.doors.is_wired, climb.ladder.needs)):
        raise Refusal("signed_event_bus_not_provisioned")


async def known_caller(climb: Climb) -> None:
    """401: nobody, or nobody whom we know (GATE-5)."""
    climb.caller = await climb.doors.credentials.resolve(climb.request.header_lines(b"authorization"))


async def well_formed_id(climb: Climb) -> None:
    """400: the path names no Node (GATE-13)."""
    if _UUID.fullmatch(climb.asked_id) is None:
        raise Refusal("invalid_node_id")
    climb.node_id = climb.asked_id.lower()


async def related(climb: Climb) -> None:
    """403: the caller is not the Node's agent, whether or not there is such a Node (GATE-6, GATE-7)."""
    caller = climb.caller
    assert caller is not None  # noqa: S101  # the gate before this one has set it
    if not await climb.doors.relations.check(caller, _NODE_AGENT, "node", climb.node_id):
        raise Refusal("insufficient_relation" if caller.node_id is None else "node_id_mismatch")


async def existing_node(climb: Climb) -> None:
    """404: there is no such Node (GATE-8)."""
    climb.node = await climb.doors.nodes.find(climb.node_id)
    if climb.node is None:
        raise Refusal("node_not_found")


async def acceptable(climb: Climb) -> None:
    """406: the caller would not read an event stream (SSE-10)."""
    if not accept.admits(climb.request.header_lines(b"accept"), b"text", b"event-stream"):
        raise Refusal(None, status=406)


async def well_formed_cursor(climb: Climb) -> None:
    """400: a cursor that nobody gave out (GATE-9)."""
    try:
        climb.cursor = cursor.parse(climb.request.header_lines(b"last-event-id"))
    except cursor.NotACursor:
        raise Refusal("invalid_cursor") from None


async def reachable_log(climb: Climb) -> None:
    """503: nothing can be streamed now (GATE-11)."""
    try:
        climb.bounds = await climb.doors.window()
    except Unavailable:
        raise Refusal("event_stream_unavailable") from None


async def inside_window(climb: Climb) -> None:
    """410: what lies behind the cursor is gone, or the cursor is not of this log (GATE-10)."""
    assert climb.bounds is not None  # noqa: S101  # the gate before this one has set it
    if climb.cursor is not None and not cursor.is_inside(climb.bounds, climb.cursor):
        raise Refusal("last_event_id_outside_replay_window")


# ---- the ladders


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The gates of one operation, the ports that it needs, and its code where a gate cannot be decided."""

    needs: Sequence[str]
    undecided: str
    gates: tuple[Gate, ...]


LADDERS: Mapping[str, Ladder] = MappingProxyType(
    {
        "GetNodeEvents": Ladder(
            needs=("EventStream", "NonceStore", "SignatureVerifier", "RelationChecker", "NodeRepo"),
            undecided="authz_unavailable",
            gates=(
                wired,  # 501
                known_caller,  # 401
                well_formed_id,  # 400
                related,  # 403
                existing_node,  # 404
                acceptable,  # 406
                well_formed_cursor,  # 400
                reachable_log,  # 503
                inside_window,  # 410
            ),
        ),
        "GetNodeState": Ladder(
            needs=("SnapshotProvider", "RelationChecker", "NodeRepo"),
            undecided="datastore_unavailable",
            gates=(
                wired,  # 501
                known_caller,  # 401
                well_formed_id,  # 400
                related,  # 403
                existing_node,  # 404
            ),
        ),
    }
)


async def climb(operation_id: str, request: Request, doors: Doors) -> Climb:
    """Pass the gates of an operation, in order; what they found out comes back. Raises Refusal."""
    ladder = LADDERS[operation_id]
    state = Climb(request=request, doors=doors, ladder=ladder)
    try:
        for gate in ladder.gates:
            await gate(state)
    except Unavailable:
        raise Refusal(ladder.undecided) from None
    except Refusal as refusal:
        _record(state, refusal)
        raise
    return state


def record_admitted(state: Climb) -> None:
    """Audit the 200 (GATE-14)."""
    _tell(state, _OK, "granted")


def _record(state: Climb, refusal: Refusal) -> None:
    with_credential = bool(state.request.header_lines(b"authorization"))
    if refusal.status in _AUDITED or (refusal.status == _UNAUTHORIZED and with_credential):
        _tell(state, refusal.status, refusal.code or "")


def _tell(state: Climb, status: int, reason: str) -> None:
    if state.doors.audit is None:
        return
    state.doors.audit.record_nowait(
        Decision(
            occurred_at=state.doors.clock.now(),
            caller=state.caller,
            relation=_NODE_AGENT,
            object_id=state.asked_id[:_ASKED_LENGTH],
            status=status,
            reason=reason,
            correlation_id=state.request.correlation_id,
        )
    )
