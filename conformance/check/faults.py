"""What a server does while its parts are away: a port unwired, the log stopped, a restart. Grade G3."""

from collections.abc import Iterator
from http import HTTPStatus

import trio

from conformance.check import acts, reading
from conformance.check.descoped import CODE
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe import honesty
from conformance.probe.stage import Stage
from conformance.probe.transcript import Ending, Transcript

HEAD_SECONDS = 3.0

# ---- unwired ports -------------------------------------------------------------------------------------

EVENT_PORTS = ("EventStream", "NonceStore", "SignatureVerifier", "RelationChecker", "NodeRepo")
STATE_PORTS = ("SnapshotProvider", "RelationChecker", "NodeRepo")
OPTIONAL = "AuditSink"
PORTS = (*dict.fromkeys((*EVENT_PORTS, *STATE_PORTS)), OPTIONAL)
WIRED = "all wired"


async def act_unwired(stage: Stage) -> None:
    node = await acts.own_node(stage, "unwired_node")
    await _look(stage, node.id, WIRED)
    for port in PORTS:
        await stage.driver.wire(port, wired=False)
        try:
            await _look(stage, node.id, port)
        finally:
            await stage.driver.wire(port, wired=True)
    await _look(stage, node.id, "wired again")


async def _look(stage: Stage, node_id: str, name: str) -> None:
    path = f"/v1/nodes/{node_id}/state"
    await stage.request(f"state: {name}", "GET", path, identity="unwired_node", timeout=HEAD_SECONDS)
    await stage.request(f"nobody: {name}", "GET", path, timeout=HEAD_SECONDS)
    async with stage.stream(f"events: {name}", identity="unwired_node") as probe:
        await probe.head(HEAD_SECONDS)


def judge_events_unwired(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, f"events: {WIRED}")
    for port in EVENT_PORTS:
        exchange = reading.needed(transcript, f"events: {port}")
        holds = (
            reading.status_of(exchange) == HTTPStatus.NOT_IMPLEMENTED and reading.code_of(exchange) == CODE
        )
        what = f"without {port}: 501 {CODE}"
        yield reading.finding("GATE-1", holds, what, reading.answer_text(exchange), exchange)


def judge_state_unwired(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, f"state: {WIRED}")
    for port in PORTS:
        exchange = reading.needed(transcript, f"state: {port}")
        wanted = HTTPStatus.NOT_IMPLEMENTED if port in STATE_PORTS else HTTPStatus.OK
        yield reading.same("GATE-2", int(wanted), reading.status_of(exchange), f"without {port}", exchange)


def judge_audit_optional(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, f"events: {WIRED}")
    events = reading.needed(transcript, f"events: {OPTIONAL}")
    yield reading.same("GATE-4", 200, reading.status_of(events), "events without AuditSink", events)
    nobody = reading.needed(transcript, f"nobody: {OPTIONAL}")
    yield reading.same("GATE-4", 401, reading.status_of(nobody), "nobody without AuditSink", nobody)


# ---- the log away --------------------------------------------------------------------------------------

# An agent comes back with a pause; OUT-8 sets no time, ten seconds are patient.
RETURNS, RETURN_PAUSE = 40, 0.25

OUTAGE_EVENTS, OUTAGE_STATE, BEFORE, AFTER = "events meanwhile", "state meanwhile", "before", "afterwards"


async def act_outage(stage: Stage) -> None:
    node = await acts.own_node(stage, "outage_node")
    async with stage.stream(BEFORE, identity="outage_node") as probe:
        await probe.head()
        await acts.say(stage, node, 1)
        cursor = await acts.heard(probe, 1) or ""
    await stage.driver.stop("log")
    try:
        async with stage.stream(OUTAGE_EVENTS, identity="outage_node", cursor=cursor) as probe:
            await probe.head(HEAD_SECONDS)
            await probe.ended(HEAD_SECONDS)
        path = f"/v1/nodes/{node.id}/state"
        await stage.request(OUTAGE_STATE, "GET", path, identity="outage_node")
        await acts.say(stage, node, 2)
    finally:
        await stage.driver.start("log")
    for turn in range(1, RETURNS + 1):
        async with stage.stream(f"{AFTER} {turn}", identity="outage_node", cursor=cursor) as probe:
            head = await probe.head(HEAD_SECONDS)
            if head is not None and head.status == HTTPStatus.OK:
                await acts.heard(probe, 2)
                return
        await trio.sleep(RETURN_PAUSE)


def judge_outage(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, BEFORE, [1])
    exchange = reading.needed(transcript, OUTAGE_EVENTS)
    code = "event_stream_unavailable"
    holds = (
        reading.status_of(exchange) == HTTPStatus.SERVICE_UNAVAILABLE and reading.code_of(exchange) == code
    )
    yield reading.finding("GATE-11", holds, f"503 {code}", reading.answer_text(exchange), exchange)
    retry = () if exchange.head is None else exchange.head.values("Retry-After")
    yield reading.finding("GATE-11", len(retry) == 1, "Retry-After", ", ".join(retry) or "none", exchange)
    state = reading.needed(transcript, OUTAGE_STATE)
    yield reading.same("GATE-11", 200, reading.status_of(state), "the snapshot meanwhile", state)


def judge_pull_without_log(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, BEFORE, [1])
    if reading.status_of(reading.needed(transcript, OUTAGE_EVENTS)) == HTTPStatus.OK:
        raise CannotJudge("the log did not go away")
    state = reading.needed(transcript, OUTAGE_STATE)
    yield reading.same("PULL-5", 200, reading.status_of(state), "a pull without the log", state)


def judge_back(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, BEFORE, [1])
    if reading.status_of(reading.needed(transcript, OUTAGE_EVENTS)) == HTTPStatus.OK:
        raise CannotJudge("the log did not go away")
    attempts = transcript.labelled(AFTER)
    if not attempts:
        raise CannotJudge("the scenario never came back")
    exchange = attempts[-1]
    yield reading.same("OUT-8", [2], reading.steps(exchange), "steps once the log is back", exchange)


# ---- restart -------------------------------------------------------------------------------------------

STOPPED, RESUMED = "open when it stops", "resumed after the restart"


async def act_restart(stage: Stage) -> None:
    node = await acts.own_node(stage, "restart_node")
    async with stage.stream(STOPPED, identity="restart_node") as probe:
        await probe.head()
        await acts.say(stage, node, 1)
        cursor = await acts.heard(probe, 1) or ""
        await acts.say(stage, node, 2)
        await acts.heard(probe, 2)
        await stage.driver.restart()
        over = await probe.ended()
        honesty.effect(stage, "restart", seen=over, missing="a stream that was open went on")
    await acts.say(stage, node, 3)
    async with stage.stream(RESUMED, identity="restart_node", cursor=cursor) as probe:
        await acts.heard(probe, 3)


def judge_stopped(transcript: Transcript) -> Iterator[Finding]:
    exchange = reading.twin_steps(transcript, STOPPED, [1, 2])
    torn = reading.rest(exchange)
    ended = exchange.ending is Ending.COMPLETE
    seen = f"{exchange.ending.value}, {len(torn)} bytes of a torn frame"
    yield reading.finding("SSE-8", ended and not torn, "an end at a frame boundary", seen, exchange)


def judge_cursor_kept(transcript: Transcript) -> Iterator[Finding]:
    stopped = reading.twin_steps(transcript, STOPPED, [1, 2])
    exchange = reading.needed(transcript, RESUMED)
    yield reading.same("CUR-7", [2, 3], reading.steps(exchange), "after a cursor at step 1", exchange)
    before = {each.sequence: each.frame.raw for each in reading.events(stopped)}
    changed = [
        (each, "other bytes than before the restart")
        for each in reading.events(exchange)
        if before.get(each.sequence, each.frame.raw) != each.frame.raw
    ]
    yield from reading.weighed("CUR-7", "the same sequence, the same bytes", changed, "the same")


_ACTS = (
    ("unwired", act_unwired, (), 20, "eight ports, three answers each, each at once"),
    ("outage", act_outage, (), 24, "two commits, a refusal, and ten seconds for the log to return"),
    ("restart", act_restart, ("restart",), 60, "a server takes a grace period to stop and seconds to start"),
)

SCENARIOS: tuple[Scenario, ...] = tuple(
    Scenario(
        name=name,
        grade=Grade.G3,
        effect=Effect.DISRUPTIVE,
        budget_seconds=seconds,
        budget_reason=reason,
        act=act,
        needs=frozenset(needs),
    )
    for name, act, needs, seconds, reason in _ACTS
)

_ROWS = (
    ("GATE-021", "Events need each of their five ports", "GATE-1", "stream", "unwired", judge_events_unwired),
    (
        "GATE-022",
        "State needs its three ports and no other",
        "GATE-2",
        "pull",
        "unwired",
        judge_state_unwired,
    ),
    (
        "GATE-004",
        "Without an audit sink every gate still fires",
        "GATE-4",
        "stream",
        "unwired",
        judge_audit_optional,
    ),
    (
        "GATE-011",
        "With the log away events say so and the snapshot stays",
        "GATE-11",
        "stream",
        "outage",
        judge_outage,
    ),
    ("PULL-005", "The pull does not need the log", "PULL-5", "pull", "outage", judge_pull_without_log),
    ("OUT-008", "The relay resumes by itself", "OUT-8", "replay", "outage", judge_back),
    (
        "SSE-008",
        "A stopping server ends streams at a frame boundary",
        "SSE-8",
        "durability",
        "restart",
        judge_stopped,
    ),
    (
        "CUR-017",
        "A cursor means the same after a restart",
        "CUR-7",
        "durability",
        "restart",
        judge_cursor_kept,
    ),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile=profile, scenario=scenario, judge=judge)
    for name, title, clause, profile, scenario, judge in _ROWS
)
