"""Reads the record of a history: the fold is made anew out of the recorded bytes, at each comparison."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus

from conformance.agent import fold, keys
from conformance.check import parity_acts, reading
from conformance.check.model import CannotJudge
from conformance.check.parity_steps import Silence
from conformance.probe.transcript import Exchange, Mark, Transcript

# Histories that are acted to make a failing one smaller are named so.
SHRUNK = "shrunk"
LIVE = "live"

ENDPOINT_EVENT = "peer_endpoint_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One comparison. `how` the stream began, if this is its first one, else live.

    `differences` are between fold and pull, `astray` between fold and that of a stream that was never cut;
    `untrusted` is what the chain of keys says against envelopes since the comparison before.
    """

    after: int
    how: str
    pulled: Exchange
    differences: tuple[fold.Difference, ...]
    heard: bool
    astray: tuple[fold.Difference, ...] = ()
    untrusted: tuple[str, ...] = ()

    @property
    def blocks(self) -> frozenset[str]:
        """The blocks that differ."""
        return frozenset(each.block for each in self.differences)


@dataclass(slots=True)
class _Reader:
    """Follows one stream: what it folds to, and how far it was read."""

    state: fold.Fold
    frames: Sequence[reading.Placed]
    chain: keys.Chain | None = None
    at: int = 0
    untrusted: list[str] = field(default_factory=list)

    def read_to(self, key: str) -> bool:
        """Applies the frames up to the marker of that key, all of them without one; True if it came."""
        while self.at < len(self.frames):
            each = self.frames[self.at]
            self.at += 1
            self._take(each)
            if (
                each.frame.event == parity_acts.MARKER_EVENT
                and reading.payload(each).get("public_key") == key
            ):
                return True
        return False

    def _take(self, each: reading.Placed) -> None:
        if self.chain is not None:
            step = keys.follow(self.chain, each.frame.data)
            self.chain = step.chain
            self.untrusted += [f"{wrong.clause}: {wrong.seen}" for wrong in step.violations]
        told = reading.payload_bytes(each)
        if told is not None:
            self.state = fold.apply(self.state, reading.header(each, "type"), told)


def histories(transcript: Transcript) -> tuple[str, ...]:
    """The names of the histories of a seed, in order; raises CannotJudge without any."""
    found = tuple(name for name in _names(transcript) if not name.startswith(SHRUNK))
    if not found:
        raise CannotJudge("no history was acted")
    return found


def shrunk(transcript: Transcript, history: str) -> tuple[str, ...]:
    """The smaller histories that were made of one, the smallest first."""
    mine = [name for name in _names(transcript) if name.startswith(f"{SHRUNK}_{history}_")]
    return tuple(sorted(mine, key=lambda name: (len(steps(transcript, name)), name)))


def steps(transcript: Transcript, history: str) -> list[str]:
    """What a history is made of, in words."""
    told = _opening(transcript, history).facts["steps"]
    return [str(each) for each in told] if isinstance(told, list) else []


def seed(transcript: Transcript, history: str) -> object:
    """The seed that a history came from."""
    return _opening(transcript, history).facts["seed"]


@dataclass(frozen=True, slots=True, eq=False)
class _The:
    """A transcript as what it is, not as what it holds: comparing those would cost more than is saved."""

    transcript: Transcript

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _The) and other.transcript is self.transcript

    def __hash__(self) -> int:
        return id(self.transcript)


def points(transcript: Transcript, history: str) -> tuple[Point, ...]:
    """Every comparison of a history, in order. Raises CannotJudge where what was told cannot be folded."""
    return _points(_The(transcript), history)


@lru_cache(maxsize=8)  # each block of a history is a check of its own
def _points(the: _The, history: str) -> tuple[Point, ...]:
    try:
        return tuple(_walked(the.transcript, history))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as wrong:
        raise CannotJudge(f"what was told has not the shape that can be folded: {wrong!r}") from wrong


def _walked(transcript: Transcript, history: str) -> Iterator[Point]:
    stream: _Reader | None = None
    witness: _Reader | None = None
    how = ""
    for mark in _of(transcript, history):
        if mark.name == parity_acts.OPENED:
            stream = _opened(transcript, history, mark, stream)
            witness = witness or _witness(transcript, history, stream)
            how = str(mark.facts["how"])
        elif stream is not None and mark.name == parity_acts.LEFT:
            stream.read_to("")
        elif stream is not None and mark.name == parity_acts.COMPARED:
            key = str(mark.facts["key"])
            heard = stream.read_to(key)
            whole = witness is not None and witness.read_to(key)
            pulled = reading.answered(transcript, str(mark.facts["pull"]))
            yield Point(
                after=int(str(mark.facts["after"])),
                how=how,
                pulled=pulled,
                differences=fold.differences(stream.state, pulled.body),
                heard=heard,
                astray=fold.between(stream.state, witness.state) if whole and witness is not None else (),
                untrusted=tuple(stream.untrusted),
            )
            stream.untrusted.clear()
            how = LIVE


def _opened(transcript: Transcript, history: str, mark: Mark, before: _Reader | None) -> _Reader:
    frames = reading.events(reading.answered(transcript, str(mark.facts["stream"])))
    if not mark.facts["base"]:
        if before is None:
            raise CannotJudge("a stream was resumed that never began")
        return _Reader(state=before.state, frames=frames, chain=before.chain)
    base = reading.answered(transcript, str(mark.facts["base"]))
    chain = pinned(transcript, history) if before is None else before.chain
    answer = transcript.exchange(str(mark.facts["keys"]))
    reader = _Reader(state=fold.start(base.body), frames=frames, chain=chain)
    if chain is not None and answer is not None and reading.status_of(answer) == HTTPStatus.OK:
        reader.chain, broken = keys.catch_up(chain, answer.body)
        reader.untrusted += [f"{wrong.clause}: {wrong.seen}" for wrong in broken]
    return reader


def _witness(transcript: Transcript, history: str, beside: _Reader) -> _Reader | None:
    exchange = transcript.exchange(witness_label(history))
    if exchange is None or reading.status_of(exchange) != HTTPStatus.OK:
        return None
    return _Reader(state=beside.state, frames=reading.events(exchange))


def witness_label(history: str) -> str:
    """The label of the stream that is never cut."""
    return f"{history}: witness"


def pinned(transcript: Transcript, history: str) -> keys.Chain | None:
    """The chain from the key of the Node's registration, None where that named none."""
    facts = reading.first_mark(transcript, f"node {history}_node").facts
    if not facts["key_id"]:
        return None
    return keys.pinned(str(facts["domain_id"]), str(facts["key_id"]), str(facts["public_key"]))


def expected_states(transcript: Transcript, history: str) -> tuple[str, ...]:
    """The states that the Node must be told, by its heartbeats and the moved clock (PROD-2)."""
    silence = Silence(state=first_state(transcript, history))
    told: list[str] = []
    for mark in _of(transcript, history):
        if mark.name == parity_acts.BEAT:
            silence, more = silence.beaten()
            told += more
        elif mark.name == parity_acts.CLOCK:
            silence, more = silence.passed(float(str(mark.facts["seconds"])))
            told += more
    return tuple(told)


def first_state(transcript: Transcript, history: str) -> str:
    """The state in which the Node began, as its first pull says."""
    opened = next((each for each in _of(transcript, history) if each.name == parity_acts.OPENED), None)
    if opened is None:
        raise CannotJudge("the history never began")
    base = reading.problem(reading.answered(transcript, str(opened.facts["base"])))
    block = base.get("reachability")
    return str(block.get("state", "")) if isinstance(block, Mapping) else ""


def reported(transcript: Transcript, history: str) -> tuple[str, ...]:
    """The endpoints that others of the Domain reported and the Node must be told."""
    return tuple(
        str(each.facts["endpoint"]) for each in _of(transcript, history) if each.name == parity_acts.REPORTED
    )


def streams(transcript: Transcript, history: str) -> tuple[Exchange, ...]:
    """The streams of the agent, in order: together they are what it was told."""
    labels = [each.facts["stream"] for each in _of(transcript, history) if each.name == parity_acts.OPENED]
    return tuple(reading.answered(transcript, str(each)) for each in labels)


def leading(transcript: Transcript, history: str, until: Exchange) -> tuple[str, ...]:
    """The labels of what leads to a comparison, in order, without the pulls that were only compared."""
    names = (f"{history}: ", f"grounds: domain {history}", f"grounds: node {history}_")
    mine = [each for each in transcript.exchanges if each.label.startswith(names) and each.id < until.id]
    return (*(each.label for each in mine if parity_acts.ONLY_COMPARED not in each.label), until.label)


def _names(transcript: Transcript) -> tuple[str, ...]:
    return tuple(str(mark.facts["history"]) for mark in transcript.marked(parity_acts.HISTORY))


def _opening(transcript: Transcript, history: str) -> Mark:
    found = [each for each in transcript.marked(parity_acts.HISTORY) if each.facts["history"] == history]
    if not found:
        raise CannotJudge(f"no history {history!r}")
    return found[0]


def _of(transcript: Transcript, history: str) -> tuple[Mark, ...]:
    return tuple(mark for mark in transcript.marks if mark.facts.get("history") == history)
