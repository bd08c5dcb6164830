"""What a history is made of, as data: kinds of steps, chosen by a seed, made fewer where it fails. Pure."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """One thing that happens; the words stand in reports."""

    ENROL = "enrol"
    LEAVE = "leave"
    REKEY = "rotate a Node's key"
    ENDPOINT = "report an endpoint"
    PUT = "put an entry"
    DELETE = "delete an entry"
    BEAT = "heartbeat"
    AWAY = "hang up for"  # so many steps; the next comparison comes back with the last id
    SIGN = "rotate the signing key"
    CLOCK = "move the clock by"  # so many seconds
    EVICT = "evict the log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `pick` chooses among what is there when it is taken, so any part of a history is one, too."""

    kind: Kind
    pick: int = 0

    def __str__(self) -> str:
        return f"{self.kind.value} {self.pick}" if self.kind in (Kind.AWAY, Kind.CLOCK) else self.kind.value


Steps = tuple[Step, ...]

# A history compares each block at least so often (protocol, section 11).
COMPARISONS = 20

# PROD-2: stale after 90 s and unreachable after 300 s, as published. The moves of the clock add up to
# multiples of 50 s, so the seconds that a history takes never decide on which side of a threshold an age is.
THRESHOLDS = ((90.0, "healthy", "stale"), (300.0, "stale", "unreachable"))
_SHORT, _LONG, _VERY_LONG = 50, 100, 400

# What happens in the order given; between these, and after them, single steps are chosen at random.
_AWAY_TWICE = (
    (Step(kind=Kind.AWAY, pick=2), Step(kind=Kind.PUT), Step(kind=Kind.ENROL)),
    (Step(kind=Kind.AWAY, pick=3), Step(kind=Kind.LEAVE), Step(kind=Kind.REKEY), Step(kind=Kind.DELETE)),
)
_EVICTED = (
    (Step(kind=Kind.AWAY, pick=3), Step(kind=Kind.PUT), Step(kind=Kind.LEAVE), Step(kind=Kind.EVICT)),
    (Step(kind=Kind.AWAY, pick=3), Step(kind=Kind.SIGN), Step(kind=Kind.ENROL), Step(kind=Kind.EVICT)),
)
_SILENCES = (
    (Step(kind=Kind.BEAT), Step(kind=Kind.CLOCK, pick=_SHORT), Step(kind=Kind.CLOCK, pick=_LONG)),
    (Step(kind=Kind.BEAT), Step(kind=Kind.CLOCK, pick=_VERY_LONG)),
    (
        Step(kind=Kind.BEAT),
        Step(kind=Kind.AWAY, pick=2),
        Step(kind=Kind.CLOCK, pick=_LONG),
        Step(kind=Kind.PUT),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """One sort of histories: sequences that each of them has, and how often what is chosen besides."""

    sequences: tuple[Steps, ...]
    weights: Mapping[Kind, int]


_CALM_WEIGHTS = {
    Kind.ENROL: 3,
    Kind.LEAVE: 2,
    Kind.REKEY: 2,
    Kind.ENDPOINT: 2,
    Kind.PUT: 4,
    Kind.DELETE: 2,
    Kind.BEAT: 1,
}
CALM = Mix(sequences=_AWAY_TWICE, weights=MappingProxyType(_CALM_WEIGHTS))
STORMY = Mix(
    sequences=(*_AWAY_TWICE, *_EVICTED, *_SILENCES),
    weights=MappingProxyType({**_CALM_WEIGHTS, Kind.SIGN: 1, Kind.EVICT: 1}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Steps under a name, and the seed that they came from."""

    name: str
    seed: int
    steps: Steps


# Picks are taken modulo what there is; this many are more than any history makes.
_PICKS = 1 << 16


def history(name: str, seed: int, mix: Mix) -> History:
    """The history of that seed: every kind of its mix at least once, and COMPARISONS comparisons or more."""
    rng = random.Random(f"history:{seed}")  # noqa: S311  # to be repeatable
    parts = [*mix.sequences, *((Step(kind=kind),) for kind in mix.weights)]
    kinds, weights = list(mix.weights), list(mix.weights.values())
    while comparisons(_flat(parts)) < COMPARISONS:
        parts.append((Step(kind=rng.choices(kinds, weights)[0]),))
    rng.shuffle(parts)
    steps = tuple(
        step if step.pick else Step(kind=step.kind, pick=rng.randrange(1, _PICKS)) for step in _flat(parts)
    )
    return History(name=name, seed=seed, steps=steps)


def comparisons(steps: Sequence[Step]) -> int:
    """How often this history is compared: once first, then after every step but those that are missed."""
    return 1 + sum(compared for _, compared in walked(steps))


def walked(steps: Sequence[Step]) -> tuple[tuple[Step, bool], ...]:
    """Each step, and whether fold and pull are compared after it."""
    missed, found = 0, []
    for step in steps:
        missed = max(missed - 1, 0)
        if step.kind is Kind.AWAY:
            missed = max(missed, step.pick)
        found.append((step, missed == 0))
    if found:
        found[-1] = (found[-1][0], True)
    return tuple(found)


def _flat(parts: Sequence[Steps]) -> Steps:
    return tuple(step for part in parts for step in part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """How a Node stands and for how long, in seconds, it has been silent (PROD-2)."""

    state: str
    age: float = 0.0

    def beaten(self) -> tuple["Silence", tuple[str, ...]]:
        """After a heartbeat, and the states that are told of it."""
        return Silence(state="healthy"), () if self.state == "healthy" else ("healthy",)

    def passed(self, seconds: float) -> tuple["Silence", tuple[str, ...]]:
        """After more silence, and the states that are told of it."""
        age, state, told = self.age + seconds, self.state, []
        for threshold, before, after in THRESHOLDS:
            if state == before and age >= threshold:
                state = after
                told.append(after)
        return Silence(state=state, age=age), tuple(told)


Fails = Callable[[Steps], Awaitable[bool]]


async def smallest(steps: Steps, fails: Fails, *, tries: int) -> Steps:
    """A part of a failing history that still fails and, within so many tries, has nothing to leave out.

    Delta debugging: all of it is left out at first, then halves, single steps at last.
    """
    tries -= 1
    if await fails(()):
        return ()
    pieces = 2
    while steps and tries > 0:
        size = -(-len(steps) // pieces)
        for start in range(0, len(steps), size):
            if tries <= 0:
                return steps
            tries -= 1
            without = (*steps[:start], *steps[start + size :])
            if await fails(without):
                steps, pieces = without, max(pieces - 1, 2)
                break
        else:
            if size == 1:
                return steps
            pieces = min(pieces * 2, len(steps))
    return steps
