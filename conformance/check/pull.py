"""The snapshot: its members, its order, its bytes, and that events and pulls say the same."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.agent import fold
from conformance.check import acts, reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript

MEMBERS = ("peers", "executions", "sessions", "reachability", "policy", "bridge", "state", "reports")
ARRAYS = ("peers", "executions", "sessions")
NULLABLE = ("policy", "bridge", "state", "reports")
BUCKETS = ("metadata", "data", "reports")

STREAM = "stream"
BEFORE, FIRST, SECOND, AFTER = "pull before", "first pull", "second pull", "pull after"
EMPTY = "pull of a lonely Node"
NODE = "pull_node"
GONE = "a peer leaves"

# The number published last.
LAST = 2


async def act(stage: Stage) -> None:
    node = await acts.own_node(stage, NODE)
    path = f"/v1/nodes/{node.id}/state"
    await stage.request(EMPTY, "GET", path, identity=NODE)
    async with stage.stream(STREAM, identity=NODE) as probe:
        await probe.head()
        await stage.request(BEFORE, "GET", path, identity=NODE)
        peers = [await acts.own_node(stage, f"pull_peer_{name}") for name in "abc"]
        await acts.say(stage, node, 1)
        await acts.heard(probe, 1)
        await stage.request(FIRST, "GET", path, identity=NODE)
        await stage.request(SECOND, "GET", path, identity=NODE)
        await stage.request(GONE, "DELETE", f"/v1/nodes/{peers[1].id}", identity="operator")
        await stage.put_entry(node, "colour", "red")
        await stage.put_entry(node, "size", "<9>", bucket="data")
        await acts.say(stage, node, LAST)
        await acts.heard(probe, LAST)
        await stage.request(AFTER, "GET", path, identity=NODE)


def snapshot(exchange: Exchange) -> Mapping[str, Any]:
    """The pull's members; raises CannotJudge if it is no JSON object."""
    try:
        members = json.loads(exchange.body)
    except ValueError as wrong:
        raise CannotJudge(f"{exchange.label} is no JSON") from wrong
    if not isinstance(members, dict):
        raise CannotJudge(f"{exchange.label} is no JSON object")
    return members


def judge_members(transcript: Transcript) -> Iterator[Finding]:
    for label in (EMPTY, FIRST, AFTER):
        yield from members_of(reading.answered(transcript, label))


def members_of(exchange: Exchange) -> Iterator[Finding]:
    """PULL-1a of one pull; raises CannotJudge if it is no JSON object."""
    members = snapshot(exchange)
    missing = [name for name in MEMBERS if name not in members]
    yield reading.same("PULL-1a", [], missing, "missing members", exchange)
    no_lists = [name for name in ARRAYS if not isinstance(members.get(name), list)]
    yield reading.same("PULL-1a", [], no_lists, "arrays that are none", exchange)
    no_objects = [name for name in NULLABLE if not isinstance(members.get(name), dict | None)]
    lacking = no_objects + ([] if isinstance(members.get("reachability"), dict) else ["reachability"])
    yield reading.same("PULL-1a", [], lacking, "blocks that are no objects", exchange)
    nulls = [
        f"{name}.{bucket}"
        for name in ("state", "reports")
        for bucket in BUCKETS
        if isinstance(members.get(name), dict) and not isinstance(members[name].get(bucket), list)
    ]
    yield reading.same("PULL-1a", [], nulls, "buckets that are no arrays", exchange)


def judge_empty_blocks(transcript: Transcript) -> Iterator[Finding]:
    exchange = reading.answered(transcript, EMPTY)
    nulls = [name for name in NULLABLE if snapshot(exchange).get(name) is None]
    yield reading.same("PULL-1b", [], nulls, "blocks that are null", exchange)


def judge_peers(transcript: Transcript) -> Iterator[Finding]:
    own = reading.fact(transcript, f"node {NODE}", "node_id")
    exchange = reading.answered(transcript, FIRST)
    ids = [peer.get("node_id") for peer in snapshot(exchange).get("peers", [])]
    made = {reading.fact(transcript, f"node pull_peer_{name}", "node_id") for name in "abc"}
    yield reading.same("PULL-2", sorted(made), ids, "peers in order, without the Node itself", exchange)
    yield reading.finding("PULL-2", own not in ids, "a list without the Node itself", str(ids), exchange)


def judge_repeatable(transcript: Transcript) -> Iterator[Finding]:
    first, second = reading.answered(transcript, FIRST), reading.answered(transcript, SECOND)
    seen = "equal" if first.body == second.body else "different bytes"
    yield reading.finding("PULL-2", seen == "equal", "two equal pulls", seen, second)


def judge_registered(transcript: Transcript) -> Iterator[Finding]:
    stream = reading.twin_steps(transcript, STREAM, [1])
    told = {
        reading.payload(each).get("node_id"): (reading.payload(each), each)
        for each in reading.events(stream)
        if each.frame.event == "peer_registered"
    }
    peers = snapshot(reading.answered(transcript, FIRST)).get("peers", [])
    if not peers:
        raise CannotJudge("the pull has no peers")
    for peer in peers:
        payload, each = told.get(peer.get("node_id"), ({}, None))
        expected = [peer.get(name) for name in ("node_id", "mesh_ip", "public_key")]
        seen = [payload.get(name) for name in ("node_id", "mesh_ip", "public_key")]
        yield reading.finding("PULL-3", expected == seen, f"{expected}", f"{seen}", each=each)


def judge_parity(transcript: Transcript) -> Iterator[Finding]:
    stream = reading.twin_steps(transcript, STREAM, [1, LAST])
    if reading.needed(transcript, GONE).head is None:
        raise CannotJudge("the peer never left")
    marker = next(each for each in reading.events(stream) if reading.step(each) == LAST)
    for label, until in ((FIRST, 1), (AFTER, LAST)):
        pulled = reading.answered(transcript, label)
        for difference in _differences(transcript, stream, until, pulled):
            seen = f"{difference.block}: the pull says {difference.pulled}, the stream {difference.folded}"
            yield reading.finding("PULL-4", False, "the fold equals the pull", seen, pulled)
    yield reading.finding("PULL-4", True, "the fold equals the pull", "both ended", each=marker)


def _differences(
    transcript: Transcript, stream: Exchange, until: int, pulled: Exchange
) -> tuple[fold.Difference, ...]:
    try:
        return fold.differences(_folded(transcript, stream, until), pulled.body)
    except (ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise CannotJudge(f"what was told has not the shape that can be folded: {wrong!r}") from wrong


def _folded(transcript: Transcript, stream: Exchange, until: int) -> fold.Fold:
    state = fold.start(reading.answered(transcript, BEFORE).body)
    for each in reading.events(stream):
        state = _applied(state, each)
        if reading.step(each) == until:
            break
    return state


def _applied(state: fold.Fold, each: reading.Placed) -> fold.Fold:
    told = reading.payload_bytes(each)
    return state if told is None else fold.apply(state, reading.header(each, "type"), told)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="pull",
        grade=Grade.G2,
        effect=Effect.WRITE_OWN,
        budget_seconds=20,
        budget_reason="eight commits and five pulls, each within a second",
        act=act,
    ),
)

_ROWS = (
    ("PULL-001", "The snapshot has all its members", "PULL-1a", "pull", judge_members),
    ("PULL-011", "Empty blocks are empty, not null", "PULL-1b", "pull", judge_empty_blocks),
    ("PULL-002", "Peers are in order, without the Node itself", "PULL-2", "pull", judge_peers),
    ("PULL-012", "Two pulls without a change are byte-equal", "PULL-2", "pull", judge_repeatable),
    ("PULL-003", "An event and the pull show a peer alike", "PULL-3", "pull", judge_registered),
    ("PULL-004", "The folded stream is the pulled state", "PULL-4", "pull", judge_parity),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile=profile, scenario="pull", judge=judge)
    for name, title, clause, profile, judge in _ROWS
)
