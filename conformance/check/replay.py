"""Cursors: resuming at every id, the hand-over to live events, nobody else's events whatever the cursor."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus

import trio

from conformance.check import acts, reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.node import NodeHandle
from conformance.probe.stage import CURSOR_HEADER, Stage
from conformance.probe.stream import StreamProbe
from conformance.probe.transcript import Exchange, Transcript

# ---- resume --------------------------------------------------------------------------------------------

WITNESS = "witness"
RESUMED = "resumed after step "
PUBLISHED = 6
LIVE = PUBLISHED + 1
ZEROS = "resumed with leading zeros"


async def act_resume(stage: Stage) -> None:
    node = await acts.own_node(stage, "resume_node")
    ids: list[str] = []
    async with stage.stream(WITNESS, identity="resume_node") as witness:
        await witness.head()
        for number in range(1, PUBLISHED + 1):
            await acts.say(stage, node, number)
            ids.append(await acts.heard(witness, number) or "")
        middle = PUBLISHED // 2
        async with stage.stream(
            f"{RESUMED}{middle}", identity="resume_node", cursor=ids[middle - 1]
        ) as resumed:
            await resumed.head()
            await acts.heard(resumed, PUBLISHED)
            await acts.say(stage, node, LIVE)
            await acts.heard(resumed, LIVE)
            await acts.heard(witness, LIVE)
    for number in range(1, PUBLISHED + 1):
        if number != middle:
            async with stage.stream(
                f"{RESUMED}{number}", identity="resume_node", cursor=ids[number - 1]
            ) as probe:
                await acts.heard(probe, LIVE)
    async with stage.stream(ZEROS, identity="resume_node", cursor="000" + ids[middle - 1]) as probe:
        await acts.heard(probe, LIVE)


def resumed(transcript: Transcript) -> dict[int, Exchange]:
    """The resumed streams by the number after which each begins, judged against a witness that saw it all."""
    reading.twin_steps(transcript, WITNESS, range(1, LIVE + 1))
    found = {
        int(each.label.removeprefix(RESUMED)): each
        for each in transcript.labelled(RESUMED)
        if reading.status_of(each) == HTTPStatus.OK
    }
    if not found:
        raise CannotJudge("no stream was resumed")
    return found


def judge_complete(transcript: Transcript) -> Iterator[Finding]:
    for number, exchange in sorted(resumed(transcript).items()):
        expected = list(range(number + 1, LIVE + 1))
        seen = [each for each in reading.steps(exchange) if each > number]
        yield reading.same("CUR-2", expected, seen, f"steps after a cursor at {number}", exchange)


def judge_exclusive(transcript: Transcript) -> Iterator[Finding]:
    for number, exchange in sorted(resumed(transcript).items()):
        if not reading.steps(exchange):
            continue
        early = [
            (each, f"step {reading.step(each)}, id {each.sequence}")
            for each in reading.events(exchange)
            if (reading.step(each) or LIVE) <= number
        ]
        cursor = next((value for name, value in exchange.request_headers if name == CURSOR_HEADER), "?")
        expected = f"nothing up to and including the cursor, step {number}, id {cursor}"
        yield from reading.weighed("CUR-3", expected, early, "none")


def judge_accepted(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, WITNESS, range(1, LIVE + 1))
    for exchange in transcript.labelled(RESUMED):
        yield reading.same("CUR-9", 200, reading.status_of(exchange), exchange.label, exchange)


def judge_order(transcript: Transcript) -> Iterator[Finding]:
    for exchange in (
        reading.twin_steps(transcript, WITNESS, [_published(transcript)]),
        *transcript.labelled(HANDED),
    ):
        seen = list(dict.fromkeys(reading.steps(exchange)))  # a repeat is CUR-2's
        yield reading.same("CUR-6", sorted(seen), seen, f"order on {exchange.label}", exchange)


def judge_same_bytes(transcript: Transcript) -> Iterator[Finding]:
    original = {
        each.sequence: each.frame.raw for each in reading.events(reading.answered(transcript, WITNESS))
    }
    replayed = [each for exchange in resumed(transcript).values() for each in reading.events(exchange)]
    if not any(each.sequence in original for each in replayed):
        raise CannotJudge("nothing was replayed that the witness had seen")
    changed = [
        (each, "other bytes than when it was live")
        for each in replayed
        if each.sequence in original and original[each.sequence] != each.frame.raw
    ]
    yield from reading.weighed("ENV-10a", "identical bytes whenever a sequence is read", changed, "identical")


def judge_zeros(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, WITNESS, range(1, LIVE + 1))
    exchange = reading.needed(transcript, ZEROS)
    yield reading.same("GATE-9", 200, reading.status_of(exchange), "a cursor with leading zeros", exchange)
    if reading.status_of(exchange) == HTTPStatus.OK:
        expected = list(range(PUBLISHED // 2 + 1, LIVE + 1))
        yield reading.same("GATE-9", expected, reading.steps(exchange), "the same place", exchange)


# ---- hand-over -----------------------------------------------------------------------------------------

HANDED = "handed over after step "
HISTORY = 12

# Every offset into the history is taken while events are being published; each round adds this many.
PER_ROUND = 3
OFFSETS = (1, 4, 7, 10, 12, 15, 18, 21)


async def act_handover(stage: Stage) -> None:
    node = await acts.own_node(stage, "handover_node")
    async with stage.stream(WITNESS, identity="handover_node") as witness:
        await witness.head()
        for number in range(1, HISTORY + 1):
            await acts.say(stage, node, number)
        await acts.heard(witness, HISTORY)
        for turn, offset in enumerate(OFFSETS):
            after = HISTORY + turn * PER_ROUND
            cursor = await acts.heard(witness, offset) or ""
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_publish, stage, node, range(after + 1, after + PER_ROUND + 1))
                async with stage.stream(
                    f"{HANDED}{offset}", identity="handover_node", cursor=cursor
                ) as probe:
                    whole = await acts.heard(probe, after + PER_ROUND)
            await acts.heard(witness, after + PER_ROUND)
            stage.mark("handed over", offset=offset, until=after + PER_ROUND)
            if whole is None:
                return  # one gap is enough to judge; each further one would be waited for


async def _publish(stage: Stage, node: NodeHandle, numbers: Sequence[int]) -> None:
    for number in numbers:
        await acts.say(stage, node, number)


def judge_handover(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, WITNESS, range(1, _published(transcript) + 1))
    for mark in transcript.marked("handed over"):
        offset, until = int(str(mark.facts["offset"])), int(str(mark.facts["until"]))
        exchange = reading.needed(transcript, f"{HANDED}{offset}")
        expected = list(range(offset + 1, until + 1))
        seen = [number for number in reading.steps(exchange) if number <= until]
        yield reading.same("CUR-2", expected, seen, exchange.label, exchange)


def _published(transcript: Transcript) -> int:
    """The last number of the scenario; raises CannotJudge if no hand-over was finished."""
    reading.first_mark(transcript, "handed over")
    return max(int(str(mark.facts["until"])) for mark in transcript.marked("handed over"))


def judge_handover_order(transcript: Transcript) -> Iterator[Finding]:
    for exchange in transcript.labelled(HANDED):
        sequences = [each.sequence or 0 for each in reading.events(exchange)]
        increasing = sequences == sorted(set(sequences))
        seen = f"{len(sequences)} frames" if increasing else f"the order {sequences}"
        yield reading.finding(
            "SSE-3", increasing, "strictly increasing ids over the hand-over", seen, exchange
        )


# ---- isolation -----------------------------------------------------------------------------------------

A, B, OTHER, NEWCOMER = "iso_a", "iso_b", "iso_other", "iso_newcomer"
FOREIGN = "iso_a from the other Node's id"
EACH = 4


async def act_isolation(stage: Stage) -> None:
    nodes = [await acts.own_node(stage, A), await acts.own_node(stage, B)]
    nodes.append(await acts.own_node(stage, OTHER, domain="other"))
    async with (
        stage.stream(A, identity=A) as a,
        stage.stream(B, identity=B) as b,
        stage.stream(OTHER, identity=OTHER) as other,
    ):
        for probe in (a, b, other):
            await probe.head()
        for number in range(1, EACH):
            for node in reversed(nodes):  # so that no event of A stands right before one of B
                await acts.say(stage, node, number)
        await acts.heard(a, EACH - 1)
        foreign = await acts.heard(b, 1) or ""
        async with stage.stream(FOREIGN, identity=A, cursor=foreign) as crossed:
            newcomer = await acts.own_node(stage, NEWCOMER)
            for node in nodes:
                await acts.say(stage, node, EACH)
            await _all_heard((a, b, other, crossed))
        early = await acts.heard(a, 1) or ""
        await acts.say(stage, newcomer, 1)
        async with stage.stream(NEWCOMER, identity=NEWCOMER, cursor=early) as late:
            await acts.heard(late, 1)


async def _all_heard(probes: Sequence[StreamProbe]) -> None:
    for probe in probes:
        await acts.heard(probe, EACH)


def judge_isolated(transcript: Transcript) -> Iterator[Finding]:
    owners = {A: A, B: B, OTHER: OTHER, FOREIGN: A}
    for label, owner in owners.items():
        exchange = reading.twin_steps(transcript, label, [EACH])
        node_id = reading.fact(transcript, f"node {owner}", "node_id")
        strangers = [
            (each, f"the state of Node {reading.payload(each).get('node_id')}")
            for each in reading.events(exchange)
            if each.frame.event == reading.STATE_EVENT and reading.payload(each).get("node_id") != node_id
        ]
        yield from reading.weighed("CUR-5", "only envelopes of its own Node", strangers, f"{label}: its own")


def judge_domains(transcript: Transcript) -> Iterator[Finding]:
    for label in (A, OTHER):
        exchange = reading.twin_steps(transcript, label, [EACH])
        scope = f"domain:{reading.fact(transcript, f'node {label}', 'domain_id')}"
        foreign = [
            (each, reading.header(each, "scope"))
            for each in reading.events(exchange)
            if reading.header(each, "scope") != scope
        ]
        yield from reading.weighed("ENV-9", scope, foreign, f"{label}: {scope}")


def judge_any_number(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, A, range(1, EACH + 1))
    reading.twin_steps(transcript, B, [1, EACH])
    exchange = reading.needed(transcript, FOREIGN)
    whole = reading.answered(transcript, A)
    cursor = next(
        (
            each.sequence
            for each in reading.events(reading.answered(transcript, B))
            if reading.step(each) == 1
        ),
        0,
    )
    expected = [each.sequence for each in reading.events(whole) if (each.sequence or 0) > (cursor or 0)]
    seen = [each.sequence for each in reading.events(exchange)]
    yield reading.same("CUR-5", expected, seen, "another Node's sequence as a cursor", exchange)


def judge_broadcast(transcript: Transcript) -> Iterator[Finding]:
    newcomer = reading.fact(transcript, f"node {NEWCOMER}", "node_id")
    told = {label: _registrations(transcript, label, newcomer) for label in (A, B, OTHER)}
    if not told[A]:
        raise CannotJudge("the registration of a new Node was never seen")
    yield reading.same("OUT-10", 1, len(told[A]), f"registrations seen by {A}")
    yield reading.same("OUT-10", 1, len(told[B]), f"registrations seen by {B}")
    yield reading.same("OUT-10", 0, len(told[OTHER]), "registrations seen in another Domain")
    identical = {each.frame.data for each in (*told[A], *told[B])}
    yield reading.same("ENV-10b", 1, len(identical), "spellings of one broadcast")


def judge_before_registration(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, A, [1, EACH])
    exchange = reading.twin_steps(transcript, NEWCOMER, [1])
    early = [(each, each.frame.event) for each in reading.events(exchange) if reading.step(each) != 1]
    yield from reading.weighed("OUT-10", "nothing that was raised before it registered", early, "none")


def _registrations(transcript: Transcript, label: str, node_id: object) -> list[reading.Placed]:
    exchange = reading.twin_steps(transcript, label, [EACH])
    return [
        each
        for each in reading.events(exchange)
        if each.frame.event == "peer_registered" and reading.payload(each).get("node_id") == node_id
    ]


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="resume",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=20,
        budget_reason="seven commits and seven replays, each within a second",
        act=act_resume,
    ),
    Scenario(
        name="handover",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=24,
        budget_reason="36 commits and eight replays while publishing, each within a second",
        act=act_handover,
    ),
    Scenario(
        name="isolation",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=20,
        budget_reason="16 commits over three streams, each within a second",
        act=act_isolation,
    ),
)

_ROWS = (
    (
        "CUR-002",
        "A replay brings everything after the cursor and goes on live",
        "CUR-2",
        "resume",
        judge_complete,
    ),
    ("CUR-003", "The cursor itself is not sent again", "CUR-3", "resume", judge_exclusive),
    ("CUR-006", "Order on the stream is the order of the commits", "CUR-6", "handover", judge_order),
    ("CUR-009", "Every id received is a cursor", "CUR-9", "resume", judge_accepted),
    ("ENV-014", "A replay repeats the live bytes", "ENV-10a", "resume", judge_same_bytes),
    ("GATE-019", "Leading zeros in a cursor change nothing", "GATE-9", "resume", judge_zeros),
    ("CUR-012", "No gap and no repeat where history meets live events", "CUR-2", "handover", judge_handover),
    ("SSE-013", "Ids go on rising over the hand-over", "SSE-3", "handover", judge_handover_order),
    ("CUR-005", "A stream carries its own Node's events only", "CUR-5", "isolation", judge_isolated),
    (
        "CUR-015",
        "Another Node's sequence is a cursor like any number",
        "CUR-5",
        "isolation",
        judge_any_number,
    ),
    ("ENV-019", "No envelope of another Domain is on a stream", "ENV-9", "isolation", judge_domains),
    (
        "OUT-020",
        "A Node never receives what was raised before it registered",
        "OUT-10",
        "isolation",
        judge_before_registration,
    ),
)

CHECKS: tuple[Check, ...] = (
    *(
        Check(id=name, title=title, clauses=(clause,), profile="replay", scenario=scenario, judge=judge)
        for name, title, clause, scenario, judge in _ROWS
    ),
    Check(
        id="OUT-010",
        title="A broadcast reaches every other Node of the Domain once, in the same bytes",
        clauses=("OUT-10", "ENV-10b"),
        profile="replay",
        scenario="isolation",
        judge=judge_broadcast,
    ),
)
