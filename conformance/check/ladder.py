"""Of two refusals the earlier one, for every pair of gates that one request can meet (GATE-12)."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from http import HTTPStatus

import trio

from conformance.check import acts, gates, problems, reading
from conformance.check.acts import EVENTS, STATE
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript

Judge = Callable[[Transcript], Iterator[Finding]]


class Gate(StrEnum):
    """The gates of section 3; their order here is the order of the protocol."""

    METHOD = "405 method"
    WIRED = "501 not wired"
    CALLER = "401 no caller"
    ID = "400 malformed id"
    RELATION = "403 not related"
    NODE = "404 no such Node"
    ACCEPT = "406 not acceptable"
    CURSOR = "400 malformed cursor"
    LOG = "503 log unreachable"
    WINDOW = "410 outside the window"


Pair = tuple[Gate, Gate]

OWN, PEER, GONE, AGENT = "ladder_own", "ladder_peer", "ladder_gone", "operator_agent"
TWIN = "twin: "
BACK = "back "

# A log may take a moment to return: OUT-8 sets no time, ten seconds are patient.
_RETURNS, _PAUSE_SECONDS = 40, 0.25

# What a request can bring about by itself; the other two gates need a verb.
_ASKED = (Gate.METHOD, Gate.CALLER, Gate.ID, Gate.RELATION, Gate.NODE, Gate.ACCEPT, Gate.CURSOR, Gate.WINDOW)
_OF_STATE = (Gate.CALLER, Gate.ID, Gate.RELATION, Gate.NODE)

# One header says both, and says only one of them.
_IMPOSSIBLE = {(Gate.CURSOR, Gate.WINDOW)}

ORDINARY: Sequence[Pair] = [
    pair for pair in itertools.combinations(_ASKED, 2) if pair not in _IMPOSSIBLE
]  # in the order of _ASKED, which is the order of the ladder
ORDINARY_STATE: Sequence[Pair] = list(itertools.combinations(_OF_STATE, 2))
UNWIRED: Sequence[Pair] = [
    (Gate.METHOD, Gate.WIRED),
    *((Gate.WIRED, other) for other in (*_ASKED[1:], Gate.LOG)),
]
UNWIRED_STATE: Sequence[Pair] = [(Gate.WIRED, other) for other in _OF_STATE]
AWAY: Sequence[Pair] = [*((other, Gate.LOG) for other in _ASKED[:-1]), (Gate.LOG, Gate.WINDOW)]


async def act(stage: Stage) -> None:
    node_id = await _ground(stage)
    await _ask(stage, EVENTS, node_id, [{each} for each in _ASKED])
    await _ask(stage, STATE, node_id, [{each} for each in _OF_STATE])
    await _ask(stage, EVENTS, node_id, map(set, ORDINARY))
    await _ask(stage, STATE, node_id, map(set, ORDINARY_STATE))


async def act_away(stage: Stage) -> None:
    """The same with the log stopped and with a port unwired; both come back in any case."""
    node_id = await _ground(stage)
    await _ask(stage, EVENTS, node_id, [{each} for each in _ASKED])
    await _ask(stage, STATE, node_id, [{each} for each in _OF_STATE])
    await stage.driver.stop("log")
    try:
        await _ask(stage, EVENTS, node_id, [{Gate.LOG}, *map(set, AWAY)])
        await stage.driver.wire("EventStream", wired=False)
        await _ask(stage, EVENTS, node_id, [{Gate.WIRED, Gate.LOG}])
    finally:
        await stage.driver.start("log")
    try:
        asked = [set(pair) for pair in UNWIRED if Gate.LOG not in pair]
        await _ask(stage, EVENTS, node_id, [{Gate.WIRED}, *asked])
    finally:
        await stage.driver.wire("EventStream", wired=True)
    await stage.driver.wire("SnapshotProvider", wired=False)
    try:
        await _ask(stage, STATE, node_id, [{Gate.WIRED}, *map(set, UNWIRED_STATE)])
    finally:
        await stage.driver.wire("SnapshotProvider", wired=True)
    await _back(stage)


async def _ground(stage: Stage) -> str:
    own = await acts.own_node(stage, OWN)
    await acts.own_node(stage, PEER)
    gone = await acts.own_node(stage, GONE)
    await stage.request("deregistered", "DELETE", f"/v1/nodes/{gone.id}", identity="operator")
    async with stage.stream(TWIN + EVENTS, identity=OWN) as probe:
        await probe.head()
    await stage.request(TWIN + STATE, "GET", f"/v1/nodes/{own.id}/state", identity=OWN)
    return own.id


async def _ask(stage: Stage, surface: str, own: str, wanted: Iterable[set[Gate]]) -> None:
    for met in wanted:
        identity = _identity(met)
        if identity != "none" and not stage.has(identity):
            continue
        await acts.knock(
            stage,
            label(surface, met),
            gates.PATH_IDS[gates.MALFORMED] if Gate.ID in met else _node(met, own),
            surface=surface,
            identity=identity,
            headers=_headers(met),
            method="POST" if Gate.METHOD in met else "GET",
        )


async def _back(stage: Stage) -> None:
    for turn in range(1, _RETURNS + 1):
        async with stage.stream(f"{BACK}{turn}", identity=OWN) as probe:
            head = await probe.head()
            if head is not None and head.status == HTTPStatus.OK:
                return
        await trio.sleep(_PAUSE_SECONDS)


def label(surface: str, met: Iterable[Gate]) -> str:
    """What a request that meets these gates is called."""
    return f"{surface}: {' + '.join(each for each in Gate if each in set(met))}"


def _identity(met: set[Gate]) -> str:
    if Gate.CALLER in met:
        return GONE if Gate.RELATION in met else "none"
    if Gate.RELATION in met:
        return PEER
    return AGENT if Gate.NODE in met else OWN


def _node(met: set[Gate], own: str) -> str:
    return gates.UNKNOWN_ID if Gate.NODE in met else own


def _headers(met: set[Gate]) -> tuple[tuple[str, str], ...]:
    cursor = {Gate.CURSOR: "x", Gate.WINDOW: gates.FAR}
    found = tuple(("Last-Event-ID", value) for gate, value in cursor.items() if gate in met)
    return (*found, *gates.JSON_ONLY) if Gate.ACCEPT in met else found


def of_pairs(surface: str, pairs: Sequence[Pair]) -> Judge:
    """A judgement of these pairs: who meets both gates is told what the earlier one tells alone.

    A pair is judged where each of its gates was seen to refuse, and otherwise than the other one.
    """

    def judge(transcript: Transcript) -> Iterator[Finding]:
        reading.answered(transcript, TWIN + surface)
        found = [_judged(transcript, surface, pair) for pair in pairs]
        seen = [each for each in found if each is not None]
        missing = [pair for pair, each in zip(pairs, found, strict=True) if each is None]
        if missing and all(each.holds for each in seen):
            raise CannotJudge(f"nothing can be said about {', '.join(map(' and '.join, missing))}")
        yield from seen

    return judge


def _judged(transcript: Transcript, surface: str, pair: Pair) -> Finding | None:
    first, second = (transcript.exchange(label(surface, {each})) for each in pair)
    both = transcript.exchange(label(surface, pair))
    if first is None or second is None or both is None:
        return None
    if Gate.ACCEPT in pair and reading.status_of(_of(pair, first, second)) == HTTPStatus.OK:
        what = f"{pair[0]}, {pair[1]}: 406 is an option that this server does not take"
        return reading.finding("GATE-12", True, what, "200", both)
    refused = min(map(reading.status_of, (first, second))) >= HTTPStatus.BAD_REQUEST
    if not refused or _told(first) == _told(second):
        return None
    caller = pair[0] is Gate.CALLER  # two ways to be nobody have two codes
    holds = _told(both)[:1] == _told(first)[:1] if caller else _told(both) == _told(first)
    what = f"{pair[0]} before {pair[1]}: {reading.answer_text(first)}"
    return reading.finding("GATE-12", holds, what, reading.answer_text(both), both)


def _of(pair: Pair, first: Exchange, second: Exchange) -> Exchange:
    return first if pair[0] is Gate.ACCEPT else second


def _told(exchange: Exchange) -> tuple[int, str]:
    return reading.status_of(exchange), reading.code_of(exchange)


def judge_away_problems(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, TWIN + EVENTS)
    labels = [label(EVENTS, {Gate.LOG}), label(EVENTS, {Gate.WIRED}), label(STATE, {Gate.WIRED})]
    refused = [reading.needed(transcript, each) for each in labels]
    if min(map(reading.status_of, refused)) < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise CannotJudge("what was taken away did not go away")
    yield from problems.shapes(refused)
    yield from problems.types(refused)
    yield from problems.correlations(refused)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="ladder",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=24,
        budget_reason="some fifty refusals, each at once; a stream opened by mistake is left after 3 s",
        act=act,
        requests=100,
    ),
    Scenario(
        name="ladder_away",
        grade=Grade.G3,
        effect=Effect.DISRUPTIVE,
        budget_seconds=40,
        budget_reason="some forty refusals, each at once, and ten seconds for the log to return",
        act=act_away,
        requests=150,
    ),
)

_ROWS = (
    ("GATE-012", "Of any two refusals of events the earlier one is given", "ladder", EVENTS, ORDINARY),
    ("GATE-042", "Of any two refusals of state the earlier one is given", "ladder", STATE, ORDINARY_STATE),
    ("GATE-043", "501 comes before all but 405", "ladder_away", EVENTS, UNWIRED),
    ("GATE-044", "501 comes first on the state", "ladder_away", STATE, UNWIRED_STATE),
    ("GATE-045", "503 comes before 410 and behind all else", "ladder_away", EVENTS, AWAY),
)

CHECKS: tuple[Check, ...] = (
    *(
        Check(
            id=name,
            title=title,
            clauses=("GATE-12",),
            profile="pull" if surface == STATE else "stream",
            scenario=scenario,
            judge=of_pairs(surface, pairs),
        )
        for name, title, scenario, surface, pairs in _ROWS
    ),
    Check(
        id="ERR-041",
        title="Refusals for what is away are problems, too",
        clauses=("ERR-1", "ERR-2", "ERR-3"),
        profile="stream",
        scenario="ladder_away",
        judge=judge_away_problems,
    ),
)
