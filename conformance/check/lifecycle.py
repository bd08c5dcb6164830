"""Streams that end, many streams of one Node, and callers of older HTTP."""

import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from http import HTTPStatus

from conformance.check import acts, reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.stage import Stage
from conformance.probe.transcript import Ending, Transcript

# ---- deregistration ------------------------------------------------------------------------------------

LEAVER, STAYER = "leaver", "stayer"
DELETED, BACK, BACK_STATE = "deregistered", "leaver comes back", "leaver pulls"

# GATE-15: within 5 s.
END_SECONDS = 5.0


async def act_leaving(stage: Stage) -> None:
    leaver = await acts.own_node(stage, LEAVER)
    stayer = await acts.own_node(stage, STAYER)
    async with (
        stage.stream(LEAVER, identity=LEAVER) as leaving,
        stage.stream(STAYER, identity=STAYER) as staying,
    ):
        await leaving.head()
        await staying.head()
        for node in (leaver, stayer):
            await acts.say(stage, node, 1)
        await acts.heard(leaving, 1)
        await acts.heard(staying, 1)
        await stage.request(DELETED, "DELETE", f"/v1/nodes/{leaver.id}", identity="operator")
        stage.mark("deleted")
        await leaving.ended(END_SECONDS + 1)
        await acts.say(stage, stayer, 2)
        await acts.heard(staying, 2)
    await stage.request(BACK_STATE, "GET", f"/v1/nodes/{leaver.id}/state", identity=LEAVER)
    async with stage.stream(BACK, identity=LEAVER) as again:
        await again.head(END_SECONDS)


def judge_ended(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, DELETED, HTTPStatus.NO_CONTENT)
    exchange = reading.twin_steps(transcript, LEAVER, [1])
    deleted = reading.first_mark(transcript, "deleted").at
    waited = (exchange.ended_at - deleted) / reading.NANOSECONDS
    by_server = exchange.ending in (Ending.COMPLETE, Ending.CLOSED, Ending.RESET)
    seen = f"{exchange.ending.value} after {waited:.1f} s"
    holds = by_server and waited <= END_SECONDS
    yield reading.finding("GATE-15", holds, f"an end within {END_SECONDS:g} s", seen, exchange)
    if by_server:
        torn = reading.rest(exchange)
        seen = f"{len(torn)} bytes of a torn frame, {exchange.ending.value}"
        whole = not torn and exchange.ending is Ending.COMPLETE
        yield reading.finding("GATE-15", whole, "an end at a frame boundary", seen, exchange)
    for label in (BACK, BACK_STATE):
        back = reading.needed(transcript, label)
        holds = reading.status_of(back) == HTTPStatus.UNAUTHORIZED and reading.code_of(back) == "nsk_revoked"
        yield reading.finding("GATE-15", holds, "401 nsk_revoked", reading.answer_text(back), back)


def judge_told(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, DELETED, HTTPStatus.NO_CONTENT)
    exchange = reading.twin_steps(transcript, STAYER, [1, 2])
    gone = reading.fact(transcript, f"node {LEAVER}", "node_id")
    told = [
        each
        for each in reading.events(exchange)
        if each.frame.event == "peer_deregistered" and reading.payload(each).get("node_id") == gone
    ]
    yield reading.same("PROD-7", 1, len(told), "peer_deregistered at the Node that stays", exchange)
    leaving = reading.needed(transcript, LEAVER)
    own = [each for each in reading.events(leaving) if each.frame.event == "peer_deregistered"]
    yield reading.same("GATE-15", 0, len(own), "rows that address the Node that left", leaving)


# ---- many streams of one Node --------------------------------------------------------------------------

CROWD = "stream "

# SSE-12: the limit is at least 4.
AT_LEAST = 4


async def act_crowd(stage: Stage) -> None:
    node = await acts.own_node(stage, "crowd_node")
    async with AsyncExitStack() as stack:
        probes = []
        for number in range(1, AT_LEAST + 1):
            probe = await stack.enter_async_context(stage.stream(f"{CROWD}{number}", identity="crowd_node"))
            await probe.head()
            probes.append(probe)
        await acts.say(stage, node, 1)
        for probe in probes:
            await acts.heard(probe, 1)


def judge_crowd(transcript: Transcript) -> Iterator[Finding]:
    first = reading.answered(transcript, f"{CROWD}{AT_LEAST}")
    if not reading.events(first):
        raise CannotJudge("not even the newest stream brought the event")
    for number in range(1, AT_LEAST + 1):
        exchange = reading.needed(transcript, f"{CROWD}{number}")
        told = reading.steps(exchange)
        yield reading.same("SSE-12", [1], told, f"stream {number} of {AT_LEAST}", exchange)


# ---- HTTP/1.0 ------------------------------------------------------------------------------------------

OLD, NEW = "HTTP/1.0", "HTTP/1.1"

# A line that no frame has and every chunk begins with.
_CHUNK = re.compile(rb"(?:^|\n)[0-9a-fA-F]+\r\n")


async def act_old_http(stage: Stage) -> None:
    node = await acts.own_node(stage, "old_http_node")
    async with (
        stage.stream(NEW, identity="old_http_node") as new,
        stage.stream(OLD, identity="old_http_node", http_version="1.0") as old,
    ):
        await new.head()
        await old.head()
        await acts.say(stage, node, 1)
        await acts.heard(new, 1)
        await acts.heard(old, 1)


def judge_old_http(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, NEW, [1])
    exchange = reading.needed(transcript, OLD)
    head = exchange.head
    coding = () if head is None else (*head.values("Transfer-Encoding"), *head.values("Content-Length"))
    seen = f"{reading.status_of(exchange)}, {', '.join(coding) or 'no coding, no length'}"
    holds = reading.status_of(exchange) == HTTPStatus.OK and not coding
    yield reading.finding("SSE-12", holds, "200, delimited by the close", seen, exchange)
    size = _CHUNK.search(exchange.body)
    seen = "frames alone" if size is None else f"the size of a chunk, {size.group().strip()!r}"
    yield reading.finding("SSE-12", size is None, "frames and nothing between them", seen, exchange)
    yield reading.same("SSE-12", [1], reading.steps(exchange), "steps", exchange)


_COMMITS = "a few commits, each on the wire within a second"

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="leaving",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=15,
        budget_reason="a stream ends within 5 s of its Node's deregistration (GATE-15)",
        act=act_leaving,
    ),
    Scenario(
        name="crowd",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=15,
        budget_reason=_COMMITS,
        act=act_crowd,
    ),
    Scenario(
        name="old_http",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=15,
        budget_reason=_COMMITS,
        act=act_old_http,
    ),
)

_ROWS = (
    (
        "GATE-015",
        "A deregistered Node's streams end, and it does not come back",
        ("GATE-15",),
        "leaving",
        judge_ended,
    ),
    ("PROD-007", "The others are told that a Node left", ("PROD-7", "GATE-15"), "leaving", judge_told),
    ("SSE-012", "Four streams of one Node are served side by side", ("SSE-12",), "crowd", judge_crowd),
    (
        "SSE-022",
        "An HTTP/1.0 caller gets a stream that ends with the connection",
        ("SSE-12",),
        "old_http",
        judge_old_http,
    ),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(
        id=name,
        title=title,
        clauses=clauses,
        profile="stream",
        scenario=scenario,
        judge=judge,
        timed=name == "GATE-015",
    )
    for name, title, clauses, scenario, judge in _ROWS
)
