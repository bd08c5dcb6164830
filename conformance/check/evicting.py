"""Entries that go while a replay is under way: the stream ends, it never goes on with a gap. Grade G3."""

from collections.abc import Iterator

from conformance.check import acts, reading
from conformance.check.model import Check, Effect, Finding, Grade, Scenario
from conformance.check.pressure import BALLAST, BALLAST_CHARACTERS
from conformance.probe.stage import Stage
from conformance.probe.transcript import Ending, Transcript

NODE, BEFORE, REPLAYED = "behind_node", "before the replay", "replayed and overtaken"

# Each event is some 200 kB: twelve megabytes are more than sockets hold and a server reads ahead.
LAST = 60
AFTERWARDS = LAST + 1
COMES_SECONDS = 8.0


async def act(stage: Stage) -> None:
    await stage.fresh_domain("overtaken")
    node = await acts.own_node(stage, NODE, domain="overtaken")
    for number in range(1, BALLAST + 1):
        await stage.put_entry(node, f"ballast{number}", "x" * BALLAST_CHARACTERS, bucket="data")
    async with stage.stream(BEFORE, identity=NODE) as before:
        await before.head()
        await acts.say(stage, node, 1)
        cursor = await acts.heard(before, 1) or ""
    for number in range(2, LAST + 1):
        await acts.say(stage, node, number)
    async with stage.stream(REPLAYED, identity=NODE, cursor=cursor) as replayed:
        await replayed.head()
        await acts.heard(replayed, 2)
        replayed.pause()
        await stage.driver.evict()
        await acts.say(stage, node, AFTERWARDS)
        replayed.go_on()
        await acts.heard(replayed, AFTERWARDS, COMES_SECONDS)


def judge(transcript: Transcript) -> Iterator[Finding]:
    reading.twin_steps(transcript, BEFORE, [1])
    exchange = reading.twin_steps(transcript, REPLAYED, [2])
    seen = reading.steps(exchange)
    told = f"steps {seen[0]} to {seen[-1]}, {len(seen)} in all, {exchange.ending.value}"
    whole = seen == list(range(2, len(seen) + 2))
    yield reading.finding("CUR-2", whole, "no gap, whatever was evicted meanwhile", told, exchange)
    if whole:
        over = seen[-1] == AFTERWARDS or exchange.ending is not Ending.LEFT
        yield reading.finding("CUR-2", over, "all of it, or an end by the server", told, exchange)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="overtaken",
        grade=Grade.G3,
        effect=Effect.DISRUPTIVE,
        budget_seconds=45,
        budget_reason="sixty commits of 200 kB, and eight seconds for what is left of them",
        act=act,
    ),
)

CHECKS: tuple[Check, ...] = (
    Check(
        id="CUR-050",
        title="A replay whose entries are evicted ends",
        clauses=("CUR-2",),
        profile="durability",
        scenario="overtaken",
        judge=judge,
    ),
)
