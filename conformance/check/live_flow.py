"""What flows on a deployment that somebody uses: head, frames, envelopes, signatures, silence."""

import itertools
from collections.abc import Iterator
from http import HTTPStatus

from conformance.agent import grammar, keys
from conformance.check import envelopes, keepalive, live, pull, reading, tail
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.check.reading import Placed
from conformance.probe.stage import Stage
from conformance.probe.stream import StreamProbe
from conformance.probe.transcript import Exchange, Transcript

NODE = live.NODE
WATCHED, OLDER, RESUMED = "watched", "from the beginning", "resumed"
SNAPSHOT, KEYS, PINNED, SEEN = "pull", "keys", "pinned", "seen"
QUIET = "watched for silence"

# So many events show enough; on a quiet Node they are waited for as long as a silence may last (SSE-4).
ENOUGH = 6
FLOW_SECONDS = 30.0

# What is retained comes at once where it comes at all.
OLDER_SECONDS = 3.0

# ---- what flows ----------------------------------------------------------------------------------------


async def act_flow(stage: Stage) -> None:
    node_id, _ = live.node_of(stage)
    known = stage.identity(NODE)
    for each in stage.target.pinned:
        if each.domain_id == known.domain_id:
            stage.mark(PINNED, domain_id=each.domain_id, key_id=each.key_id, public_key=each.public_key)
    if not live.is_pull(await live.get(stage, SNAPSHOT, f"/v1/nodes/{node_id}/state")):
        return
    await live.get(stage, KEYS, f"/v1/nodes/{node_id}/signing-keys")
    async with stage.stream(WATCHED, identity=NODE) as watched:
        head = await watched.head(live.ANSWER_SECONDS)
        if head is None or head.status != HTTPStatus.OK:
            return
        await watched.frames(ENOUGH, FLOW_SECONDS)
        if watched.events:
            await _resume(stage, watched)
            return
    async with stage.stream(OLDER, identity=NODE, cursor=0) as older:
        await older.frames(ENOUGH, OLDER_SECONDS)
        if older.events:
            await _resume(stage, older)


async def _resume(stage: Stage, seen: StreamProbe) -> None:
    """From the first event that came: what came after it must come again."""
    first, last = seen.events[0].id, seen.last_id
    stage.mark(SEEN, stream=seen.tape.label, last=last)
    async with stage.stream(RESUMED, identity=NODE, cursor=first) as resumed:
        head = await resumed.head()
        if head is not None and head.status == HTTPStatus.OK and last != first:
            await resumed.until(lambda frame: frame.id == last)


def watched(transcript: Transcript) -> Exchange:
    """The stream without a cursor, beside which a pull was answered; raises CannotJudge."""
    pull.snapshot(reading.answered(transcript, SNAPSHOT))
    return reading.answered(transcript, WATCHED)


def flowed(transcript: Transcript) -> tuple[Exchange, ...]:
    """The streams on which something came; raises CannotJudge if nothing did."""
    first = watched(transcript)
    others = [transcript.exchange(OLDER), transcript.exchange(RESUMED)]
    found = tuple(each for each in (first, *others) if each is not None and reading.events(each))
    if not found:
        raise CannotJudge(
            f"no event came in {FLOW_SECONDS:g} s and none is kept: look again when something happens"
        )
    return found


def flowing(transcript: Transcript) -> tuple[Placed, ...]:
    """Every event that came."""
    return tuple(each for exchange in flowed(transcript) for each in reading.events(exchange))


def judge_head(transcript: Transcript) -> Iterator[Finding]:
    yield from tail.heads(watched(transcript))


FRAMES = (
    ("SSE-2", "id, event, data, once each, in this order, and an empty line"),
    ("SSE-3", "decimal ids, strictly increasing on a connection"),
    ("SSE-5", "UTF-8 without BOM, CR or NUL"),
)


def judge_frames(transcript: Transcript) -> Iterator[Finding]:
    streams = flowed(transcript)
    for clause, expected in FRAMES:
        yield from tail.grammar(streams, clause, expected)


FORMS = (
    ("ENV-1", "one JSON object of the seven members, in order"),
    ("ENV-2", "no white space between the members"),
    ("ENV-3", "the signature inserted as the last member, plainly spelled"),
    ("ENV-4", "the escapes of ENV-4 and no others"),
    ("ENV-5", "no white space inside the payload"),
    ("ENV-6", "RFC 3339, Z, the shortest fraction"),
)


def judge_form(transcript: Transcript) -> Iterator[Finding]:
    found = flowing(transcript)
    for clause, expected in FORMS:
        yield from envelopes.read(found, clause, expected)


def judge_facts(transcript: Transcript) -> Iterator[Finding]:
    found = flowing(transcript)
    yield from envelopes.ids(found)
    yield from envelopes.types(found)
    timed = list(envelopes.times([watched(transcript)]))
    yield from (each for each in timed if each.clause == "ENV-12a")


def judge_signatures(transcript: Transcript) -> Iterator[Finding]:
    broken: dict[str, list[tuple[Placed, str]]] = {name: [] for name in SIGNED}
    for exchange in flowed(transcript):
        chain = _chain(transcript, reading.events(exchange)[0])
        for each in reading.events(exchange):
            step = keys.follow(chain, each.frame.data)
            chain = step.chain
            for wrong in step.violations:
                if wrong.clause in broken:
                    broken[wrong.clause].append((each, wrong.seen))
    count = f"{len(flowing(transcript))} envelopes"
    for clause, expected in SIGNED.items():
        yield from reading.weighed(clause, expected, broken[clause], count)


SIGNED = {
    "ENV-7": "the Ed25519 signature of the canonical bytes",
    "ENV-8": "a key_id that a trusted key has",
    "ENV-9": "the Domain's scope",
}


def _chain(transcript: Transcript, first: Placed) -> keys.Chain:
    """From the key that the target file vouches for, or else the one that KEY-6 names; raises CannotJudge."""
    vouched = transcript.marked(PINNED)
    facts = vouched[0].facts if vouched else {}
    domain_id = str(facts.get("domain_id", "")) or reading.header(first, "scope").removeprefix("domain:")
    chain = keys.pinned(domain_id, str(facts.get("key_id", "")), str(facts.get("public_key", "")))
    answer = transcript.exchange(KEYS)
    if answer is not None and reading.status_of(answer) == HTTPStatus.OK:
        chain, broken = keys.catch_up(chain, answer.body)
        if broken and not chain.keys:
            raise CannotJudge(f"no key can be learned: {broken[0].seen}")
    if not chain.keys:
        raise CannotJudge(
            "no key is known: the target names none (KEY-6), and no target file vouches for one"
        )
    return chain


def judge_resumed(transcript: Transcript) -> Iterator[Finding]:
    flowed(transcript)
    mark = reading.first_mark(transcript, SEEN)
    first = reading.some_events(reading.answered(transcript, str(mark.facts["stream"])))
    exchange = reading.needed(transcript, RESUMED)
    yield reading.same("CUR-9", 200, reading.status_of(exchange), "the id of a received frame", exchange)
    if reading.status_of(exchange) != HTTPStatus.OK:
        return
    last = next((each.sequence for each in first if str(each.sequence) == mark.facts["last"]), None)
    if last is None:
        raise CannotJudge("what was seen last has no sequence")
    begin, again = first[0].sequence or 0, reading.events(exchange)
    early = [(each, f"sequence {each.sequence}") for each in again if (each.sequence or 0) <= begin]
    yield from reading.weighed("CUR-3", f"nothing up to and including {begin}", early, "none")
    behind = [each.frame.raw for each in first if begin < (each.sequence or 0) <= last]
    seen = [each.frame.raw for each in again if begin < (each.sequence or 0) <= last]
    told = f"{len(seen)} frames" + ("" if seen == behind else " that differ")
    yield reading.finding("CUR-2", seen == behind, f"{len(behind)} frames as before", told, exchange)


# ---- silence -------------------------------------------------------------------------------------------


async def act_quiet(stage: Stage) -> None:
    node_id, _ = live.node_of(stage)
    if not live.is_pull(await live.get(stage, SNAPSHOT, f"/v1/nodes/{node_id}/state")):
        return
    async with stage.stream(QUIET, identity=NODE) as probe:
        head = await probe.head(live.ANSWER_SECONDS)
        if head is not None and head.status == HTTPStatus.OK:
            await probe.ended(keepalive.PATIENCE_SECONDS)


def judge_quiet(transcript: Transcript) -> Iterator[Finding]:
    pull.snapshot(reading.answered(transcript, SNAPSHOT))
    exchange = reading.answered(transcript, QUIET)
    assert exchange.head is not None  # noqa: S101  # `answered` asked for a 200
    counted = [each for each in reading.placed(exchange) if each.frame.is_event or _keeps_alive(each)]
    times = [exchange.head.at, *(each.at for each in counted), exchange.ended_at]
    longest = max(later - before for before, later in itertools.pairwise(times)) / reading.NANOSECONDS
    alive = sum(_keeps_alive(each) for each in counted)
    seen = f"{longest:.1f} s at the longest, {alive} keep-alives, {len(counted) - alive} events"
    if (times[-1] - times[0]) / reading.NANOSECONDS < keepalive.SILENCE_SECONDS:
        raise CannotJudge(f"it was watched for too short a time: {seen}")
    holds = longest <= keepalive.SILENCE_SECONDS
    expected = f"no silence over {keepalive.SILENCE_SECONDS:g} s without :keep-alive"
    yield reading.finding("SSE-4", holds, expected, seen, exchange)


def _keeps_alive(each: Placed) -> bool:
    return each.frame.raw == grammar.KEEP_ALIVE


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="live_flow",
        grade=Grade.G0,
        effect=Effect.READ,
        budget_seconds=60,
        budget_reason="events are waited for as long as a silence may last (SSE-4), then looked for again",
        act=act_flow,
        requests=5,
    ),
    Scenario(
        name="live_quiet",
        grade=Grade.G0,
        effect=Effect.READ,
        budget_seconds=50,
        budget_reason="a keep-alive is due after 25 s and late after 30 s (SSE-4)",
        act=act_quiet,
        requests=2,
    ),
)

_ROWS = (
    ("SSE-031", "Live: the head of a stream says what it is", ("SSE-1",), judge_head),
    ("SSE-032", "Live: what flows is framed", ("SSE-2", "SSE-3", "SSE-5"), judge_frames),
    ("ENV-031", "Live: what flows is an envelope", tuple(name for name, _ in FORMS), judge_form),
    ("ENV-032", "Live: signatures of what flows verify", tuple(SIGNED), judge_signatures),
    ("ENV-033", "Live: ids, types and times of what flows", ("ENV-10a", "ENV-11", "ENV-12a"), judge_facts),
    ("CUR-031", "Live: an id that was received is a cursor", ("CUR-9", "CUR-3", "CUR-2"), judge_resumed),
)

_FLOW: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=clauses, profile=live.PROFILE, scenario="live_flow", judge=judge)
    for name, title, clauses, judge in _ROWS
)

CHECKS: tuple[Check, ...] = (
    *_FLOW,
    Check(
        id="SSE-034",
        title="Live: no silence without a keep-alive",
        clauses=("SSE-4",),
        profile=live.PROFILE,
        scenario="live_quiet",
        judge=judge_quiet,
        timed=True,
    ),
)
