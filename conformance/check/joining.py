"""Where history meets live events: joined at every number of the log while publishing goes on."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus

import trio

from conformance.check import acts, reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.node import NodeHandle
from conformance.probe.stage import Stage
from conformance.probe.stream import StreamProbe
from conformance.probe.transcript import Exchange, Transcript

NODE, NEIGHBOUR, EDGE_NODE = "joining_node", "joining_neighbour", "edge_node"
WITNESS = "witness"
JOINED, EDGE = "joined at ", "joined at the edge "
JOINING = "joining"

# Steps told before the first joins; the neighbour's stand between: half the numbers are not the Node's own.
HISTORY = 8

# A join is followed until it has brought so many steps that were told after it had been asked for.
_LIVE = 2

# SSE-12: four streams of one Node; the witness is one of them.
_AT_ONCE = 3

# A frame follows its commit within a second (SSE-7); what has not come after three does not come.
_COMES_SECONDS = 3.0

# Evictions under a Node that is told something all the while.
ROUNDS = 4


class Telling:
    """Tells a Node one number after the other, and its neighbour in between, until it is stopped."""

    def __init__(self, stage: Stage, *nodes: NodeHandle) -> None:
        self._stage = stage
        self._nodes = nodes
        self._stopped = False
        self.told = self.until = 0

    async def once(self) -> None:
        """The next number."""
        for node in self._nodes:
            await acts.say(self._stage, node, self.told + 1)
        self.told += 1

    async def run(self) -> None:
        """Number after number; not before what a join waits for has been told."""
        while not self._stopped or self.told < self.until:
            await self.once()

    def stop(self) -> None:
        """Ends `run` behind what is being told, and what is waited for."""
        self._stopped = True


async def act(stage: Stage) -> None:
    node = await acts.own_node(stage, NODE)
    telling = Telling(stage, node, await acts.own_node(stage, NEIGHBOUR))
    async with stage.stream(WITNESS, identity=NODE) as witness:
        await witness.head()
        for _ in range(HISTORY):
            await telling.once()
        first, last = await acts.heard(witness, 1), await acts.heard(witness, HISTORY)
        cursors = list(range(int(first or 1) - 1, int(last or 0) + 1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(telling.run)
            async with trio.open_nursery() as joins:
                for _ in range(_AT_ONCE):
                    joins.start_soon(_join_each, stage, telling, cursors)
            telling.stop()
        await acts.heard(witness, telling.told)


async def _join_each(stage: Stage, telling: Telling, cursors: list[int]) -> None:
    """Takes cursors off the list; the first join that is not whole ends it for all."""
    while cursors:
        cursor = cursors.pop(0)
        if not await _join(stage, telling, f"{JOINED}{cursor}", cursor, NODE):
            cursors.clear()  # one gap is enough to judge; each further one would be waited for


async def _join(stage: Stage, telling: Telling, label: str, cursor: int, identity: str) -> bool:
    async with stage.stream(label, identity=identity, cursor=cursor) as probe:
        telling.until = until = telling.told + _LIVE
        stage.mark(JOINING, label=label, cursor=cursor, until=until)
        return await acts.heard(probe, until, _COMES_SECONDS) is not None


async def act_edges(stage: Stage) -> None:
    """Cursors right below the lowest retained entry, which moves while the Node is told things."""
    node = await acts.own_node(stage, EDGE_NODE)
    telling = Telling(stage, node)
    async with stage.stream(WITNESS, identity=EDGE_NODE) as witness:
        await witness.head()
        for _ in range(HISTORY):
            await telling.once()
        await acts.heard(witness, HISTORY)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(telling.run)
            try:
                await _edges(stage, telling, witness)
            finally:
                telling.stop()
        await acts.heard(witness, telling.told)


async def _edges(stage: Stage, telling: Telling, witness: StreamProbe) -> None:
    for turn in range(1, ROUNDS + 1):
        through = await acts.heard(witness, max(1, telling.told - HISTORY // 2))
        bounds = await stage.driver.evict(through=int(through or 0))
        if not await _join(stage, telling, f"{EDGE}{turn}", int(str(bounds["low"])) - 1, EDGE_NODE):
            return


def judge_joined(transcript: Transcript) -> Iterator[Finding]:
    yield from _joined(transcript, "CUR-2", JOINED, at_least=HISTORY)


def judge_edges(transcript: Transcript) -> Iterator[Finding]:
    yield from _joined(transcript, "CUR-4", EDGE, at_least=ROUNDS)


def _joined(transcript: Transcript, clause: str, prefix: str, *, at_least: int) -> list[Finding]:
    """What each join brought; raises CannotJudge where all is well and too few were made."""
    witness = reading.twin_steps(transcript, WITNESS, range(1, HISTORY + 1))
    found = []
    for mark in transcript.marked(JOINING):
        label = str(mark.facts["label"])
        if label.startswith(prefix) and int(str(mark.facts["until"])) in reading.steps(witness):
            found.append(_judged(witness, reading.needed(transcript, label), clause, mark.facts))
    if len(found) < at_least and all(each.holds for each in found):
        raise CannotJudge(f"{len(found)} joins of at least {at_least}")
    return found


def _judged(witness: Exchange, exchange: Exchange, clause: str, facts: Mapping[str, object]) -> Finding:
    cursor, until = int(str(facts["cursor"])), int(str(facts["until"]))
    if reading.status_of(exchange) != HTTPStatus.OK:
        return reading.same(clause, 200, reading.status_of(exchange), exchange.label, exchange)
    last = next(each.sequence or 0 for each in reading.events(witness) if reading.step(each) == until)
    whole, seen = (
        [number for each in reading.events(of) if cursor < (number := each.sequence or 0) <= last]
        for of in (witness, exchange)
    )
    what = f"{exchange.label}: up to step {until}"
    return reading.finding(clause, whole == seen, f"{what}: {whole}", f"{what}: {seen}", exchange)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="joining",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=24,
        budget_reason="some twenty joins, three at a time, each followed for two commits",
        act=act,
        requests=2000,
    ),
    Scenario(
        name="joining_edges",
        grade=Grade.G3,
        effect=Effect.DISRUPTIVE,
        budget_seconds=24,
        budget_reason="four evictions and four joins, each followed for two commits",
        act=act_edges,
        requests=2000,
    ),
)

CHECKS: tuple[Check, ...] = (
    Check(
        id="CUR-022",
        title="History and live events join at every number of the log",
        clauses=("CUR-2",),
        profile="replay",
        scenario="joining",
        judge=judge_joined,
    ),
    Check(
        id="CUR-024",
        title="A moving edge of the window is a place like any other",
        clauses=("CUR-4",),
        profile="replay",
        scenario="joining_edges",
        judge=judge_edges,
    ),
)
