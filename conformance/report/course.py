"""The course of a scenario: acts, requests and the events of all streams, in order of time."""

from collections.abc import Iterator

from conformance.check import reading
from conformance.probe.transcript import Exchange, Mark, Transcript

# What led to a finding is close before it; what follows shows how it went on.
_BEFORE = 16
_AFTER = 6

# A scenario's facts for its own checks say nothing about the target.
_ACTS = "driver."

Step = tuple[int, str]


def lines(transcript: Transcript, at: int) -> list[str]:
    """The steps around that moment, with the seconds since the first of them."""
    steps = sorted(_steps(transcript), key=lambda step: step[0])
    reached = sum(when <= at for when, _ in steps)
    shown = steps[max(0, reached - _BEFORE) : reached + _AFTER]
    if len(steps) <= 1:
        return []
    began = shown[0][0]
    return [f"  +{(when - began) / 1e9:.3f} s {what}" for when, what in shown]


def _steps(transcript: Transcript) -> Iterator[Step]:
    yield from ((mark.at, _act(mark)) for mark in transcript.marks if mark.name.startswith(_ACTS))
    for each in transcript.exchanges:
        yield each.sent_at, f"{each.method} {each.target} as {each.identity}: {_outcome(each)}"
        events = reading.events(each)
        yield from ((event.at, _event(event)) for event in events)
        if events:
            yield each.ended_at, f"{each.label!r} {each.ending.value}"


def _act(mark: Mark) -> str:
    parameters = mark.facts.get("parameters")
    words = (f"{name} {value}" for name, value in parameters.items()) if isinstance(parameters, dict) else ()
    return " ".join((f"driver: {mark.name.removeprefix(_ACTS)}", *words))


def _outcome(exchange: Exchange) -> str:
    answer = exchange.ending.value if exchange.head is None else str(exchange.head.status)
    return f"{answer} ({exchange.label!r})"


def _event(event: reading.Placed) -> str:
    told = f"{event.sequence} {event.frame.event} by key {reading.header(event, 'key_id')}"
    step = reading.step(event)
    return f"{event.exchange!r} <- {told}" + (f", step {step}" if step is not None else "")
