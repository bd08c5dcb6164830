"""All processes of the bus killed while it is busy: what was committed comes, once and in order."""

from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

import trio

from conformance.check import acts, reading, returning
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe import honesty
from conformance.probe.node import NodeHandle
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript

NODE, KEYLESS = "crash_node", "crash_keyless"
BEFORE, AFTER, WAITING = "open when it is killed", "after the crash", "waited over the crash"
TOLD, PROVISIONED = "told ", "provisioned"

# Numbers that are acknowledged before the kill; more are under way when it comes.
_WARM = 3
_PAUSE = 0.1
_TELL_SECONDS = 5.0
_TRIES = 200


class _Telling:
    """Tells a Node one number after the other; who is not answered goes on with the next one."""

    def __init__(self, stage: Stage, node: NodeHandle) -> None:
        self._stage = stage
        self._path = f"/v1/nodes/{node.id}/state/metadata/{reading.STEP}"
        self.last = 1
        self.acknowledged = 0

    async def once(self) -> bool:
        """The next number; True if it was acknowledged."""
        self.last += 1
        exchange = await self._stage.request(
            f"{TOLD}{self.last}",
            "PUT",
            self._path,
            identity="operator",
            json={"value": str(self.last)},
            timeout=_TELL_SECONDS,
        )
        done = _acknowledged(exchange)
        self.acknowledged += done
        if not done:
            await trio.sleep(_PAUSE)
        return done

    async def run(self) -> None:
        """Number after number, until cancelled."""
        while True:
            await self.once()

    async def until_acknowledged(self) -> None:
        """Numbers until one is acknowledged."""
        for _ in range(_TRIES):
            if await self.once():
                return


async def act(stage: Stage) -> None:
    domain = await stage.fresh_domain(KEYLESS, signing_key="none")
    keyless = await acts.own_node(stage, KEYLESS, domain=KEYLESS)
    node = await acts.own_node(stage, NODE)
    telling = _Telling(stage, node)
    async with stage.stream(BEFORE, identity=NODE) as before:
        await before.head()
        await acts.say(stage, keyless, 1)
        await acts.say(stage, keyless, 2)
        await acts.say(stage, node, 1)
        cursor = await acts.heard(before, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(telling.run)
            await before.until(acts.tells(1 + _WARM))
            await stage.driver.restart(kill=True)
            over = await before.ended()
            honesty.effect(stage, "restart", seen=over, missing="a stream that was open went on")
            nursery.cancel_scope.cancel()
    await telling.until_acknowledged()
    async with returning.returned(stage, AFTER, identity=NODE, cursor=cursor) as after:
        if after is not None:
            await acts.heard(after, telling.last)
    async with returning.returned(stage, WAITING, identity=KEYLESS) as waiting:
        path = f"/v1/domains/{domain.id}/signing-keys"
        await stage.request(PROVISIONED, "POST", path, identity="operator", body=b"")
        await acts.say(stage, keyless, 3)
        if waiting is not None:
            await acts.heard(waiting, 3)


def _acknowledged(exchange: Exchange) -> bool:
    return reading.status_of(exchange) in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)


def _after(transcript: Transcript) -> tuple[Exchange, list[int]]:
    """The stream that was resumed behind step 1, and the numbers that were acknowledged; CannotJudge."""
    reading.twin_steps(transcript, BEFORE, range(1, 2 + _WARM))
    told = [int(each.label.removeprefix(TOLD)) for each in transcript.labelled(TOLD) if _acknowledged(each)]
    last_told = max((int(each.label.removeprefix(TOLD)) for each in transcript.labelled(TOLD)), default=0)
    if not told or max(told) != last_told:
        raise CannotJudge("nothing was acknowledged after the crash")
    return returning.last_try(transcript, AFTER), sorted(told)


def judge_crash(transcript: Transcript) -> Iterator[Finding]:
    exchange, told = _after(transcript)
    seen = reading.steps(exchange)
    lost = sorted(set(told) - set(seen))
    expected = f"all {len(told)} that were acknowledged, up to {told[-1]}"
    observed = f"lost {lost}" if lost else f"{len(seen)} steps, up to {max(seen, default=0)}"
    yield reading.finding("OUT-3", not lost, expected, observed, exchange)
    ids = Counter(reading.header(each, "id") for each in reading.events(exchange))
    told_twice = Counter(reading.payload_bytes(each) for each in reading.events(exchange))
    doubled = sum(count > 1 for count in (*ids.values(), *told_twice.values()))
    yield reading.same("OUT-3", 0, doubled, "events that came twice", exchange)
    # Whoever gave up without an answer may still be served, at any later time.
    in_order = [step for step in dict.fromkeys(seen) if step in told]
    yield reading.same("CUR-6", sorted(in_order), in_order, "order over the crash", exchange)


def judge_cursors(transcript: Transcript) -> Iterator[Finding]:
    exchange, _ = _after(transcript)
    yield reading.same("CUR-7", 200, reading.status_of(exchange), "a cursor from before the crash", exchange)
    before = {each.sequence: each.frame.raw for each in reading.events(reading.needed(transcript, BEFORE))}
    changed = [
        (each, "other bytes than before the crash")
        for each in reading.events(exchange)
        if before.get(each.sequence, each.frame.raw) != each.frame.raw
    ]
    yield from reading.weighed("CUR-7", "the same sequence, the same bytes", changed, "the same")


def judge_parked(transcript: Transcript) -> Iterator[Finding]:
    _after(transcript)
    reading.answered(transcript, PROVISIONED, HTTPStatus.CREATED)
    exchange = returning.last_try(transcript, WAITING)
    if reading.status_of(exchange) != HTTPStatus.OK:
        raise CannotJudge("the keyless Node's stream did not open after the crash")
    what = "what waited for a key over the crash, in order"
    yield reading.same("OUT-5", [1, 2, 3], reading.steps(exchange), what, exchange)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="crash",
        grade=Grade.G3,
        effect=Effect.DISRUPTIVE,
        budget_seconds=90,
        budget_reason="processes are killed and take seconds to start; twenty more for the stream to return",
        act=act,
        needs=frozenset({"restart by kill"}),
        requests=1000,
    ),
)

_ROWS = (
    ("OUT-003", "A crash loses nothing and doubles nothing", ("OUT-3", "CUR-6"), judge_crash),
    ("CUR-027", "A cursor means the same after a crash", ("CUR-7",), judge_cursors),
    ("OUT-015", "What waits for a key waits over a crash, too", ("OUT-5",), judge_parked),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=clauses, profile="durability", scenario="crash", judge=judge)
    for name, title, clauses, judge in _ROWS
)
