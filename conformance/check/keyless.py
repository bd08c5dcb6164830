"""A Domain without a signing key: its events wait, nobody else's do, and they leave in order."""

from collections.abc import Iterator
from http import HTTPStatus

from conformance.check import acts, reading
from conformance.check.model import Check, Effect, Finding, Grade, Scenario
from conformance.probe.stage import Stage
from conformance.probe.transcript import Transcript

WAITING, OTHER = "waiting", "other Domain"
PROVISIONED, ROTATED = "provisioned", "rotated without a key"
KEYLESS_NODE, KEYED_NODE = "keyless_node", "keyed_node"


async def act(stage: Stage) -> None:
    domain = await stage.fresh_domain("keyless", signing_key="none")
    path = f"/v1/domains/{domain.id}/signing-keys"
    keyless = await acts.own_node(stage, KEYLESS_NODE, domain="keyless")
    keyed = await acts.own_node(stage, KEYED_NODE)
    async with (
        stage.stream(WAITING, identity=KEYLESS_NODE) as waiting,
        stage.stream(OTHER, identity=KEYED_NODE) as other,
    ):
        await waiting.head()
        await other.head()
        await acts.say(stage, keyless, 1)
        await acts.say(stage, keyless, 2)
        await acts.say(stage, keyed, 1)
        await acts.heard(other, 1)
        stage.mark("marker")
        body = {"transition_seconds": 3600}
        await stage.request(ROTATED, "POST", f"{path}/rotate", identity="operator", json=body)
        await stage.request(PROVISIONED, "POST", path, identity="operator", body=b"")
        await acts.say(stage, keyless, 3)
        await acts.heard(waiting, 3)


def judge_parked(transcript: Transcript) -> Iterator[Finding]:
    other = reading.needed(transcript, OTHER)
    waiting = reading.answered(transcript, WAITING)
    reading.answered(transcript, PROVISIONED, HTTPStatus.CREATED)
    yield reading.same("OUT-5", [1], reading.steps(other), "the other Domain meanwhile", other)
    marker = reading.first_mark(transcript, "marker")
    early = [each for each in reading.events(waiting) if each.at < marker.at]
    yield reading.same("OUT-5", 0, len(early), "frames without a key", waiting)
    yield reading.same("OUT-5", [1, 2, 3], reading.steps(waiting), "once a key is there, in order", waiting)


def judge_first_key(transcript: Transcript) -> Iterator[Finding]:
    refused = reading.needed(transcript, ROTATED)
    yield reading.same(
        "KEY-5", HTTPStatus.CONFLICT, reading.status_of(refused), "rotating without a key", refused
    )
    made = reading.needed(transcript, PROVISIONED)
    yield reading.same("KEY-5", HTTPStatus.CREATED, reading.status_of(made), "the first key", made)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="keyless",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=20,
        budget_reason="four commits; parked rows leave within a tick of 1 s",
        act=act,
    ),
)

CHECKS: tuple[Check, ...] = (
    Check(
        id="OUT-005",
        title="A Domain without a key waits alone and loses nothing",
        clauses=("OUT-5",),
        profile="keys",
        scenario="keyless",
        judge=judge_parked,
    ),
    Check(
        id="KEY-015",
        title="A first key is provisioned, none is rotated",
        clauses=("KEY-5",),
        profile="keys",
        scenario="keyless",
        judge=judge_first_key,
    ),
)
