"""Many rotations on one stream: resumed at each of its ids, and missed, caught up and followed again."""

from collections.abc import Iterator
from http import HTTPStatus

from conformance.agent import keys
from conformance.check import acts, reading, rotation
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.frames import Frame
from conformance.probe.node import NodeHandle
from conformance.probe.stage import Stage
from conformance.probe.stream import StreamProbe
from conformance.probe.transcript import Exchange, Transcript

NODE, AWAY = "rotations_node", "rotations_away"
LIVE, KEPT = "live over all rotations", "resumed before the first rotation and kept"
PLACED = "resumed at place "
LEFT, RETURNED = "left after the first rotation", "returned without a cursor"
FETCHED, AGAIN = "chain on the return", "chain at the end"
ROTATED = "rotation "

# Steps are told before the first rotation and behind the first, third and fourth: the second and the third
# follow each other with nothing in between.
ROTATIONS = 4
LAST = 4
_SECONDS = 3600

# A frame follows its commit within a second (SSE-7); what has not come after three does not come.
_COMES_SECONDS = 3.0


async def act(stage: Stage) -> None:
    domain = await stage.fresh_domain("rotations")
    node = await acts.own_node(stage, NODE, domain="rotations")
    away = await acts.own_node(stage, AWAY, domain="rotations")
    async with stage.stream(LIVE, identity=NODE) as live:
        await live.head()
        async with stage.stream(LEFT, identity=AWAY) as left:
            await left.head()
            await _tell(stage, (node, away), 1)
            first = await acts.heard(live, 1)
            await _turn(stage, domain.id, live, 1)
            await _tell(stage, (node, away), 2)
            await acts.heard(left, 2)
        await _turn(stage, domain.id, live, 2)
        await _turn(stage, domain.id, live, 3)
        async with (
            stage.stream(RETURNED, identity=AWAY) as returned,
            stage.stream(KEPT, identity=NODE, cursor=first) as kept,
        ):
            await returned.head()
            await stage.request(FETCHED, "GET", f"/v1/nodes/{away.id}/signing-keys", identity=AWAY)
            await _tell(stage, (node, away), 3)
            await _turn(stage, domain.id, live, 4)
            await _tell(stage, (node, away), LAST)
            for probe in (live, returned, kept):
                await acts.heard(probe, LAST, _COMES_SECONDS)
        await stage.request(AGAIN, "GET", f"/v1/nodes/{away.id}/signing-keys", identity=AWAY)
        await _resume(stage, _own_ids(live, node.id))


async def _tell(stage: Stage, nodes: tuple[NodeHandle, ...], number: int) -> None:
    for node in nodes:
        await acts.say(stage, node, number)


async def _turn(stage: Stage, domain_id: str, live: StreamProbe, turn: int) -> None:
    path = f"/v1/domains/{domain_id}/signing-keys/rotate"
    body = {"transition_seconds": _SECONDS}
    await stage.request(f"{ROTATED}{turn}", "POST", path, identity="operator", json=body)

    def announced(frame: Frame) -> bool:
        del frame
        return sum(each.event == keys.ROTATION for each in live.events) >= turn

    await live.until(announced)


def _own_ids(live: StreamProbe, node_id: str) -> list[str]:
    """The ids of the rotations and of the Node's own states, as the judgement counts them."""
    own = (each for each in live.events if each.event == keys.ROTATION or node_id in each.data)
    return [each.id for each in own if each.id]


async def _resume(stage: Stage, ids: list[str]) -> None:
    for place, cursor in enumerate(ids[:-1], 1):  # behind the last one nothing is waited for
        async with stage.stream(f"{PLACED}{place}", identity=NODE, cursor=cursor) as probe:
            if await acts.heard(probe, LAST, _COMES_SECONDS) is None:
                return  # one gap is enough to judge; each further one would be waited for


def whole(transcript: Transcript) -> Exchange:
    """The stream on which every rotation and every step arrived; raises CannotJudge."""
    for turn in range(1, ROTATIONS + 1):
        reading.answered(transcript, f"{ROTATED}{turn}")
    return reading.twin_steps(transcript, LIVE, range(1, LAST + 1))


def judge_places(transcript: Transcript) -> Iterator[Finding]:
    whole(transcript)
    live = _own(transcript, LIVE)
    announced = sum(each.frame.event == keys.ROTATION for each in live)
    if announced < ROTATIONS:
        raise CannotJudge(f"{announced} of {ROTATIONS} rotations came on the live stream")
    begin = next(number for number, each in enumerate(live) if reading.step(each) == 1)
    found = [_from_there(transcript, KEPT, live[begin + 1 :], KEPT)]
    for place in range(1, len(live)):
        label = f"{PLACED}{place}"
        if transcript.exchange(label) is not None:
            what = f"behind {live[place - 1].frame.event} at place {place}"
            found.append(_from_there(transcript, label, live[place:], what))
    if len(found) < len(live) and all(each.holds for each in found):
        raise CannotJudge("the scenario never came to the end of the stream's places")
    yield from found


def _own(transcript: Transcript, label: str) -> list[reading.Placed]:
    """The rotations and the Node's own states on a stream, once each in their order."""
    node_id = reading.fact(transcript, f"node {NODE}", "node_id")
    found = {
        each.sequence: each
        for each in rotation.once(reading.needed(transcript, label))
        if each.sequence is not None
        and (each.frame.event == keys.ROTATION or reading.payload(each).get("node_id") == node_id)
    }
    return [found[sequence] for sequence in sorted(found)]


def _from_there(transcript: Transcript, label: str, expected: list[reading.Placed], what: str) -> Finding:
    """What is missing or changed; repeats, strangers and what is too early are other checks'."""
    exchange = reading.needed(transcript, label)
    if reading.status_of(exchange) != HTTPStatus.OK:
        return reading.same("KEY-3", 200, reading.status_of(exchange), what, exchange)
    wanted = {each.sequence for each in expected}
    seen = [each for each in _own(transcript, label) if each.sequence in wanted]
    same = [each.frame.raw for each in seen] == [each.frame.raw for each in expected]
    return reading.finding(
        "KEY-3", same, f"{what}: {_named(expected)}, as they were live", f"{what}: {_named(seen)}", exchange
    )


def _named(events: list[reading.Placed]) -> str:
    """Places and signers of a few frames."""
    return ", ".join(
        f"{each.sequence} {each.frame.event} by …{reading.header(each, 'key_id')[-4:]}" for each in events
    )


def judge_links(transcript: Transcript) -> Iterator[Finding]:
    exchange = whole(transcript)
    chain = _trusted(transcript, NODE, exchange)
    yield from rotation.followed(chain, exchange, "KEY-2", ("KEY-2", "ENV-7", "ENV-8"))
    told = [each for each in rotation.once(exchange) if each.frame.event == keys.ROTATION]
    ids = [str(reading.payload(each).get("key_id", "")) for each in told]
    yield reading.same("KEY-2", ROTATIONS, len(told), "rotations announced", exchange)
    used = [*chain.keys, *ids]
    yield reading.same("KEY-2", len(used), len(set(used)), "key ids, none of them twice", exchange)


def judge_missed(transcript: Transcript) -> Iterator[Finding]:
    live = whole(transcript)
    reading.twin_steps(transcript, LEFT, [1, 2])
    back = reading.twin_steps(transcript, RETURNED, [3, LAST])
    if reading.steps(back)[:1] != [3]:
        raise CannotJudge("a stream without a cursor began with what is older than it")
    left = reading.needed(transcript, LEFT)
    chain = _followed(_trusted(transcript, AWAY, left), left)
    fetched = reading.needed(transcript, FETCHED)
    if reading.status_of(fetched) != HTTPStatus.OK:
        yield reading.same("KEY-6", 200, reading.status_of(fetched), FETCHED, fetched)
        return
    chain, broken = keys.catch_up(chain, fetched.body)
    seen = ", ".join(each.seen for each in broken) or "reached"
    yield reading.finding("KEY-6", not broken, "the active key, from the place of the parting", seen, fetched)
    yield from rotation.followed(chain, back, "KEY-6", ("KEY-2", "KEY-3", "ENV-7", "ENV-8"))
    again = reading.answered(transcript, AGAIN)
    last = next(each for each in reversed(reading.events(live)) if reading.step(each) == LAST)
    pin = rotation.pinned(transcript, AWAY)
    for what, start in (("the chain of the stream", _followed(chain, back)), ("the pin", pin)):
        found, wrong = keys.catch_up(start, again.body)
        told = ", ".join(each.seen for each in wrong) or found.active
        holds = not wrong and found.active == reading.header(last, "key_id")
        yield reading.finding("KEY-6", holds, f"from {what} to the key that signs now", told, again)


def _trusted(transcript: Transcript, node: str, exchange: Exchange) -> keys.Chain:
    """The Node's pinned chain; raises CannotJudge unless the first envelope is right by it."""
    chain = rotation.pinned(transcript, node)
    first = next(each for each in reading.events(exchange) if reading.step(each) == 1)
    step = keys.follow(chain, first.frame.data)
    if step.violations:
        raise CannotJudge(f"not even the first envelope can be trusted: {step.violations[0].seen}")
    return chain


def _followed(chain: keys.Chain, exchange: Exchange) -> keys.Chain:
    for each in rotation.once(exchange):
        chain = keys.follow(chain, each.frame.data).chain
    return chain


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="rotations",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=24,
        budget_reason="eight commits, four rotations and some eight replays, each within a second",
        act=act,
    ),
)

_ROWS = (
    ("KEY-012", "Rotation after rotation is signed by the key it retires", "KEY-2", judge_links),
    ("KEY-023", "A stream resumed among rotations goes on as it was live", "KEY-3", judge_places),
    ("KEY-026", "An agent back from missed rotations follows the stream again", "KEY-6", judge_missed),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile="keys", scenario="rotations", judge=judge)
    for name, title, clause, judge in _ROWS
)
