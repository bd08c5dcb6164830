"""The signature chain over two rotations: live, replayed, and for an agent that missed them."""

from collections.abc import Iterator
from http import HTTPStatus

from conformance.agent import envelope, keys
from conformance.check import acts, reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript

NODE, LATE = "turning_node", "turning_late"
LIVE, RESUMED = "live", "resumed over the rotations"
ROTATED = "rotated "
CHAIN, LATE_CHAIN = "chain", "chain of the late Node"
LIST, AGAIN = "keys listed", "provisioned again"
TOO_SHORT, TOO_LONG, NO_TIME = (
    "rotated with 59 s",
    "rotated with a week and a second",
    "rotated without a time",
)

# KEY-5: 60 to 604800 seconds.
SECONDS = 3600
BAD_TIMES: tuple[tuple[str, dict[str, int]], ...] = (
    (TOO_SHORT, {"transition_seconds": 59}),
    (TOO_LONG, {"transition_seconds": 604801}),
    (NO_TIME, {}),
)
ROTATIONS = 2


async def act(stage: Stage) -> None:
    domain = await stage.fresh_domain("turning")
    path = f"/v1/domains/{domain.id}/signing-keys"
    node = await acts.own_node(stage, NODE, domain="turning")
    async with stage.stream(LIVE, identity=NODE) as live:
        await live.head()
        await acts.say(stage, node, 1)
        first = await acts.heard(live, 1) or ""
        for turn in range(1, ROTATIONS + 1):
            body = {"transition_seconds": SECONDS}
            await stage.request(f"{ROTATED}{turn}", "POST", f"{path}/rotate", identity="operator", json=body)
            await acts.say(stage, node, turn + 1)
            await acts.heard(live, turn + 1)
        async with stage.stream(RESUMED, identity=NODE, cursor=first) as resumed:
            await acts.heard(resumed, ROTATIONS + 1)
    await stage.request(CHAIN, "GET", f"/v1/nodes/{node.id}/signing-keys", identity=NODE)
    late = await acts.own_node(stage, LATE, domain="turning")
    await stage.request(LATE_CHAIN, "GET", f"/v1/nodes/{late.id}/signing-keys", identity=LATE)
    await stage.request(LIST, "GET", path, identity="operator")
    await stage.request(AGAIN, "POST", path, identity="operator", body=b"")
    for label, bad in BAD_TIMES:
        await stage.request(label, "POST", f"{path}/rotate", identity="operator", json=bad)


def rotated(transcript: Transcript) -> Exchange:
    """The live stream, over which both rotations were made and announced; raises CannotJudge."""
    for turn in range(1, ROTATIONS + 1):
        reading.answered(transcript, f"{ROTATED}{turn}")
    return reading.twin_steps(transcript, LIVE, range(1, ROTATIONS + 2))


def pinned(transcript: Transcript, node: str = NODE) -> keys.Chain:
    """The chain that begins with the key of the Node's registration; raises CannotJudge."""
    facts = reading.first_mark(transcript, f"node {node}").facts
    if not facts["key_id"]:
        raise CannotJudge("the registration named no signing key")
    return keys.pinned(str(facts["domain_id"]), str(facts["key_id"]), str(facts["public_key"]))


def judge_pinned(transcript: Transcript) -> Iterator[Finding]:
    chain = pinned(transcript)
    exchange = reading.twin_steps(transcript, LIVE, [1])
    first = next(each for each in reading.events(exchange) if reading.step(each) == 1)
    step = keys.follow(chain, first.frame.data)
    seen = ", ".join(f"{each.clause}: {each.seen}" for each in step.violations) or f"signed by {chain.active}"
    expected = "an envelope signed by the key that registration gave"
    yield reading.finding("KEY-1", not step.violations, expected, seen, each=first)


def judge_chain(transcript: Transcript) -> Iterator[Finding]:
    exchange = rotated(transcript)
    announced = [each for each in once(exchange) if each.frame.event == keys.ROTATION]
    yield reading.same("KEY-2", ROTATIONS, len(announced), "rotations announced", exchange)
    yield from followed(pinned(transcript), exchange, "KEY-2", ("KEY-2", "ENV-7", "ENV-8"))


def judge_order(transcript: Transcript) -> Iterator[Finding]:
    exchange = rotated(transcript)
    yield from followed(pinned(transcript), exchange, "KEY-3", ("KEY-3",))
    signers: list[str] = []
    for each in once(exchange):
        signer = reading.header(each, "key_id")
        if signer not in signers[-1:]:
            signers.append(signer)
    yield reading.same("KEY-3", ROTATIONS + 1, len(signers), "keys in turn, none coming back", exchange)


def judge_replayed(transcript: Transcript) -> Iterator[Finding]:
    original = {each.sequence: each.frame.raw for each in reading.events(rotated(transcript))}
    exchange = reading.twin_steps(transcript, RESUMED, [ROTATIONS + 1])
    changed = [
        (each, "another signature or key than when it was live")
        for each in reading.events(exchange)
        if original.get(each.sequence) != each.frame.raw
    ]
    yield from reading.weighed("KEY-3", "old signatures and key ids as they were", changed, "as they were")


def judge_catch_up(transcript: Transcript) -> Iterator[Finding]:
    live = rotated(transcript)
    exchange = reading.needed(transcript, CHAIN)
    if reading.status_of(exchange) != HTTPStatus.OK:
        yield reading.same("KEY-6", 200, reading.status_of(exchange), "the chain for a Node", exchange)
        return
    chain, broken = keys.catch_up(pinned(transcript), exchange.body)
    seen = ", ".join(f"{each.clause}: {each.seen}" for each in broken) or f"reaches {chain.active}"
    yield reading.finding(
        "KEY-6", not broken, "a chain from the pinned key to the active one", seen, exchange
    )
    last = next(each for each in reversed(reading.events(live)) if reading.step(each) == ROTATIONS + 1)
    yield reading.same("KEY-6", reading.header(last, "key_id"), chain.active, "the active key", exchange)
    sent = [each.frame.data for each in reading.events(live) if each.frame.event == keys.ROTATION]
    whole = all(data in exchange.body for data in sent)
    yield reading.finding("KEY-6", whole, "the rotations, bytes as sent", f"{whole}", exchange)


def judge_late(transcript: Transcript) -> Iterator[Finding]:
    rotated(transcript)
    exchange = reading.answered(transcript, LATE_CHAIN)
    members = reading.problem(exchange)
    facts = reading.first_mark(transcript, f"node {LATE}").facts
    yield reading.same(
        "KEY-6", facts["key_id"], members.get("pinned_key_id"), "the key at registration", exchange
    )
    yield reading.same("KEY-6", [], members.get("rotations"), "rotations since the registration", exchange)


def judge_door(transcript: Transcript) -> Iterator[Finding]:
    rotated(transcript)
    again = reading.needed(transcript, AGAIN)
    yield reading.same(
        "KEY-5", HTTPStatus.CONFLICT, reading.status_of(again), "provisioned a second time", again
    )
    for label, _ in BAD_TIMES:
        exchange = reading.needed(transcript, label)
        yield reading.same("KEY-5", HTTPStatus.BAD_REQUEST, reading.status_of(exchange), label, exchange)
    listed = reading.answered(transcript, LIST)
    private = [each for each in (b"private", b"seed", b"sealed", b"secret") if each in listed.body.lower()]
    yield reading.finding("KEY-5", not private, "public parts only", f"members like {private}", listed)


def once(exchange: Exchange) -> list[reading.Placed]:
    """The events in order, without those whose sequence came before: a repeat is SSE-3's and CUR-2's."""
    first: dict[object, reading.Placed] = {}
    for each in reading.events(exchange):
        first.setdefault(each.at if each.sequence is None else each.sequence, each)
    return list(first.values())


def followed(
    chain: keys.Chain, exchange: Exchange, clause: str, clauses: tuple[str, ...]
) -> Iterator[Finding]:
    """What follows a chain along a stream: findings of one clause, about violations of several."""
    broken = []
    for each in once(exchange):
        step = keys.follow(chain, each.frame.data)
        turn = f"{each.frame.event} while the key in turn is {chain.active!r}"
        chain = step.chain
        broken += [
            (each, f"{turn}: {wrong.clause}: {wrong.seen}")
            for wrong in step.violations
            if wrong.clause in clauses
        ]
        if step.standing is keys.Standing.REFUSED:
            chain = _forgiven(chain, each)
    expected = "each envelope signed by the key whose turn it is, introduced by the one before"
    yield from reading.weighed(clause, expected, broken, f"reaches {chain.active}")


def _forgiven(chain: keys.Chain, each: reading.Placed) -> keys.Chain:
    """After a violation go on as if nothing had been wrong: one defect is not reported for ever."""
    found = envelope.read(each.frame.data).envelope
    new = keys.introduction(found) if found is not None and found.type == keys.ROTATION else None
    if new is None:
        return chain
    return keys.trusting(chain, new)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="rotation",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=24,
        budget_reason="three commits, two rotations and a replay, each within a second",
        act=act,
    ),
)

_ROWS = (
    ("KEY-001", "The stream begins with the key of the registration", "KEY-1", judge_pinned),
    ("KEY-002", "Each new key is introduced by the outgoing one", "KEY-2", judge_chain),
    ("KEY-003", "A key signs nothing after its rotation", "KEY-3", judge_order),
    ("KEY-013", "A replay keeps old signatures", "KEY-3", judge_replayed),
    ("KEY-005", "The operator's door for keys refuses what it must", "KEY-5", judge_door),
    ("KEY-006", "An agent that missed rotations reaches the active key", "KEY-6", judge_catch_up),
    ("KEY-016", "A late Node pins the key of its own registration", "KEY-6", judge_late),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile="keys", scenario="rotation", judge=judge)
    for name, title, clause, judge in _ROWS
)
