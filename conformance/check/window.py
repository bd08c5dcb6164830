"""The replay window: cursors at its edges, before and after entries are evicted."""

from collections.abc import Iterator
from http import HTTPStatus

from conformance.check import acts, reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.node import NodeHandle
from conformance.probe.stage import Stage
from conformance.probe.transcript import Transcript

OUTSIDE = "last_event_id_outside_replay_window"

# The largest cursor that is well-formed (GATE-9): no log has come so far.
FAR = 2**64 - 1
FAR_CURSOR, NEWEST = "far cursor", "newest id"
WITNESS = "witness"

HEAD_SECONDS = 3.0


async def act_far(stage: Stage) -> None:
    node = await acts.own_node(stage, "window_node")
    async with stage.stream(WITNESS, identity="window_node") as witness:
        await witness.head()
        await acts.say(stage, node, 1)
        newest = await acts.heard(witness, 1) or ""
        async with stage.stream(NEWEST, identity="window_node", cursor=newest) as probe:
            await probe.head()
            await try_cursor(stage, FAR_CURSOR, "window_node", FAR)
            await acts.say(stage, node, 2)
            await acts.heard(probe, 2)
            await acts.heard(witness, 2)


async def try_cursor(stage: Stage, label: str, identity: str, cursor: int) -> None:
    """Opens a stream that may be refused, and leaves it."""
    async with stage.stream(label, identity=identity, cursor=cursor) as probe:
        await probe.head(HEAD_SECONDS)


def judge_far(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, NEWEST, [2])
    exchange = reading.needed(transcript, FAR_CURSOR)
    holds = reading.status_of(exchange) == HTTPStatus.GONE and reading.code_of(exchange) == OUTSIDE
    yield reading.finding("GATE-10", holds, f"410 {OUTSIDE}", reading.answer_text(exchange), exchange)


def judge_newest(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, WITNESS, [1, 2])
    exchange = reading.needed(transcript, NEWEST)
    yield reading.same("CUR-4", 200, reading.status_of(exchange), "the newest id as a cursor", exchange)
    if reading.status_of(exchange) == HTTPStatus.OK:
        yield reading.same("CUR-3", [2], reading.steps(exchange), "what follows the newest id", exchange)


# ---- cursors beyond the Node's own entries ------------------------------------------------------------

NEIGHBOUR, BETWEEN = "older_neighbour", "node_between"
BEFORE_OWN, BEHIND_OWN = "a number before its own first", "a number behind its own last"


async def act_around(stage: Stage) -> None:
    """A Node of another Domain is told something before this one exists, and again after this one was."""
    neighbour = await acts.own_node(stage, NEIGHBOUR, domain="other")
    async with stage.stream(WITNESS, identity=NEIGHBOUR) as witness:
        await witness.head()
        await acts.say(stage, neighbour, 1)
        before = await acts.heard(witness, 1) or ""
        node = await acts.own_node(stage, BETWEEN)
        await acts.say(stage, node, 1)
        async with stage.stream(BEFORE_OWN, identity=BETWEEN, cursor=before) as first:
            await acts.heard(first, 1, HEAD_SECONDS)
            await acts.say(stage, neighbour, 2)
            behind = await acts.heard(witness, 2) or ""
            async with stage.stream(BEHIND_OWN, identity=BETWEEN, cursor=behind) as last:
                await last.head(HEAD_SECONDS)
                await acts.say(stage, node, 2)
                for probe in (first, last):
                    await acts.heard(probe, 2, HEAD_SECONDS)


def judge_around(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, WITNESS, [1, 2])
    for label, steps in ((BEFORE_OWN, [1, 2]), (BEHIND_OWN, [2])):
        exchange = reading.needed(transcript, label)
        status = reading.status_of(exchange)
        yield reading.same("CUR-4", HTTPStatus.OK.value, status, f"{label}, of a neighbour", exchange)
        if status == HTTPStatus.OK:
            told = list(dict.fromkeys(reading.steps(exchange)))  # what comes twice is CUR-2's affair
            yield reading.same("CUR-5", steps, told, label, exchange)


# ---- eviction ------------------------------------------------------------------------------------------

BELOW, EDGE, ABOVE, AFTER_ALL = "two below the window", "one below the window", "high", "high, all evicted"
BEYOND = "beyond high, all evicted"


async def act_eviction(stage: Stage) -> None:
    node = await acts.own_node(stage, "evicted_node")
    async with stage.stream(WITNESS, identity="evicted_node") as witness:
        await witness.head()
        for number in (1, 2, 3):
            await acts.say(stage, node, number)
        ids = [int(await acts.heard(witness, number) or 0) for number in (1, 2, 3)]
        bounds = await stage.driver.evict(through=ids[0])
        await _probe_edges(stage, bounds, BELOW, EDGE)
        bounds = await stage.driver.evict()
        stage.mark("emptied", low=bounds["low"], high=bounds["high"])
        high = int(str(bounds["high"]))
        await try_cursor(stage, ABOVE, "evicted_node", high - 1)
        await try_cursor(stage, BEYOND, "evicted_node", high + 1_000_000)
        await _empty_log(stage, node, high)


async def _probe_edges(stage: Stage, bounds: object, below: str, edge: str) -> None:
    low = int(str(bounds["low"])) if isinstance(bounds, dict) else 0
    stage.mark("evicted", low=low)
    await try_cursor(stage, edge, "evicted_node", low - 1)
    await try_cursor(stage, below, "evicted_node", low - 2)


async def _empty_log(stage: Stage, node: NodeHandle, high: int) -> None:
    async with stage.stream(AFTER_ALL, identity="evicted_node", cursor=high) as probe:
        await probe.head()
        await acts.say(stage, node, 4)
        await acts.heard(probe, 4)


def judge_edges(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, WITNESS, [1, 2, 3])
    for label, status in ((EDGE, 200), (BELOW, 410), (ABOVE, 410), (BEYOND, 410), (AFTER_ALL, 200)):
        exchange = reading.needed(transcript, label)
        yield reading.same("CUR-4", status, reading.status_of(exchange), label, exchange)


def judge_replay_from_edge(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, WITNESS, [1, 2, 3])
    exchange = reading.needed(transcript, AFTER_ALL)
    yield reading.same(
        "CUR-7", 200, reading.status_of(exchange), "the highest sequence as a cursor", exchange
    )
    if reading.status_of(exchange) != HTTPStatus.OK:
        return
    if not reading.events(exchange):
        raise CannotJudge("nothing came after the log had been emptied")
    yield reading.same("CUR-7", [4], reading.steps(exchange), "what follows an emptied log", exchange)
    emptied = int(str(reading.fact(transcript, "emptied", "high")))
    first = reading.events(exchange)[0].sequence or 0
    holds = first > emptied
    yield reading.finding("CUR-7", holds, f"sequences above {emptied}", str(first), exchange)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="far_cursor",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=15,
        budget_reason="two commits and one refusal, each at once",
        act=act_far,
    ),
    Scenario(
        name="around",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=20,
        budget_reason="four commits and two replays, each at once; what does not come is awaited for 3 s",
        act=act_around,
    ),
    Scenario(
        name="eviction",
        grade=Grade.G3,
        effect=Effect.DISRUPTIVE,
        budget_seconds=24,
        budget_reason="four commits, two evictions and five admissions, each at once",
        act=act_eviction,
    ),
)

_ROWS = (
    ("GATE-010", "A cursor outside the window opens no stream", ("GATE-10",), "far_cursor", judge_far),
    ("CUR-004", "The newest id is inside the window", ("CUR-4", "CUR-3"), "far_cursor", judge_newest),
    ("CUR-044", "The window is the log's, not the Node's own", ("CUR-4", "CUR-5"), "around", judge_around),
    ("CUR-014", "The window ends one below what is retained", ("CUR-4",), "eviction", judge_edges),
    ("CUR-007", "An emptied log goes on counting", ("CUR-7",), "eviction", judge_replay_from_edge),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=clauses, profile="replay", scenario=scenario, judge=judge)
    for name, title, clauses, scenario, judge in _ROWS
)
