"""Streams under pressure: a reader that stops reading, and more streams of one Node than a server serves."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from http import HTTPStatus

import trio

from conformance.check import acts, reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.node import NodeHandle
from conformance.probe.stage import Stage
from conformance.probe.stream import StreamProbe
from conformance.probe.transcript import Ending, Exchange, Transcript

# ---- a slow reader -------------------------------------------------------------------------------------

NODE, SLOW, BACK = "slow_node", "the slow reader", "back with its last id"
PUBLISHED = "published"

# Each event tells the whole state: four entries below the body's cap of 64 KiB make it some 200 kB large.
BALLAST, BALLAST_CHARACTERS = 4, 48_000

# Nearly three megabytes: more than sockets hold on both sides and a bound of a megabyte between them.
LAST = 14

# So long nothing is read: whoever bounds a slow reader by time rather than by bytes needs some seconds.
PAUSE_SECONDS = 6.0
COMES_SECONDS = 5.0


async def act_slow(stage: Stage) -> None:
    await stage.fresh_domain("slow")
    node = await acts.own_node(stage, NODE, domain="slow")
    for number in range(1, BALLAST + 1):
        await stage.put_entry(node, f"ballast{number}", "x" * BALLAST_CHARACTERS, bucket="data")
    async with stage.stream(SLOW, identity=NODE) as slow:
        await slow.head()
        await acts.say(stage, node, 1)
        await acts.heard(slow, 1)
        slow.pause()
        for number in range(2, LAST + 1):
            await acts.say(stage, node, number)
        stage.mark(PUBLISHED, last=LAST)
        await trio.sleep(PAUSE_SECONDS)
        slow.go_on()
        await acts.heard(slow, LAST, COMES_SECONDS)
        last_id = slow.last_id
    async with stage.stream(BACK, identity=NODE, cursor=last_id) as back:
        await back.head()
        if not any(map(acts.tells(LAST), slow.events)):
            await acts.heard(back, LAST, COMES_SECONDS)


def judge_slow(transcript: Transcript) -> Iterator[Finding]:
    reading.first_mark(transcript, PUBLISHED)
    exchange = reading.twin_steps(transcript, SLOW, [1])
    back = reading.answered(transcript, BACK)
    seen = reading.steps(exchange)
    whole = seen == list(range(1, len(seen) + 1))
    expected = "what was read is without a gap, before and behind the pause"
    yield reading.finding("SSE-9", whole, expected, f"steps {seen}, {exchange.ending.value}", exchange)
    if not whole or seen[-1] == LAST:
        return
    ended = exchange.ending is not Ending.LEFT
    observed = exchange.ending.value if ended else f"open and silent behind step {seen[-1]}"
    yield reading.finding("SSE-9", ended, "disconnected, as not all of it came", observed, exchange)
    missed = list(range(seen[-1] + 1, LAST + 1))
    yield reading.same("SSE-9", missed, reading.steps(back), "what it missed, replayed", back)


# ---- more streams than are served ----------------------------------------------------------------------

CROWD_NODE, CROWD = "crowded_node", "stream "

# Whatever the limit is, at least 4: beyond this many none was met, and all must be served. A replica may
# count only its own streams: who knows them one by one asks one alone.
MOST = 16


async def act_crowd(stage: Stage) -> None:
    node = await acts.own_node(stage, CROWD_NODE)
    async with AsyncExitStack() as stack:
        probes: list[StreamProbe] = []
        while len(probes) < MOST and not any(each.finished.is_set() for each in probes):
            label = f"{CROWD}{len(probes) + 1}"
            opened = stage.stream(label, identity=CROWD_NODE, replica=stage.one)
            probe = await stack.enter_async_context(opened)
            await probe.head()
            probes.append(probe)
            await _tell(stage, node, len(probes), probe)
        number = len(probes) + 1
        await acts.say(stage, node, number)
        for probe in probes:
            await acts.heard(probe, number)
        stage.mark("crowded", streams=len(probes))


async def _tell(stage: Stage, node: NodeHandle, number: int, newest: StreamProbe) -> None:
    await acts.say(stage, node, number)
    await acts.heard(newest, number)


def judge_crowd(transcript: Transcript) -> Iterator[Finding]:
    count = int(str(reading.fact(transcript, "crowded", "streams")))
    streams = [reading.needed(transcript, f"{CROWD}{number}") for number in range(1, count + 1)]
    if not any(reading.steps(each) for each in streams):
        raise CannotJudge("no stream brought an event")
    newest = streams[-1]
    status = reading.status_of(newest)
    yield reading.same("SSE-12", int(HTTPStatus.OK), status, f"stream {count}, the newest", newest)
    gone = [number for number, each in enumerate(streams, 1) if _ended(each)]
    oldest = list(range(1, len(gone) + 1))
    yield reading.same("SSE-12", oldest, gone, f"of {count} streams those that were ended", newest)
    for number, exchange in enumerate(streams, 1):
        if number not in gone:
            last = reading.steps(exchange)[-1:]
            yield reading.same(
                "SSE-12", [count + 1], last, f"stream {number} of {count}, at the end", exchange
            )
        elif reading.status_of(exchange) == HTTPStatus.OK:
            torn = reading.rest(exchange)
            yield reading.same("SSE-12", b"", torn, f"stream {number}: what is left of a frame", exchange)


def _ended(exchange: Exchange) -> bool:
    return exchange.ending is not Ending.LEFT


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="slow_reader",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=35,
        budget_reason="eighteen commits of up to 200 kB, a pause of 6 s, and a replay of what was missed",
        act=act_slow,
    ),
    Scenario(
        name="overcrowded",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=24,
        budget_reason="at most seventeen commits, each on the wire within a second",
        act=act_crowd,
    ),
)

CHECKS: tuple[Check, ...] = (
    Check(
        id="SSE-009",
        title="A slow reader loses its connection, never an event",
        clauses=("SSE-9",),
        profile="stream",
        scenario="slow_reader",
        judge=judge_slow,
    ),
    Check(
        id="SSE-042",
        title="Over the limit of streams the oldest makes room for the newest",
        clauses=("SSE-12",),
        profile="stream",
        scenario="overcrowded",
        judge=judge_crowd,
    ),
)
