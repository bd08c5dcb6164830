"""A stream without a cursor: its head, its framing, and that it starts at the head of the log."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from conformance.check import acts, reading
from conformance.check.model import Check, Effect, Finding, Grade, Scenario
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript

WITNESS, TAIL, EMPTY = "witness", "tail", "tail with an empty cursor"
STREAMS = (WITNESS, TAIL, EMPTY)

OLDER, FIRST, LAST = 1, 2, 5

# Characters that ENV-4 and ENV-5 spell in a way of their own, and some that they leave alone.
AWKWARD = '<b>&amp; \u2028\u2029 é 東 \U0001f600 " \\ / \b\f\n\r\t\x01\x1f\x7f'

# SSE-6 says at once and SSE-7 within 1 s; a second covers a busy machine.
AT_ONCE = 1.0
PROMPT = 1.0

# SSE-7: what is this late was not delayed on the way, it was held back.
HELD_BACK = 5.0


async def act(stage: Stage) -> None:
    node = await acts.own_node(stage, "tail_node")
    async with stage.stream(WITNESS, identity="tail_node") as witness:
        await witness.head()
        await acts.say(stage, node, OLDER)
        await acts.heard(witness, OLDER)
        async with (
            stage.stream(TAIL, identity="tail_node") as tail,
            stage.stream(EMPTY, identity="tail_node", cursor="") as empty,
        ):
            await tail.head()
            await empty.head()
            await acts.say(stage, node, FIRST)
            await acts.heard(tail, FIRST)
            await stage.put_entry(node, "awkward", AWKWARD)
            await acts.own_node(stage, "tail_peer")
            for number in range(FIRST + 1, LAST + 1):
                await acts.say(stage, node, number)
            for probe in (tail, empty, witness):
                await acts.heard(probe, LAST)
    await stage.request("state afterwards", "GET", f"/v1/nodes/{node.id}/state", identity="tail_node")


def streams(transcript: Transcript) -> tuple[Exchange, ...]:
    """The streams of this scenario, each with at least one event; raises CannotJudge."""
    found = tuple(reading.answered(transcript, label) for label in STREAMS)
    reading.some_events(found[1])
    return found


def all_events(transcript: Transcript) -> tuple[reading.Placed, ...]:
    """Every event frame of the scenario."""
    return tuple(each for exchange in streams(transcript) for each in reading.events(exchange))


def judge_head(transcript: Transcript) -> Iterable[Finding]:
    return heads(streams(transcript)[1])


def heads(exchange: Exchange) -> Iterator[Finding]:
    """SSE-1 of a stream that was answered with 200."""
    head = exchange.head
    assert head is not None  # noqa: S101  # it was answered with 200
    content_type = ",".join(head.values("Content-Type")).lower().replace(" ", "")
    lawful = content_type in ("text/event-stream", "text/event-stream;charset=utf-8")
    yield _said(exchange, lawful, "Content-Type: text/event-stream", content_type)
    cache = ",".join(head.values("Cache-Control")).lower()
    yield _said(exchange, "no-cache" in re.split(r"[,\s]+", cache), "Cache-Control with no-cache", cache)
    dates = head.values("Date")
    yield _said(exchange, len(dates) == 1 and _is_date(dates[0]), "one Date", ", ".join(dates))
    version = head.values("X-Plexsphere-API-Version")
    yield _said(exchange, version == ("v1",), "X-Plexsphere-API-Version: v1", ", ".join(version))
    coding = head.values("Content-Encoding")
    yield _said(exchange, coding in ((), ("identity",)), "no content coding", ", ".join(coding))


def judge_shape(transcript: Transcript) -> Iterable[Finding]:
    yield from _grammar(transcript, "SSE-2", "id, event, data, once each, in this order, and an empty line")
    strangers = [
        (each, f"the field {line.name!r}")
        for exchange in streams(transcript)
        for each in reading.events(exchange)
        for line in each.frame.lines
        if line.name not in ("", "id", "event", "data")
    ]
    yield from reading.weighed("SSE-11c", "no other field in an event frame", strangers, "id, event, data")


def judge_sequence(transcript: Transcript) -> Iterable[Finding]:
    return _grammar(transcript, "SSE-3", "decimal ids, strictly increasing on a connection")


def judge_characters(transcript: Transcript) -> Iterable[Finding]:
    expected = "UTF-8 without BOM, CR or NUL"
    ended = [
        reading.finding("SSE-5", False, expected, "lines that end with CR", exchange)
        for exchange in (reading.answered(transcript, label) for label in STREAMS)
        if not reading.events(exchange) and b"\r" in exchange.body
    ]  # no frame of such a stream ever comes to its end
    return ended or _grammar(transcript, "SSE-5", expected)


def judge_head_at_once(transcript: Transcript) -> Iterator[Finding]:
    for label in (TAIL, EMPTY):
        exchange = reading.needed(transcript, label)
        first = transcript.marked("entry")
        waited = (exchange.ended_at if exchange.head is None else exchange.head.at) - exchange.sent_at
        holds = exchange.head is not None and waited <= AT_ONCE * reading.NANOSECONDS and len(first) > 0
        seen = f"after {waited / reading.NANOSECONDS:.2f} s" if exchange.head else "no head"
        yield reading.finding(
            "SSE-6", holds, f"a head within {AT_ONCE:g} s, before any event", seen, exchange
        )


def judge_promptness(transcript: Transcript) -> Iterator[Finding]:
    exchange = reading.answered(transcript, TAIL)
    arrivals = {reading.step(each): each for each in reading.events(exchange)}
    commits = {
        int(str(mark.facts["value"])): mark.at for mark in transcript.marked("entry") if _is_step(mark.facts)
    }
    late = []
    for number in range(FIRST, LAST + 1):
        if number not in commits:
            continue
        each = arrivals.get(number)
        waited = ((exchange.ended_at if each is None else each.at) - commits[number]) / reading.NANOSECONDS
        late.append((number, each, waited))
    yield from reading.weighed(
        "SSE-7a",
        "no event held back to fill a buffer",
        (
            (each, f"step {n} {waited:.1f} s late")
            for n, each, waited in late
            if each is None or waited > HELD_BACK
        ),
        "every event on the wire",
    )
    yield from reading.weighed(
        "SSE-7b",
        f"an event on the wire within {PROMPT:g} s of its commit",
        ((each, f"step {n} after {waited:.1f} s") for n, each, waited in late if waited > PROMPT),
        f"the slowest after {max((waited for _, _, waited in late), default=0.0):.3f} s",
    )
    head = exchange.head
    buffering = head.values("X-Accel-Buffering") if head is not None else ()
    yield reading.same("SSE-7b", ("no",), buffering, "X-Accel-Buffering", exchange)


def judge_tail(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, WITNESS, [OLDER])
    for label in (TAIL, EMPTY):
        exchange = reading.twin_steps(transcript, label, [LAST])
        older = [
            (each, f"step {OLDER}, published before")
            for each in reading.events(exchange)
            if reading.step(each) == OLDER and not _tells_more(each)
        ]
        yield from reading.weighed("CUR-1", "nothing older than the admission", older, f"{label}: none")


def _tells_more(each: reading.Placed) -> bool:
    return "awkward" in each.frame.data.decode("utf-8", "replace")


def _grammar(transcript: Transcript, clause: str, expected: str) -> Iterator[Finding]:
    return grammar(streams(transcript), clause, expected)


def grammar(exchanges: Sequence[Exchange], clause: str, expected: str) -> Iterator[Finding]:
    """What our own grammar says about one clause, frame by frame."""
    broken = [
        (each, violation.seen)
        for exchange in exchanges
        for each in reading.placed(exchange)
        for violation in each.frame.violations
        if violation.clause == clause
    ]
    count = sum(len(reading.events(exchange)) for exchange in exchanges)
    return reading.weighed(clause, expected, broken, f"{count} event frames")


def _said(exchange: Exchange, holds: bool, expected: str, observed: str) -> Finding:
    return reading.finding("SSE-1", holds, expected, observed or "none", exchange)


def _is_date(text: str) -> bool:
    try:
        return parsedate_to_datetime(text) > datetime(1970, 1, 1, tzinfo=UTC)
    except (TypeError, ValueError):
        return False


def _is_step(facts: object) -> bool:
    return isinstance(facts, dict) and facts.get("key") == reading.STEP


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="tail",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=15,
        budget_reason="eight commits, each on the wire within a second (SSE-7), and waits that end early",
        act=act,
    ),
)

_ROWS = (
    ("SSE-001", "The head of a stream says what it is", ("SSE-1",), judge_head, False),
    (
        "SSE-002",
        "Event frames have their three fields and nothing else",
        ("SSE-2", "SSE-11c"),
        judge_shape,
        False,
    ),
    ("SSE-003", "Ids are log sequences in order", ("SSE-3",), judge_sequence, False),
    ("SSE-005", "The stream is UTF-8 without BOM, CR or NUL", ("SSE-5",), judge_characters, False),
    ("SSE-006", "The head does not wait for an event", ("SSE-6",), judge_head_at_once, True),
    ("SSE-007", "Events are not held back", ("SSE-7a", "SSE-7b"), judge_promptness, True),
    ("CUR-001", "Without a cursor the stream starts at the head of the log", ("CUR-1",), judge_tail, False),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=clauses, profile="stream", scenario="tail", judge=judge, timed=timed)
    for name, title, clauses, judge, timed in _ROWS
)
