"""How checks read a transcript: frames with their times, problems, and findings made of both.

Pure. What a check needs and the transcript lacks raises CannotJudge: nothing is concluded from a gap.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from conformance.agent import grammar, lexemes
from conformance.check.model import CannotJudge, Evidence, Finding
from conformance.probe.transcript import Exchange, Mark, Transcript

NANOSECONDS = 1_000_000_000

STATE_EVENT = "node_state_updated"

# The entry whose value counts what a scenario published: one event per number, so gaps and repeats show.
STEP = "step"

PROBLEM_TYPE = "application/problem+json"
CODE_PREFIX = "https://plexsphere.com/errors/"

# As much of the bytes as a finding shows.
_SHOWN = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A frame, where it came from and when its last byte arrived (nanoseconds of the run)."""

    exchange: str
    frame: grammar.Frame
    at: int

    @property
    def sequence(self) -> int | None:
        """The id read leniently: for comparing frames, never for judging the id."""
        spelled = self.frame.value("id") or b""
        return int(spelled) if spelled.isdigit() else None


def needed(transcript: Transcript, label: str) -> Exchange:
    """The exchange of that label; raises CannotJudge if the scenario never got so far."""
    found = transcript.exchange(label)
    if found is None:
        raise CannotJudge(f"the scenario never came to {label!r}")
    return found


def answered(transcript: Transcript, label: str, status: int = HTTPStatus.OK) -> Exchange:
    """The exchange of that label with that status; raises CannotJudge, as it is somebody's prerequisite."""
    found = needed(transcript, label)
    if status_of(found) != status:
        raise CannotJudge(f"{label!r} was answered {status_of(found) or found.ending.value}, not {status}")
    return found


def status_of(exchange: Exchange) -> int:
    """The status, 0 if no head came."""
    return 0 if exchange.head is None else exchange.head.status


def fact(transcript: Transcript, mark: str, name: str) -> Any:
    """A fact of the first mark of that name; raises CannotJudge without one."""
    return first_mark(transcript, mark).facts[name]


def first_mark(transcript: Transcript, name: str) -> Mark:
    """The first mark of that name; raises CannotJudge without one."""
    found = transcript.marked(name)
    if not found:
        raise CannotJudge(f"the scenario never noted {name!r}")
    return found[0]


@lru_cache(maxsize=256)
def placed(exchange: Exchange) -> tuple[Placed, ...]:
    """Every frame of a stream, comments too, with the time at which it was whole."""
    parser = grammar.Grammar()
    return tuple(
        Placed(exchange=exchange.label, frame=frame, at=piece.at)
        for piece in exchange.received
        for frame in parser.feed(piece.body)
    )


def events(exchange: Exchange) -> tuple[Placed, ...]:
    """The event frames of a stream."""
    return tuple(each for each in placed(exchange) if each.frame.is_event)


def some_events(exchange: Exchange) -> tuple[Placed, ...]:
    """The event frames of a stream; raises CannotJudge if there are none."""
    found = events(exchange)
    if not found:
        raise CannotJudge(f"no event came on {exchange.label!r}")
    return found


def rest(exchange: Exchange) -> bytes:
    """What is left behind the last whole frame (SSE-8)."""
    return grammar.frames(exchange.body)[1]


def payload(each: Placed) -> Mapping[str, Any]:
    """The payload as a JSON object read leniently, empty if there is none."""
    found = _object(each.frame.data).get("payload")
    return found if isinstance(found, dict) else {}


def payload_bytes(each: Placed) -> bytes | None:
    """The payload as it is spelled, None if the data is no JSON object that has one."""
    try:
        return lexemes.member(each.frame.data, "payload")
    except lexemes.NotJson:
        return None


def header(each: Placed, name: str) -> str:
    """A member of the envelope read leniently: for finding a frame, never for judging it."""
    return str(_object(each.frame.data).get(name, ""))


def step(each: Placed) -> int | None:
    """The number that the scenario had published when this state was told."""
    told = _object(each.frame.data).get("payload")
    state = told.get("state") if isinstance(told, Mapping) else None
    entries = state.get("metadata") if isinstance(state, Mapping) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("key") == STEP and str(entry.get("value")).isdigit():
            return int(entry["value"])
    return None


def steps(exchange: Exchange) -> list[int]:
    """The numbers told on a stream, in its order."""
    return [number for each in events(exchange) if (number := step(each)) is not None]


def twin_steps(transcript: Transcript, label: str, wanted: Iterable[int]) -> Exchange:
    """The stream on which these numbers were seen to arrive; raises CannotJudge if they were not."""
    found = answered(transcript, label)
    missing = sorted(set(wanted) - set(steps(found)))
    if missing:
        raise CannotJudge(f"{label!r} never brought {missing}: without it nothing can be concluded")
    return found


def problem(exchange: Exchange) -> Mapping[str, Any]:
    """The problem's members, empty if the body is no JSON object."""
    return _object(exchange.body)


def code_of(exchange: Exchange) -> str:
    """The code that the problem's type spells, empty without one (ERR-2)."""
    spelled = str(problem(exchange).get("type", ""))
    return spelled.removeprefix(CODE_PREFIX).replace("-", "_") if spelled.startswith(CODE_PREFIX) else ""


def answer_text(exchange: Exchange) -> str:
    """Status and code in words."""
    status = status_of(exchange)
    return f"{status or 'no answer'} {code_of(exchange)}".strip() if status else exchange.ending.value


def finding(
    clause: str,
    holds: bool,
    expected: str,
    observed: str,
    exchange: Exchange | None = None,
    *,
    each: Placed | None = None,
) -> Finding:
    """A finding with its evidence: a frame, or the whole exchange."""
    evidence = None
    if each is not None:
        evidence = Evidence(exchange=each.exchange, at=each.at, observed=each.frame.raw[:_SHOWN])
    elif exchange is not None:
        at = exchange.ended_at if exchange.head is None else exchange.head.at
        evidence = Evidence(exchange=exchange.label, at=at, observed=exchange.body[:_SHOWN])
    return Finding(clause=clause, holds=holds, expected=expected, observed=observed, evidence=evidence)


def weighed(
    clause: str, expected: str, broken: Iterable[tuple[Placed | None, str]], seen: str
) -> Iterator[Finding]:
    """A finding for each violation, or the one that holds and says what was seen."""
    found = list(broken)
    for each, observed in found:
        yield finding(clause, False, expected, observed, each=each)
    if not found:
        yield finding(clause, True, expected, seen)


def same(
    clause: str, expected: object, observed: object, what: str, exchange: Exchange | None = None
) -> Finding:
    """A finding that holds if both are equal."""
    return finding(
        clause, expected == observed, f"{what}: {_short(expected)}", f"{what}: {_short(observed)}", exchange
    )


def _short(thing: object) -> str:
    text = str(thing)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(data)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
