"""One stream, whichever replica serves it: the same bytes, cursors, keys and standing."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from http import HTTPStatus

from conformance.agent import keys
from conformance.check import acts, reading, rotation
from conformance.check.lifecycle import END_SECONDS
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.stage import Stage
from conformance.probe.transcript import Ending, Exchange, Transcript

NODE, LEAVER, DOMAIN = "replicated_node", "replicated_leaver", "replicated"
OPEN, RESUMED = "open at replica ", "resumed at replica "
LEAVING, BACK = "the leaver at the second replica", "the leaver comes back to the second replica"
ROTATED, DELETED = "rotated through the first replica", "deregistered through the first replica"
STEPS = (1, 2, 3)


async def act(stage: Stage) -> None:
    domain = await stage.fresh_domain(DOMAIN)
    node = await acts.own_node(stage, NODE, domain=DOMAIN)
    leaver = await acts.own_node(stage, LEAVER, domain=DOMAIN)
    async with AsyncExitStack() as stack:
        probes = [
            await stack.enter_async_context(stage.stream(f"{OPEN}{place}", identity=NODE, replica=place))
            for place in (0, 1)
        ]
        leaving = await stack.enter_async_context(stage.stream(LEAVING, identity=LEAVER, replica=1))
        for probe in (*probes, leaving):
            await probe.head()
        await acts.say(stage, leaver, 1)
        await acts.heard(leaving, 1)
        await acts.say(stage, node, 1)
        cursors = [await acts.heard(probe, 1) for probe in probes]
        path, body = f"/v1/domains/{domain.id}/signing-keys/rotate", {"transition_seconds": 3600}
        await stage.request(ROTATED, "POST", path, identity="operator", json=body, replica=0)
        for step in STEPS[1:]:
            await acts.say(stage, node, step)
        for probe in probes:
            await acts.heard(probe, STEPS[-1])
        for place, cursor in enumerate(reversed(cursors)):
            async with stage.stream(
                f"{RESUMED}{place}", identity=NODE, cursor=cursor, replica=place
            ) as resumed:
                await acts.heard(resumed, STEPS[-1])
        await stage.request(DELETED, "DELETE", f"/v1/nodes/{leaver.id}", identity="operator", replica=0)
        stage.mark("deleted")
        await leaving.ended(END_SECONDS + 1)
    async with stage.stream(BACK, identity=LEAVER, replica=1) as again:
        await again.head(END_SECONDS)


def _first(transcript: Transcript) -> Exchange:
    """The stream at the first replica, which has to be whole; raises CannotJudge."""
    return reading.twin_steps(transcript, f"{OPEN}0", STEPS)


def judge_bytes(transcript: Transcript) -> Iterator[Finding]:
    known = {each.sequence: each.frame.raw for each in reading.events(_first(transcript))}
    compared, changed = 0, []
    for label in (f"{OPEN}1", f"{RESUMED}0", f"{RESUMED}1"):
        for each in reading.events(reading.needed(transcript, label)):
            if each.sequence in known:
                compared += 1
                changed += [] if each.frame.raw == known[each.sequence] else [(each, label)]
    if not compared:
        raise CannotJudge("the second replica told nothing that the first one told")
    expected = "the bytes that the first replica sends for that sequence"
    yield from reading.weighed("ENV-10a", expected, changed, f"{compared} frames are the same")


def judge_cursors(transcript: Transcript) -> Iterator[Finding]:
    _first(transcript)
    for place in (0, 1):
        exchange = reading.needed(transcript, f"{RESUMED}{place}")
        what = "the status of a cursor from the other replica"
        yield reading.same("CUR-7", HTTPStatus.OK, reading.status_of(exchange), what, exchange)
        yield reading.same("CUR-7", list(STEPS[1:]), reading.steps(exchange), "what follows step 1", exchange)


def judge_chain(transcript: Transcript) -> Iterator[Finding]:
    _first(transcript)
    reading.answered(transcript, ROTATED)
    exchange = reading.needed(transcript, f"{OPEN}1")
    told = [
        keys.ROTATION if each.frame.event == keys.ROTATION else str(reading.step(each))
        for each in reading.events(exchange)
        if each.frame.event == keys.ROTATION or reading.step(each) is not None
    ]
    yield reading.same("KEY-3", ["1", keys.ROTATION, "2", "3"], told, "a rotation of elsewhere", exchange)
    yield from rotation.followed(
        rotation.pinned(transcript, NODE), exchange, "KEY-3", ("KEY-2", "KEY-3", "ENV-7", "ENV-8")
    )


def judge_revoked(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, DELETED, HTTPStatus.NO_CONTENT)
    exchange = reading.twin_steps(transcript, LEAVING, [1])
    waited = (exchange.ended_at - reading.first_mark(transcript, "deleted").at) / reading.NANOSECONDS
    holds = exchange.ending is Ending.COMPLETE and not reading.rest(exchange) and waited <= END_SECONDS
    expected = f"an end at a frame boundary within {END_SECONDS:g} s"
    yield reading.finding(
        "GATE-15", holds, expected, f"{exchange.ending.value} after {waited:.1f} s", exchange
    )
    back = reading.needed(transcript, BACK)
    refused = reading.code_of(back) == "nsk_revoked"
    yield reading.finding("GATE-15", refused, "401 nsk_revoked", reading.answer_text(back), back)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="replicas",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=30,
        budget_reason="four commits, and a stream that ends within 5 s of a revocation (GATE-15)",
        act=act,
        needs=frozenset({"second base URL"}),
    ),
)

_ROWS = (
    ("ENV-020", "Every replica sends the same bytes", "ENV-10a", judge_bytes),
    ("CUR-037", "A cursor of one replica is one of the other", "CUR-7", judge_cursors),
    ("KEY-033", "A rotation through one replica is followed by the other", "KEY-3", judge_chain),
    ("GATE-055", "A revocation through one replica ends streams of the other", "GATE-15", judge_revoked),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile="durability", scenario="replicas", judge=judge)
    for name, title, clause, judge in _ROWS
)
