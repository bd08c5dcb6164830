"""The ladders: every pair of refusals, both codes of every door, and what is looked at behind a refusal."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import pytest

from reference_server.api.operations import OPERATIONS
from reference_server.errors import Refusal
from reference_server.ports import Bounds, Unavailable
from reference_server.stream import gates
from reference_server.wire.messages import Request
from tests.server.stream.fakes import (
    NODE,
    NOWHERE,
    OTHER_NODE,
    FixedClock,
    KnownCallers,
    Minutes,
    OwnNode,
    TwoNodes,
)


class Scene:
    """A request that would pass, and the ports around it, until something is spoilt."""

    def __init__(self) -> None:
        self.unwired: set[str] = set()
        self.relations, self.nodes, self.audit = OwnNode(), TwoNodes(), Minutes()
        self.bounds = Bounds(low=10, high=20)
        self.log_away = False
        self.node_id = NODE
        self.headers: dict[bytes, bytes] = {b"authorization": b"Bearer operator:all"}

    async def _window(self) -> Bounds:
        if self.log_away:
            raise Unavailable("the log is stopped")
        return self.bounds

    async def climb(self, operation_id: str = "GetNodeEvents") -> gates.Climb:
        doors = gates.Doors(
            is_wired=lambda port: port not in self.unwired,
            credentials=KnownCallers(),
            relations=self.relations,
            nodes=self.nodes,
            window=self._window,
            audit=self.audit,
            clock=FixedClock(),
        )
        return await gates.climb(operation_id, request(self.node_id, self.headers), doors)

    async def refusal(self, operation_id: str = "GetNodeEvents") -> tuple[int, str | None]:
        """How the ladder refuses; (200, None) where it does not."""
        try:
            await self.climb(operation_id)
        except Refusal as refused:
            return refused.status, refused.code
        return 200, None


def request(node_id: str, headers: dict[bytes, bytes]) -> Request:
    return Request(
        method="GET",
        path=f"/v1/nodes/{node_id}/events",
        target=b"",
        query={},
        headers=tuple(headers.items()),
        body=b"",
        http_version=b"1.1",
        client="127.0.0.1",
        correlation_id="c",
        path_parameters={"id": node_id},
    )


@dataclass(frozen=True, slots=True)
class Spoilt:
    """One thing that is wrong, and the refusal that it alone earns."""

    name: str
    spoil: Callable[[Scene], object]
    status: int
    code: str | None


def _ask_of(node_id: str) -> Callable[[Scene], object]:
    return lambda scene: setattr(scene, "node_id", node_id)


def _header(name: bytes, value: bytes) -> Callable[[Scene], object]:
    return lambda scene: scene.headers.__setitem__(name, value)


# In the order of protocol section 3.
EVENTS = (
    Spoilt("unwired", lambda s: s.unwired.add("NonceStore"), 501, "signed_event_bus_not_provisioned"),
    Spoilt("no caller", lambda s: s.headers.pop(b"authorization"), 401, "unauthenticated"),
    Spoilt("malformed id", _ask_of("x"), 400, "invalid_node_id"),
    Spoilt("not related", _header(b"authorization", b"Bearer operator:other"), 403, "insufficient_relation"),
    Spoilt("unknown node", _ask_of(NOWHERE), 404, "node_not_found"),
    Spoilt("not acceptable", _header(b"accept", b"application/json"), 406, None),
    Spoilt("malformed cursor", _header(b"last-event-id", b"-1"), 400, "invalid_cursor"),
    Spoilt("log away", lambda s: setattr(s, "log_away", True), 503, "event_stream_unavailable"),
    Spoilt("outside", _header(b"last-event-id", b"3"), 410, "last_event_id_outside_replay_window"),
)

# The same thing spoilt twice over, or one that takes away what the other would show.
SAME_HEADER = {
    ("no caller", "not related"),
    ("malformed id", "unknown node"),
    ("malformed cursor", "outside"),
}


async def test_nothing_spoilt_passes() -> None:
    scene = Scene()
    passed = await scene.climb()
    assert passed.node is not None
    assert (passed.node.node_id, passed.cursor, passed.bounds) == (NODE, None, scene.bounds)


@pytest.mark.parametrize("spoilt", EVENTS, ids=lambda spoilt: spoilt.name)
async def test_each_refusal_by_itself(spoilt: Spoilt) -> None:
    scene = Scene()
    spoilt.spoil(scene)
    assert await scene.refusal() == (spoilt.status, spoilt.code)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [pair for pair in combinations(EVENTS, 2) if tuple(one.name for one in pair) not in SAME_HEADER],
    ids=lambda spoilt: spoilt.name,
)
async def test_of_two_refusals_the_earlier_answers(earlier: Spoilt, later: Spoilt) -> None:
    """GATE-12, whichever was spoilt first."""
    for order in ((earlier, later), (later, earlier)):
        scene = Scene()
        for spoilt in order:
            spoilt.spoil(scene)
        assert await scene.refusal() == (earlier.status, earlier.code)


@pytest.mark.parametrize("count", range(len(EVENTS)))
async def test_nothing_behind_a_refusal_is_looked_at(count: int) -> None:
    """GATE-7, GATE-12: neither relation nor Node are asked before the gate that needs them."""
    scene = Scene()
    EVENTS[count].spoil(scene)
    await scene.refusal()
    names = [spoilt.name for spoilt in EVENTS]
    assert bool(scene.relations.asked) == (count >= names.index("not related"))
    assert bool(scene.nodes.asked) == (count > names.index("not related"))


@pytest.mark.parametrize(
    "port", ["EventStream", "NonceStore", "SignatureVerifier", "RelationChecker", "NodeRepo"]
)
async def test_events_need_each_of_five_ports(port: str) -> None:
    """GATE-1, GATE-3."""
    scene = Scene()
    scene.unwired.add(port)
    scene.headers.clear()
    assert await scene.refusal() == (501, "signed_event_bus_not_provisioned")


@pytest.mark.parametrize("port", ["SnapshotProvider", "RelationChecker", "NodeRepo", "EventStream"])
async def test_state_needs_three_ports_and_no_log(port: str) -> None:
    """GATE-2."""
    scene = Scene()
    scene.unwired.add(port)
    scene.log_away = True
    expected = (200, None) if port == "EventStream" else (501, "signed_event_bus_not_provisioned")
    assert await scene.refusal("GetNodeState") == expected


def test_the_operations_table_names_the_same_ports() -> None:
    needs = {operation.id: set(operation.needs) for operation in OPERATIONS}
    for operation_id, ladder in gates.LADDERS.items():
        assert needs[operation_id] == set(ladder.needs)


async def test_a_credential_of_another_node_is_told_so() -> None:
    """GATE-6, and GATE-7: the same for a Node that exists and for one that does not."""
    for node_id in (OTHER_NODE, NOWHERE):
        scene = Scene()
        scene.node_id = node_id
        scene.headers[b"authorization"] = b"Bearer node:" + NODE.encode()
        assert await scene.refusal() == (403, "node_id_mismatch")
        assert not scene.nodes.asked


@pytest.mark.parametrize("operation_id", ["GetNodeEvents", "GetNodeState"])
@pytest.mark.parametrize("node_id", [NODE, NOWHERE])
@pytest.mark.parametrize("away", ["credentials", "relations", "nodes"])
async def test_a_gate_that_cannot_be_decided_is_503(operation_id: str, node_id: str, away: str) -> None:
    """GATE-11: for existing and unknown Nodes alike."""
    scene = Scene()
    scene.node_id = node_id
    if away == "credentials":
        scene.headers[b"authorization"] = b"Bearer away"
    scene.relations.away, scene.nodes.away = away == "relations", away == "nodes"
    code = "authz_unavailable" if operation_id == "GetNodeEvents" else "datastore_unavailable"
    assert await scene.refusal(operation_id) == (503, code)


async def test_an_id_in_upper_case_is_the_same_node() -> None:
    scene = Scene()
    scene.node_id = NODE.upper()
    assert (await scene.climb()).node_id == NODE


@pytest.mark.parametrize(
    ("spoil", "status", "reason"),
    [
        (lambda s: None, None, None),  # the 200 is recorded once the stream is sure
        (_header(b"authorization", b"Bearer revoked"), 401, "nsk_revoked"),
        (_header(b"authorization", b"Bearer operator:other"), 403, "insufficient_relation"),
        (_ask_of(NOWHERE), 404, "node_not_found"),
        (_header(b"last-event-id", b"3"), 410, "last_event_id_outside_replay_window"),
        (lambda s: s.headers.pop(b"authorization"), None, None),
        (_header(b"last-event-id", b"x"), None, None),
        (lambda s: setattr(s, "log_away", True), None, None),
    ],
)
async def test_decisions_that_a_credential_reached_are_told(
    spoil: Callable[[Scene], object], status: int | None, reason: str | None
) -> None:
    """GATE-14."""
    scene = Scene()
    spoil(scene)
    await scene.refusal()
    told = [(decision.status, decision.reason, decision.object_id) for decision in scene.audit.decisions]
    assert told == ([] if status is None else [(status, reason, scene.node_id)])


async def test_an_admission_is_told_when_it_is_recorded() -> None:
    scene = Scene()
    gates.record_admitted(await scene.climb())
    (decision,) = scene.audit.decisions
    assert (decision.status, decision.reason, decision.relation) == (200, "granted", "node-agent")


async def test_without_an_audit_sink_every_gate_still_fires() -> None:
    """GATE-4."""
    scene = Scene()
    passed = await scene.climb()
    doors = replace(passed.doors, audit=None)
    with pytest.raises(Refusal) as refused:
        await gates.climb("GetNodeEvents", request(NOWHERE, scene.headers), doors)
    assert refused.value.code == "node_not_found"
