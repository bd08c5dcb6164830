"""What lasts while a part is away: streams without the database, the chain without the log. Grade G3."""

import uuid
from collections.abc import Iterator
from http import HTTPStatus

import trio

from conformance.agent import keys
from conformance.check import acts, reading, rotation
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.node import NodeHandle
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript

HEAD_SECONDS = 3.0

# An agent comes back with a pause; OUT-8 sets no time, ten seconds are patient.
RETURNS, RETURN_PAUSE = 40, 0.25

# A copy is in one replica's memory: who knows them one by one (base_urls) asks one alone.
# A revocation takes effect within five seconds (GATE-15): who looks callers up again has done so by then. The
# copy is looked at as often as the above.
OLD_ENOUGH, AGING = 6, 32

# PULL-5: the default stale limit is 300 s; no deployment that keeps the default serves an older snapshot.
STALE_SECONDS = 301

# ---- the database away ---------------------------------------------------------------------------------

NODE, STALE_NODE, TURNING_NODE = "cached_node", "stale_node", "turning_away_node"
WATCH, RESUMED = "open all the while", "resumed without the database"
BEFORE, DURING = "pulled", "pulled from the cache "
CHANGED = "a change once it is back "
CHANGE, RECOVERED = "a change without the database", "pulled afterwards"


async def act_database(stage: Stage) -> None:
    node = await acts.own_node(stage, NODE)
    path = f"/v1/nodes/{node.id}/state"
    async with stage.stream(WATCH, identity=NODE, replica=stage.one) as watch:
        await watch.head()
        await acts.say(stage, node, 1)
        first = await acts.heard(watch, 1) or ""
        await acts.say(stage, node, 2)
        await acts.heard(watch, 2)
        await stage.request(BEFORE, "GET", path, identity=NODE, replica=stage.one)
        await stage.driver.stop("database")
        try:
            await _aged(stage, path)
            async with stage.stream(RESUMED, identity=NODE, cursor=first, replica=stage.one) as resumed:
                await acts.heard(resumed, 2, HEAD_SECONDS)
            await _change(stage, node)
        finally:
            await stage.driver.start("database")
        await _settled(stage, node, CHANGED)
        await acts.say(stage, node, 3)
        await acts.heard(watch, 3)
        await stage.request(RECOVERED, "GET", path, identity=NODE, replica=stage.one)


async def _aged(stage: Stage, path: str) -> None:
    """Pulls until the copy is as old as the outage has to be, so that whatever it breaks has broken."""
    for turn in range(1, AGING + 1):
        answer = await stage.request(
            f"{DURING}{turn}", "GET", path, identity=NODE, replica=stage.one, timeout=HEAD_SECONDS
        )
        if any(each.isdecimal() and int(each) >= OLD_ENOUGH for each in _ages(answer)):
            return
        await trio.sleep(RETURN_PAUSE)


async def _change(stage: Stage, node: NodeHandle) -> None:
    path = f"/v1/nodes/{node.id}/state/metadata/{reading.STEP}"
    await stage.request(CHANGE, "PUT", path, identity="operator", json={"value": "99"}, timeout=HEAD_SECONDS)


async def _settled(stage: Stage, node: NodeHandle, label: str) -> None:
    """Waits until a change is taken again: a pool of connections takes a moment to find out."""
    path = f"/v1/nodes/{node.id}/state/metadata/back"
    for turn in range(1, RETURNS + 1):
        answer = await stage.request(f"{label}{turn}", "PUT", path, identity="operator", json={"value": "1"})
        if answer.head is not None and answer.head.status < HTTPStatus.BAD_REQUEST:
            return
        await trio.sleep(RETURN_PAUSE)


def judge_streams_go_on(transcript: Transcript) -> Iterator[Finding]:
    _away(transcript)
    watch = reading.twin_steps(transcript, WATCH, [1, 2])
    resumed = reading.needed(transcript, RESUMED)
    yield reading.same("OUT-8", 200, reading.status_of(resumed), "a stream without the database", resumed)
    yield reading.same("OUT-8", [2], reading.steps(resumed), "what follows a cursor at step 1", resumed)
    steps = list(dict.fromkeys(reading.steps(watch)))  # the change that waited for the database tells 2 again
    yield reading.same("OUT-8", [1, 2, 3], steps, "the stream that was open", watch)


def judge_age(transcript: Transcript) -> Iterator[Finding]:
    _away(transcript)
    fresh, pulls = reading.answered(transcript, BEFORE), transcript.labelled(DURING)
    if not pulls:
        raise CannotJudge("nothing was pulled without the database")
    for cached in pulls:
        seen = f"{reading.status_of(cached)}, Age {', '.join(_ages(cached)) or 'none'}"
        holds = reading.status_of(cached) == HTTPStatus.OK and _is_age(_ages(cached))
        yield reading.finding("PULL-5", holds, "200 and one Age, below the stale limit", seen, cached)
    last = ", ".join(_ages(pulls[-1]))
    yield reading.finding("PULL-5", last not in ("", "0"), "an Age that grows", last or "none", pulls[-1])
    for exchange in (fresh, reading.needed(transcript, RECOVERED)):
        told = ", ".join(_ages(exchange)) or "none"
        yield reading.finding("PULL-5", not _ages(exchange), "no Age with the database", told, exchange)


def _ages(exchange: Exchange) -> tuple[str, ...]:
    return () if exchange.head is None else tuple(exchange.head.values("Age"))


def _is_age(ages: tuple[str, ...]) -> bool:
    return len(ages) == 1 and ages[0].isdecimal() and int(ages[0]) < STALE_SECONDS


def _away(transcript: Transcript) -> None:
    if reading.status_of(reading.needed(transcript, CHANGE)) in range(200, 300):
        raise CannotJudge("the database did not go away: a change was taken")


# ---- the database away for too long --------------------------------------------------------------------

STALE, STALE_UNKNOWN = "pulled too late", "pulled too late, no such Node"
STALE_EVENTS, STALE_CHANGED = "a stream too late", "a change after too long "

# What can be refused without a look at the database is refused before it is missed.
STALE_NOBODY, STALE_GARBAGE = "nobody pulls too late", "an unreadable credential pulls too late"
UNREADABLE = ("Authorization", "Basic bm9ib2R5")


async def act_stale(stage: Stage) -> None:
    node = await acts.own_node(stage, STALE_NODE)
    path = f"/v1/nodes/{node.id}/state"
    await stage.request(BEFORE, "GET", path, identity=STALE_NODE)
    await stage.driver.stop("database")
    try:
        await stage.driver.advance_clock(STALE_SECONDS)
        await _change(stage, node)
        await stage.request(STALE, "GET", path, identity=STALE_NODE, timeout=HEAD_SECONDS)
        nobody = f"/v1/nodes/{uuid.UUID(bytes=stage.rng.randbytes(16), version=4)}/state"
        await stage.request(STALE_UNKNOWN, "GET", nobody, identity=STALE_NODE, timeout=HEAD_SECONDS)
        await acts.knock(stage, STALE_EVENTS, node.id, identity=STALE_NODE)
        await acts.knock(stage, STALE_NOBODY, node.id, surface=acts.STATE)
        await acts.knock(stage, STALE_GARBAGE, node.id, surface=acts.STATE, headers=[UNREADABLE])
    finally:
        await stage.driver.start("database")
    await _settled(stage, node, STALE_CHANGED)
    await stage.request(RECOVERED, "GET", path, identity=STALE_NODE)


def judge_stale(transcript: Transcript) -> Iterator[Finding]:
    _away(transcript)
    reading.answered(transcript, BEFORE)
    exchange = reading.needed(transcript, STALE)
    yield _refused("PULL-5", exchange, ("datastore_unavailable",))
    yield reading.same(
        "PULL-5", 200, reading.status_of(reading.needed(transcript, RECOVERED)), "once it is back", exchange
    )


def judge_undecided(transcript: Transcript) -> Iterator[Finding]:
    _away(transcript)
    known, unknown = (reading.needed(transcript, label) for label in (STALE, STALE_UNKNOWN))
    alike = reading.answer_text(known) == reading.answer_text(unknown)
    yield reading.finding("GATE-11", alike, reading.answer_text(known), reading.answer_text(unknown), unknown)
    yield _refused("GATE-11", reading.needed(transcript, STALE_EVENTS), ("authz_unavailable",))


def judge_before(transcript: Transcript) -> Iterator[Finding]:
    _away(transcript)
    if reading.status_of(reading.needed(transcript, STALE)) != HTTPStatus.SERVICE_UNAVAILABLE:
        raise CannotJudge("whoever has a credential was not answered 503 either")
    for label, code in ((STALE_NOBODY, "unauthenticated"), (STALE_GARBAGE, "unauthenticated")):
        exchange = reading.needed(transcript, label)
        holds = reading.answer_text(exchange) == f"401 {code}"
        yield reading.finding("GATE-12", holds, f"401 {code}", reading.answer_text(exchange), exchange)


def _refused(clause: str, exchange: Exchange, codes: tuple[str, ...]) -> Finding:
    status, code = reading.status_of(exchange), reading.code_of(exchange)
    holds = status == HTTPStatus.SERVICE_UNAVAILABLE and code in codes
    return reading.finding(clause, holds, f"503 {codes[0]}", reading.answer_text(exchange), exchange)


# ---- a rotation while the log is away ------------------------------------------------------------------

OPEN, ROTATED, AFTERWARDS = "before the outage", "rotated without the log", "resumed "


async def act_rotation(stage: Stage) -> None:
    domain = await stage.fresh_domain("turning_away")
    node = await acts.own_node(stage, TURNING_NODE, domain="turning_away")
    async with stage.stream(OPEN, identity=TURNING_NODE) as probe:
        await probe.head()
        await acts.say(stage, node, 1)
        cursor = await acts.heard(probe, 1) or ""
    await stage.driver.stop("log")
    try:
        await acts.say(stage, node, 2)
        path, body = f"/v1/domains/{domain.id}/signing-keys/rotate", {"transition_seconds": 3600}
        await stage.request(ROTATED, "POST", path, identity="operator", json=body)
        await acts.say(stage, node, 3)
    finally:
        await stage.driver.start("log")
    for turn in range(1, RETURNS + 1):
        async with stage.stream(f"{AFTERWARDS}{turn}", identity=TURNING_NODE, cursor=cursor) as probe:
            head = await probe.head(HEAD_SECONDS)
            if head is not None and head.status == HTTPStatus.OK:
                await acts.heard(probe, 3)
                return
        await trio.sleep(RETURN_PAUSE)


def judge_rotation(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, OPEN, [1])
    reading.answered(transcript, ROTATED)
    attempts = transcript.labelled(AFTERWARDS)
    if not attempts:
        raise CannotJudge("the scenario never came back")
    exchange = attempts[-1]
    told = [
        "rotation" if each.frame.event == keys.ROTATION else str(reading.step(each))
        for each in reading.events(exchange)
    ]
    yield reading.same("KEY-2", ["2", "rotation", "3"], told, "the order of the commits", exchange)
    yield from rotation.followed(
        rotation.pinned(transcript, TURNING_NODE), exchange, "KEY-2", ("KEY-2", "KEY-3", "ENV-7", "ENV-8")
    )


_ACTS = (
    (
        "database_away",
        act_database,
        ("stop database",),
        40,
        "four commits, eight seconds without the database, ten to return",
    ),
    ("database_stale", act_stale, ("stop database",), 30, "seven refusals and ten seconds to return"),
    ("rotation_away", act_rotation, (), 24, "three commits and ten seconds for the log to return"),
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
    ("OUT-018", "Streams go on without the database", "OUT-8", "database_away", judge_streams_go_on),
    ("PULL-015", "A pull without the database says its age", "PULL-5", "database_away", judge_age),
    ("PULL-025", "A snapshot that is too old is not served", "PULL-5", "database_stale", judge_stale),
    ("GATE-051", "What cannot be decided tells nothing", "GATE-11", "database_stale", judge_undecided),
    ("GATE-056", "Who has no credential is told so before 503", "GATE-12", "database_stale", judge_before),
    ("KEY-027", "A rotation without the log is told in its place", "KEY-2", "rotation_away", judge_rotation),
)

# It wants the log away and nothing that a server in memory lacks: whoever claims keys has to show it.
_OF_KEYS = "rotation_away"

CHECKS: tuple[Check, ...] = tuple(
    Check(
        id=name,
        title=title,
        clauses=(clause,),
        profile="keys" if scenario == _OF_KEYS else "durability",
        scenario=scenario,
        judge=judge,
    )
    for name, title, clause, scenario, judge in _ROWS
)
