"""Everything that any scenario of the run sent and got, held against the document once, after all of them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from http import HTTPStatus

from conformance.check import contract_document, gathering, reading
from conformance.check import contract_rules as rules
from conformance.check.contract_document import Document
from conformance.check.contract_rules import Wrong
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript

# A few hundred kilobytes; whoever takes longer was slow enough to be seen elsewhere.
FETCH_SECONDS = 6.0


async def act(stage: Stage) -> None:
    path = "/v1/openapi.json"
    await stage.request(contract_document.DOCUMENT, "GET", path, timeout=FETCH_SECONDS)


def gather(others: Iterable[Transcript], own: Transcript) -> Transcript:
    """Its own transcript and of the others one exchange of each kind: operation, statuses, shapes of bodies.

    Streams come for the types and shapes of the events that no stream before them brought.
    """
    try:
        document = contract_document.of(own)
    except CannotJudge:
        return own
    seen: set[object] = set()
    chosen = []
    every = [(transcript.scenario, each) for transcript in others for each in transcript.exchanges]
    for scenario, exchange in sorted(every, key=lambda pair: (rules.size(pair[1]), pair[0], pair[1].id)):
        fresh = set(_kinds(document, exchange)) - seen
        if fresh:
            seen |= fresh
            chosen.append((scenario, exchange))
    copies = gathering.copies(chosen, start=len(own.exchanges) + 1)
    return replace(own, exchanges=(*own.exchanges, *copies))


def _kinds(document: Document, exchange: Exchange) -> Iterator[object]:
    if not contract_document.judged_here(exchange):
        yield from ((each.frame.event, rules.shape(_spelled(each))) for each in reading.events(exchange))
        return
    asked = document.asked(exchange)
    kind = () if exchange.head is None else exchange.head.values("Content-Type")
    named = rules.shape(exchange.request_body) if reading.status_of(exchange) < HTTPStatus.BAD_REQUEST else ""
    yield asked, exchange.method, reading.status_of(exchange), kind, rules.shape(exchange.body), named


def _spelled(each: reading.Placed) -> bytes:
    return reading.payload_bytes(each) or b""


def gathered(transcript: Transcript) -> tuple[Exchange, ...]:
    """What other scenarios brought. Raises CannotJudge if nothing of it shows the contract being kept."""
    found = transcript.labelled(gathering.FROM)
    if not found:
        raise CannotJudge("no other scenario was acted")
    document = contract_document.of(transcript)
    if rules.conforming(document, filter(contract_document.judged_here, found)) is None:
        raise CannotJudge("no request was accepted with an answer of the document")
    return found


def judge_answers(transcript: Transcript) -> Iterator[Finding]:
    yield from _judged(transcript, Wrong.UNDOCUMENTED, "HTTP-1", "answers of the document")


def judge_requests(transcript: Transcript) -> Iterator[Finding]:
    yield from _judged(transcript, Wrong.ACCEPTED, "HTTP-2", "accepted: only what the document allows")


def judge_payloads(transcript: Transcript) -> Iterator[Finding]:
    document = contract_document.of(transcript)
    streams = [
        each for each in transcript.labelled(gathering.FROM) if not contract_document.judged_here(each)
    ]
    for each in (event for stream in streams for event in reading.events(stream)):
        faults = document.payload_faults(each.frame.event or "", _parsed(each))
        if faults is not None:
            seen = f"{each.frame.event}: {'; '.join(faults) or 'it does'}"
            yield reading.finding(
                "TYPE-2", not faults, "a payload that satisfies its schema", seen, each=each
            )


def _parsed(each: reading.Placed) -> object:
    try:
        return json.loads(_spelled(each))
    except ValueError:
        return None


def _judged(transcript: Transcript, wrong: Wrong, clause: str, expected: str) -> Iterator[Finding]:
    found = tuple(each for each in gathered(transcript) if contract_document.judged_here(each))
    broken = [
        (breach, count)
        for (_, way), (breach, count) in rules.smallest(
            rules.breaches(contract_document.of(transcript), found)
        ).items()
        if way is wrong
    ]
    for breach, _ in broken:
        seen = f"{breach.operation}, {breach.exchange.label}: {breach.what}"
        yield reading.finding(clause, False, expected, seen, breach.exchange)
    if not broken:
        yield reading.finding(clause, True, expected, f"{len(found)} kinds of exchanges")


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="exchanges",
        grade=Grade.G0,
        effect=Effect.READ,
        budget_seconds=15,
        budget_reason="one request; what is judged was recorded before",
        act=act,
        gathers=gather,
    ),
)

_ROWS = (
    ("HTTP-031", "Every answer of the run is one of the document", "HTTP-1", judge_answers),
    ("HTTP-032", "Whatever was accepted is what the document allows", "HTTP-2", judge_requests),
    ("TYPE-002", "Every event's payload satisfies its schema", "TYPE-2", judge_payloads),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile="contract", scenario="exchanges", judge=judge)
    for name, title, clause, judge in _ROWS
)
