"""Requests that are wrong before any Node is asked for: paths, methods, bodies, and malformed HTTP."""

import json
from collections.abc import Iterator
from http import HTTPStatus

from conformance.check import acts, reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.stage import Stage
from conformance.probe.transcript import Ending, Exchange, Transcript

NOWHERE, WRONG_METHOD, HUGE = "unknown path", "known path, other method", "a body over every cap"
TWIN, TWIN_HEALTH, PULL_BEFORE, PULL_AFTER = "a good entry", "health", "pull before", "pull after"
NODE = "door_node"

# The largest cap of the surface is 256 KiB (OUT-6); this is over it and still quickly sent.
HUGE_BYTES = 1024 * 1024

ANSWER_SECONDS = 5.0

MALFORMED = {
    "malformed: no version": b"GET /v1/health\r\n\r\n",
    "malformed: bad header": b"GET /v1/health HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
    "malformed: two lengths": (
        b"POST /v1/register HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"
    ),
    "malformed: bad length": b"POST /v1/register HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
}

# What ENV-5 refuses at every door.
BAD_JSON = {
    "bad JSON: invalid UTF-8": b'{"value":"\xff"}',
    "bad JSON: lone surrogate": b'{"value":"\\ud800"}',
    "bad JSON: U+0000": b'{"value":"a\\u0000b"}',
    "bad JSON: repeated member": b'{"value":"one","value":"two"}',
    "bad JSON: NaN": b'{"value":NaN}',
    "bad JSON: two values": b'{"value":"a"}{}',
}


async def act(stage: Stage) -> None:
    node = await acts.own_node(stage, NODE)
    entry = f"/v1/nodes/{node.id}/state/metadata/door"
    state = f"/v1/nodes/{node.id}/state"
    await stage.request(TWIN_HEALTH, "GET", "/v1/health")
    await stage.request(TWIN, "PUT", entry, identity="operator", headers=JSON, body=b'{"value":"good"}')
    await stage.request(PULL_BEFORE, "GET", state, identity=NODE)
    for label, body in BAD_JSON.items():
        await stage.request(label, "PUT", entry, identity="operator", headers=JSON, body=body)
    await stage.request(PULL_AFTER, "GET", state, identity=NODE)
    await stage.request(NOWHERE, "GET", "/v1/no-such-path")
    await stage.request(WRONG_METHOD, "DELETE", "/v1/health")
    huge = json.dumps({"value": "x" * HUGE_BYTES}).encode()
    await stage.request(HUGE, "PUT", entry, identity="operator", headers=JSON, body=huge)
    for label, data in MALFORMED.items():
        await stage.raw(label, data, timeout=ANSWER_SECONDS)


JSON = (("Content-Type", "application/json"),)


def judge_paths(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, TWIN_HEALTH)
    nowhere = reading.needed(transcript, NOWHERE)
    yield _refused(nowhere, HTTPStatus.NOT_FOUND)
    method = reading.needed(transcript, WRONG_METHOD)
    yield _refused(method, HTTPStatus.METHOD_NOT_ALLOWED)
    allow = () if method.head is None else method.head.values("Allow")
    yield reading.finding("ERR-6", "GET" in ",".join(allow), "Allow with GET", ", ".join(allow), method)
    yield _refused(reading.needed(transcript, HUGE), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def judge_malformed(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, TWIN_HEALTH)
    for label in MALFORMED:
        exchange = reading.needed(transcript, label)
        status = reading.status_of(exchange)
        closed = exchange.ending in (Ending.COMPLETE, Ending.CLOSED)
        connection = () if exchange.head is None else exchange.head.values("Connection")
        said = "close" in ",".join(connection).lower() or exchange.ending is Ending.CLOSED
        holds = status == HTTPStatus.BAD_REQUEST and closed and said
        seen = (
            f"{status or 'no answer'}, {exchange.ending.value}, Connection {', '.join(connection) or 'unset'}"
        )
        yield reading.finding("ERR-6", holds, "400, and the connection closed", seen, exchange)


def judge_json(transcript: Transcript) -> Iterator[Finding]:
    twin = reading.needed(transcript, TWIN)
    if reading.status_of(twin) not in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT):
        raise CannotJudge("a good entry was refused")
    for label in BAD_JSON:
        exchange = reading.needed(transcript, label)
        yield reading.same("ENV-5", HTTPStatus.BAD_REQUEST, reading.status_of(exchange), label, exchange)
    before, after = reading.answered(transcript, PULL_BEFORE), reading.answered(transcript, PULL_AFTER)
    unchanged = "unchanged" if before.body == after.body else "changed"
    yield reading.finding("ENV-5", unchanged == "unchanged", "the state unchanged", unchanged, after)


def _refused(exchange: Exchange, status: int) -> Finding:
    kind = () if exchange.head is None else exchange.head.values("Content-Type")
    is_problem = ",".join(kind).partition(";")[0] == reading.PROBLEM_TYPE
    holds = reading.status_of(exchange) == status and is_problem
    seen = f"{reading.answer_text(exchange)}, {', '.join(kind)}"
    return reading.finding("ERR-6", holds, f"{exchange.label}: {status} as a problem", seen, exchange)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="doors",
        grade=Grade.G2,
        effect=Effect.WRITE_OWN,
        budget_seconds=24,
        budget_reason="sixteen answers at once; each of four malformed requests may take 5 s to be cut",
        act=act,
    ),
)

_ROWS = (
    ("ERR-006", "Unknown paths, methods and huge bodies are problems", "ERR-6", "stream", judge_paths),
    ("ERR-016", "Malformed HTTP is refused and the connection closed", "ERR-6", "stream", judge_malformed),
    ("ENV-015", "JSON that cannot be signed is refused at the door", "ENV-5", "stream", judge_json),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile=profile, scenario="doors", judge=judge)
    for name, title, clause, profile, judge in _ROWS
)
