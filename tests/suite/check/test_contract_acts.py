"""Generating against a tiny server: everything is recorded, nothing leaves that may not, the bound holds."""

import json
import random
from dataclasses import replace

import pytest
import trio

from conformance.check import contract_acts, contract_rules
from conformance.check.contract_acts import Callers, Job
from conformance.check.contract_rules import Wrong
from conformance.probe.binding import Own
from conformance.probe.generator import Amounts
from conformance.probe.grounds import Grounds
from conformance.probe.ledger import FileLedger
from conformance.probe.stage import Stage
from conformance.probe.transcript import Transcript
from conformance.target.grade import Effect, Grade
from conformance.target.model import Claims
from tests.suite.check.documents import RAW, SMALL, THING
from tests.suite.tiny import Answer, Asked, Tiny, ok, serving, staged

WRITES = Job(reading=False, amounts=Amounts(coverage=12, valid=3, invalid=3), requests=400)
READS = Job(reading=True, amounts=Amounts(coverage=4, valid=1, invalid=1), requests=400)
FOREIGN = "0198c0de-0000-7000-8000-0000000000ff"
PROBLEM = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n"
    b'Content-Length: 14\r\n\r\n{"status":400}'
)


async def careful(asked: Asked, stream: trio.SocketStream) -> None:
    """Keeps the document: it refuses what has no name, and lists somebody else's thing."""
    kind = "Content-Type: application/json"
    if asked.target == "/v1/openapi.json":
        await stream.send_all(ok(json.dumps(RAW).encode(), kind))
    else:
        await stream.send_all(PROBLEM if _wrong(asked) else ok(b'{"id":"%b"}' % FOREIGN.encode(), kind))


def _wrong(asked: Asked) -> bool:
    unnamed = asked.method in ("PUT", "POST") and not _named(asked.body)
    return unnamed or "limit=" in asked.target or ("/v1/nodes/" in asked.target and THING not in asked.target)


async def careless(asked: Asked, stream: trio.SocketStream) -> None:
    """Falls over an object without a name that is a text."""
    if asked.method == "PUT" and not isinstance(_name(asked.body), str):
        await stream.send_all(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
    else:
        await careful(asked, stream)


def _name(body: bytes) -> object:
    try:
        members = json.loads(body)
    except ValueError:
        return None
    return members.get("name") if isinstance(members, dict) else None


def _named(body: bytes) -> bool:
    name = _name(body)
    return isinstance(name, str) and 1 <= len(name) <= 20


async def generated(answer: Answer, job: Job, *, effects: frozenset[Effect]) -> tuple[Tiny, Transcript]:
    async with serving(answer) as tiny, staged(tiny.url) as stage:
        stage.claims = Claims(profiles=("contract",), grade=Grade.G1, effects=effects)
        await contract_acts.generate(stage, job, own(stage), Callers(node="node_a", operator="operator"))
        return tiny, stage.transcript()


def own(stage: Stage) -> Own:
    things = {"nodes": THING, "domains": THING}
    return Own(things=things, spares={"nodes": THING}, words={}, rng=random.Random(1))


ALL = frozenset(Effect)


async def test_reads_are_gets_and_nothing_else() -> None:
    tiny, transcript = await generated(careful, READS, effects=ALL)
    assert {each.method for each in tiny.asked} == {"GET"}
    assert len(transcript.exchanges) == len(tiny.asked) > 5
    assert not any("/events" in each.target for each in tiny.asked)


async def test_without_the_permission_to_write_no_write_leaves() -> None:
    tiny, transcript = await generated(careful, WRITES, effects=frozenset({Effect.READ}))
    assert {each.method for each in tiny.asked} <= {"GET", "HEAD", "OPTIONS"}
    assert transcript.marked("kept back")


async def test_a_domain_whose_creation_was_never_sent_is_not_left_over() -> None:
    slug = {"type": "object", "required": ["slug"], "properties": {"slug": {"type": "string"}}}
    body = {"required": True, "content": {"application/json": {"schema": slug}}}
    making = RAW["paths"]["/v1/things"]["post"] | {"operationId": "MakeDomain", "requestBody": body}
    document = json.dumps(RAW | {"paths": {"/v1/domains": {"post": making}}}).encode()

    async def answer(asked: Asked, stream: trio.SocketStream) -> None:
        assert asked.target == "/v1/openapi.json"
        await stream.send_all(ok(document, "Content-Type: application/json"))

    async with serving(answer) as tiny, staged(tiny.url) as stage:
        stage.claims = Claims(profiles=("contract",), grade=Grade.G1, effects=frozenset({Effect.READ}))
        ledger = FileLedger(None, base_url=tiny.url)
        stage._grounds = Grounds(prefix="tiny", rng=random.Random(3), ledger=ledger)
        await contract_acts.generate(stage, WRITES, own(stage), Callers(node="node_a", operator="operator"))
        assert stage.transcript().marked("kept back")
    assert any(each["step"] == "intend" for each in ledger._entries) and ledger.domains == ()


async def test_writes_name_what_is_ours() -> None:
    tiny, transcript = await generated(careful, WRITES, effects=ALL)
    writes = [each for each in tiny.asked if each.method not in ("GET", "HEAD", "OPTIONS")]
    assert writes and not any(FOREIGN in each.target or FOREIGN.encode() in each.body for each in writes)
    assert any(THING in each.target for each in writes)
    phases = {each.label.partition(" ")[0] for each in transcript.exchanges[1:]}
    assert {"examples", "coverage", "fuzzing", "stateful"} <= phases


async def test_what_is_not_served_is_asked_once() -> None:
    async def unbuilt(asked: Asked, stream: trio.SocketStream) -> None:
        if asked.method == "PUT":
            await stream.send_all(b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n")
        else:
            await careful(asked, stream)

    tiny, transcript = await generated(unbuilt, WRITES, effects=ALL)
    assert [each.method for each in tiny.asked].count("PUT") == 1
    assert sum("PutThing" in each.label for each in transcript.exchanges) == 1


async def test_the_bound_holds() -> None:
    job = replace(WRITES, requests=17)
    tiny, transcript = await generated(careful, job, effects=ALL)
    assert len(tiny.asked) == len(transcript.exchanges) == 1 + job.requests


async def test_the_same_seed_sends_the_same() -> None:
    first, _ = await generated(careful, READS, effects=ALL)
    second, _ = await generated(careful, READS, effects=ALL)
    assert sorted((each.method, each.target, each.body) for each in first.asked) == sorted(
        (each.method, each.target, each.body) for each in second.asked
    )


async def test_what_fails_is_made_small() -> None:
    _, transcript = await generated(
        careless, replace(WRITES, amounts=Amounts(coverage=0, valid=2, invalid=25)), effects=ALL
    )
    found = contract_rules.smallest(contract_rules.breaches(SMALL, tuple(transcript.exchanges[1:])))
    breach, _ = found[("PutThing", Wrong.FAILED)]
    assert len(breach.exchange.request_body) <= len(b'{"name":0}')
    assert any(each.label.startswith("shrinking") for each in transcript.exchanges)


async def test_a_server_that_keeps_nothing_is_not_asked_for_long() -> None:
    async def nothing(asked: Asked, stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    _, transcript = await generated(nothing, READS, effects=ALL)
    assert not any(each.label.startswith(("shrinking", "stateful")) for each in transcript.exchanges)


async def test_the_time_that_is_left_bounds_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_acts, "ENOUGH_SECONDS", -1.0)
    tiny, transcript = await generated(careful, READS, effects=ALL)
    assert [each.target for each in tiny.asked] == ["/v1/openapi.json"]
    assert transcript.marked("left out")
