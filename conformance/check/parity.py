"""Parity: a fold of the stream against pulls over seeded histories, with nothing in flight (PULL-4)."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import trio

from conformance.agent import fold
from conformance.check import parity_acts, parity_steps, reading
from conformance.check import parity_rules as rules
from conformance.check.model import CannotJudge, Check, Effect, Evidence, Finding, Grade, Scenario
from conformance.check.parity_acts import Walk
from conformance.check.parity_rules import Point
from conformance.check.parity_steps import CALM, COMPARISONS, STORMY, History, Mix, Steps
from conformance.probe.stage import Stage
from conformance.probe.transcript import Transcript

# Each takes a second or two here; the whole run certifies within 60 s.
CALM_HISTORIES, STORMY_HISTORIES = 3, 2
SEED_BITS = 32

# A failing history is made smaller by so many others, for so long.
SHRINK_TRIES, SHRINK_SECONDS = 40, 9.0

BLOCKS = ("peers", "state", "reachability")
TRANSITIONS = "transitions"

_SHOWN_STEPS = 24
_SHOWN_BYTES = 400


async def act(stage: Stage, *, mix: Mix, histories: int) -> None:
    """Acts so many histories of a mix; the first that fails is made smaller and is the last."""
    for number in range(1, histories + 1):
        history = parity_steps.history(f"h{number}", stage.rng.getrandbits(SEED_BITS), mix)
        await Walk(stage, history).walk()
        faults = _faults(stage.excerpt(f"{history.name}: "), history.name)
        if faults:
            with trio.move_on_after(SHRINK_SECONDS):
                await _shrink(stage, history, faults)
            return


async def _shrink(stage: Stage, history: History, faults: frozenset[str]) -> None:
    """Acts smaller and smaller parts of it that fail in the same, each in a Domain of its own."""
    numbers = itertools.count(1)

    async def fails(fewer: Steps) -> bool:
        name = f"{rules.SHRUNK}_{history.name}_{next(numbers)}"
        await Walk(stage, History(name=name, seed=history.seed, steps=fewer)).walk()
        return bool(faults & _faults(stage.excerpt(f"{name}: "), name))

    await parity_steps.smallest(history.steps, fails, tries=SHRINK_TRIES)


def _faults(transcript: Transcript, history: str) -> frozenset[str]:
    """What fails first in a history: its blocks, or its transitions; nothing where it cannot be judged."""
    try:
        first = next((each for each in rules.points(transcript, history) if each.blocks), None)
        if first is not None:
            return first.blocks
        wrong = any(not each.holds for each in _transitions(transcript, history))
        return frozenset({TRANSITIONS}) if wrong else frozenset()
    except CannotJudge:
        return frozenset()


# ---- judgements ----------------------------------------------------------------------------------------


def judge_block(transcript: Transcript, *, block: str) -> Iterator[Finding]:
    """The block equals the pull's at every comparison of every history."""
    for name in rules.histories(transcript):
        wrong = _first(transcript, name, block)
        if wrong is not None:
            yield _smallest(transcript, name, block, wrong)
            continue
        points = rules.points(transcript, name)
        if len(points) < COMPARISONS:
            raise CannotJudge(f"{name} came to {len(points)} comparisons, not {COMPARISONS}")
        expected = f"{block}: the fold equals the pull"
        yield reading.finding("PULL-4", True, expected, f"{len(points)} comparisons", points[-1].pulled)


def judge_resumed(transcript: Transcript) -> Iterator[Finding]:
    """What changed while the agent was away is in the fold once it came back with its last id."""
    yield from _returned(transcript, "PULL-4", parity_acts.RESUMED)


def judge_recovered(transcript: Transcript) -> Iterator[Finding]:
    """After 410 the agent comes to the state of a stream that was never cut, and trusts what it gets."""
    gone = [each for each in transcript.exchanges if reading.status_of(each) == HTTPStatus.GONE]
    if not gone:
        raise CannotJudge("no cursor was refused with 410")
    yield from _returned(transcript, "CUR-8", parity_acts.RECOVERED)
    for name in rules.histories(transcript):
        for point in _comings(transcript, name, parity_acts.RECOVERED):
            seen = "; ".join(point.untrusted) or "every envelope is trusted"
            expected = "keys brought up to date that verify what follows"
            yield reading.finding("CUR-8", not point.untrusted, expected, seen, point.pulled)


def judge_transitions(transcript: Transcript) -> Iterator[Finding]:
    """Each transition is told once, in order, and nothing is told twice."""
    for name in rules.histories(transcript):
        yield from _transitions(transcript, name)


def judge_endpoints(transcript: Transcript) -> Iterator[Finding]:
    """A changed endpoint is told to the others once, and not to the Node that reported it."""
    for name in rules.histories(transcript):
        expected = list(rules.reported(transcript, name))
        if not expected:
            continue
        points = rules.points(transcript, name)
        if not points or not points[-1].heard:
            raise CannotJudge(f"{name} did not come to its end")
        told = [
            str(reading.payload(each).get("endpoint"))
            for exchange in rules.streams(transcript, name)
            for each in reading.events(exchange)
            if each.frame.event == rules.ENDPOINT_EVENT and reading.payload(each).get("endpoint") is not None
        ]
        yield reading.same("OUT-10", expected, told, f"{name}: endpoints told", points[-1].pulled)


def _transitions(transcript: Transcript, name: str) -> Iterator[Finding]:
    stream = reading.answered(transcript, rules.witness_label(name))
    points = rules.points(transcript, name)
    if not points or not points[-1].heard:
        raise CannotJudge(f"{name} did not come to its end")
    start = rules.first_state(transcript, name)
    begins = start in ("never_reported", "unreachable")
    yield reading.finding("PROD-2", begins, "a Node that begins as never_reported", start, stream)
    told = [each for each in reading.events(stream) if each.frame.event == reading.STATE_EVENT]
    moves = [each for before, each in zip([None, *told], told, strict=False) if _moved(before, each)]
    states = [_state_of(each) for each in moves]
    if states[:1] == [start]:
        states = states[1:]  # what is told first repeats the pull that came before it
    expected = list(rules.expected_states(transcript, name))
    yield reading.same("PROD-2", expected, states, f"{name}: transitions told", stream)
    again = [
        (each, f"told twice: {_state_of(each)}")
        for before, each in itertools.pairwise(told)
        if reading.payload_bytes(before) == reading.payload_bytes(each)
    ]
    yield from reading.weighed("PROD-2", "each transition told once", again, f"{len(told)} told, each once")


def _moved(before: reading.Placed | None, each: reading.Placed) -> bool:
    return before is None or _reachability(before) != _reachability(each)


def _reachability(each: reading.Placed) -> Mapping[str, Any]:
    block = reading.payload(each).get("reachability")
    return {name: block.get(name) for name in ("state", "changed_at")} if isinstance(block, dict) else {}


def _state_of(each: reading.Placed) -> str:
    return str(_reachability(each).get("state"))


def _comings(transcript: Transcript, name: str, how: str) -> list[Point]:
    """The first comparisons on streams that began so, up to the first that a difference was there before."""
    found = []
    for point in rules.points(transcript, name):
        if point.how == how:
            found.append(point)
        if point.blocks:
            break
    return found


def _returned(transcript: Transcript, clause: str, how: str) -> Iterator[Finding]:
    """What such streams fold to is what a stream folds to that was never cut."""
    expected, seen = f"streams that were {how} fold to the same as one that was never cut", 0
    for name in rules.histories(transcript):
        for point in _comings(transcript, name, how):
            seen += 1
            if point.astray:
                observed = f"{_several(point.astray)}; {_history(transcript, name, point)}"
                yield _evidenced(transcript, name, point, clause, (expected, observed))
    if not seen:
        raise CannotJudge(f"no stream was {how}")
    yield reading.finding(clause, True, expected, f"{seen} such streams")


# ---- what a difference says ----------------------------------------------------------------------------


def _first(transcript: Transcript, name: str, block: str) -> Point | None:
    return next((each for each in rules.points(transcript, name) if block in each.blocks), None)


def _smallest(transcript: Transcript, name: str, block: str, wrong: Point) -> Finding:
    """The finding of the smallest history that shows it."""
    for fewer in rules.shrunk(transcript, name):
        try:
            found = _first(transcript, fewer, block)
        except CannotJudge:
            continue
        if found is not None:
            return _told(transcript, fewer, found, block)
    return _told(transcript, name, wrong, block)


def _told(transcript: Transcript, name: str, point: Point, block: str) -> Finding:
    different = [each for each in point.differences if each.block == block]
    observed = f"{_several(different)}; {_history(transcript, name, point)}"
    return _evidenced(transcript, name, point, "PULL-4", (f"{block}: the fold equals the pull", observed))


def _evidenced(
    transcript: Transcript, name: str, point: Point, clause: str, texts: tuple[str, str]
) -> Finding:
    expected, observed = texts
    evidence = Evidence(
        exchange=point.pulled.label,
        at=point.pulled.ended_at,
        observed=point.pulled.body[:_SHOWN_BYTES],
        leading=rules.leading(transcript, name, point.pulled),
    )
    return Finding(clause=clause, holds=False, expected=expected, observed=observed, evidence=evidence)


def _history(transcript: Transcript, name: str, point: Point) -> str:
    taken = rules.steps(transcript, name)[: point.after]
    more = [f"… {len(taken) - _SHOWN_STEPS} more"] if len(taken) > _SHOWN_STEPS else []
    told = ", ".join([*taken[:_SHOWN_STEPS], *more]) or "no step"
    return f"after: {told}; history {name}, seed {rules.seed(transcript, name)}"


def _several(differences: Sequence[fold.Difference]) -> str:
    return "; ".join(_said(each) for each in differences)


def _said(difference: fold.Difference) -> str:
    folded, pulled = difference.folded, difference.pulled
    if isinstance(folded, Mapping) and isinstance(pulled, Mapping):
        names = sorted(name for name in {*folded, *pulled} if folded.get(name) != pulled.get(name))
        folded = {name: folded.get(name, "nothing") for name in names}
        pulled = {name: pulled.get(name, "nothing") for name in names}
    return f"{difference.block}: the stream folds to {folded}, expected {pulled}"


Judge = Callable[[Transcript], Iterator[Finding]]

CALM_NAME, STORMY_NAME = "parity", "parity_storm"

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name=CALM_NAME,
        grade=Grade.G2,
        effect=Effect.WRITE_OWN,
        budget_seconds=75,
        budget_reason="three histories of some hundred requests each, beside generated requests that keep the"
        " target and this machine busy; a failing one is made smaller for 9 s",
        act=partial(act, mix=CALM, histories=CALM_HISTORIES),
    ),
    Scenario(
        name=STORMY_NAME,
        grade=Grade.G3,
        effect=Effect.DISRUPTIVE,
        budget_seconds=45,
        budget_reason="two histories more, with evictions and a moved clock; a failing one is made smaller",
        act=partial(act, mix=STORMY, histories=STORMY_HISTORIES),
    ),
)


def _of(block: str) -> Judge:
    return partial(judge_block, block=block)


_ROWS: tuple[tuple[str, str, str, str, Judge], ...] = (
    ("PULL-021", "Peers folded from the stream are the pull's", "PULL-4", CALM_NAME, _of("peers")),
    ("PULL-022", "State folded from the stream is the pull's", "PULL-4", CALM_NAME, _of("state")),
    (
        "PULL-023",
        "Reachability folded from the stream is the pull's",
        "PULL-4",
        CALM_NAME,
        _of("reachability"),
    ),
    ("PULL-024", "Parity holds on a stream that was resumed", "PULL-4", CALM_NAME, judge_resumed),
    ("OUT-030", "A changed endpoint is told to all others once", "OUT-10", CALM_NAME, judge_endpoints),
    (
        "PULL-031",
        "Peers keep parity through evictions and a moved clock",
        "PULL-4",
        STORMY_NAME,
        _of("peers"),
    ),
    (
        "PULL-032",
        "State keeps parity through evictions and a moved clock",
        "PULL-4",
        STORMY_NAME,
        _of("state"),
    ),
    (
        "PULL-033",
        "Reachability keeps parity while the clock moves",
        "PULL-4",
        STORMY_NAME,
        _of("reachability"),
    ),
    (
        "CUR-008",
        "After 410 an agent comes to the state of an unbroken stream",
        "CUR-8",
        STORMY_NAME,
        judge_recovered,
    ),
    ("PROD-002", "Each transition of reachability is told once", "PROD-2", STORMY_NAME, judge_transitions),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile="parity", scenario=scenario, judge=judge)
    for name, title, clause, scenario, judge in _ROWS
)
