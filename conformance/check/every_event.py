"""Every event that any scenario of the run was brought: what is seldom wrong is wrong somewhere."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from conformance.agent import envelope
from conformance.check import envelopes, gathering, live_flow, reading, tail
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Mark, Transcript

_COUNT = "events of the run"
_WHOLE = "nothing"  # what a stream breaks that is as it should be

FORMS = (*live_flow.FORMS, ("ENV-7", "64 bytes in standard base64 with padding"))


async def act(stage: Stage) -> None:
    """Asks nothing: what is judged was recorded before."""


def gather(others: Iterable[Transcript], own: Transcript) -> Transcript:
    """A stream that is as it should be and, for each clause that others break, the shortest of them."""
    every = [
        (transcript.scenario, each)
        for transcript in others
        for each in transcript.exchanges
        if reading.events(each)
    ]
    wrong: Counter[str] = Counter()
    known: dict[bytes, frozenset[str]] = {}
    chosen = []
    for scenario, exchange in sorted(every, key=lambda pair: (len(pair[1].body), pair[0], pair[1].id)):
        broken = Counter(_broken(exchange, known)) or Counter([_WHOLE])
        if broken.keys() - wrong.keys():
            chosen.append((scenario, exchange))
        wrong += broken
    copies = gathering.copies(chosen, start=1)
    counted = {
        "streams": len(every),
        "events": sum(len(reading.events(each)) for _, each in every),
        "wrong": dict(wrong),
    }
    return replace(own, exchanges=copies, marks=(*own.marks, Mark(at=0, name=_COUNT, facts=counted)))


def _broken(exchange: Exchange, known: dict[bytes, frozenset[str]]) -> Iterator[str]:
    """The clauses that it breaks; what replays bring again is read once, and kept in `known`."""
    for each in reading.placed(exchange):
        yield from (violation.clause for violation in each.frame.violations)
    for each in reading.events(exchange):
        if each.frame.raw not in known:
            known[each.frame.raw] = frozenset(_broken_event(each))
        yield from known[each.frame.raw]


def _broken_event(each: reading.Placed) -> Iterator[str]:
    yield from (violation.clause for violation in envelope.read(each.frame.data).violations)
    yield from (finding.clause for finding in envelopes.types([each]) if not finding.holds)


def _streams(transcript: Transcript) -> tuple[Exchange, ...]:
    found = transcript.labelled(gathering.FROM)
    if not found:
        raise CannotJudge("no stream of the run brought an event")
    return found


def judge_frames(transcript: Transcript) -> Iterator[Finding]:
    for clause, expected in live_flow.FRAMES:
        yield from _told(transcript, tail.grammar(_streams(transcript), clause, expected))


def judge_envelopes(transcript: Transcript) -> Iterator[Finding]:
    found = [each for exchange in _streams(transcript) for each in reading.events(exchange)]
    for clause, expected in FORMS:
        yield from _told(transcript, envelopes.read(found, clause, expected))
    yield from _told(transcript, envelopes.types(found))


def _told(transcript: Transcript, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The same findings, with how much was seen and how often it was wrong.

    Where no stream was as it should be, what is right about them is no evidence: nobody is known to serve.
    """
    counted, streams, wrong = (
        reading.fact(transcript, _COUNT, name) for name in ("events", "streams", "wrong")
    )
    everywhere = f"{counted} events on {streams} streams"
    for each in findings:
        if each.holds and not wrong.get(_WHOLE):
            continue
        often = f"{each.observed} ({wrong.get(each.clause)} times among {everywhere})"
        yield replace(each, observed=everywhere if each.holds else often)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="every_event",
        grade=Grade.G0,
        effect=Effect.READ,
        budget_seconds=1,
        budget_reason="nothing is asked; what is judged was recorded before",
        act=act,
        gathers=gather,
    ),
)

_ROWS = (
    (
        "SSE-050",
        "Every frame of the run has its form",
        tuple(clause for clause, _ in live_flow.FRAMES),
        judge_frames,
    ),
    (
        "ENV-030",
        "Every envelope of the run has its form",
        (*(clause for clause, _ in FORMS), "ENV-11"),
        judge_envelopes,
    ),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=clauses, profile="stream", scenario="every_event", judge=judge)
    for name, title, clauses, judge in _ROWS
)
