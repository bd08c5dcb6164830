"""Requests that no generator finds: caps, repetition, tokens, and state that is too much."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from conformance.check import acts, contract_document, contract_rules, reading
from conformance.check.contract_document import DOCUMENT, Document
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.obstacle import CannotAct
from conformance.probe.stage import Stage, fresh_public_key
from conformance.probe.transcript import Exchange, Transcript
from conformance.target import reach

NODE, WATCHER = "contract_door_node", "contract_watcher"

# Where the document names no cap: over the largest that any published operation has (1 MiB).
_LARGEST = 1024 * 1024
_CAP = "x-busproof-body-limit"

# Operations with larger caps are left out, so that all of it stays a few megabytes.
_CAP_TRIED = 64 * 1024

OVER, AT = "over the cap: ", "at the cap: "
JSON = (("Content-Type", "application/json"),)

# OUT-6: all entries of a Node stay below 256 KiB; two of these are more.
LARGE = 150 * 1024
FIRST_LARGE, SECOND_LARGE = "a large entry", "an entry too much"
BEFORE, AFTER, STREAM = "pull before", "pull after", "stream"

TOKEN, SPOILED, REGISTERED, AGAIN = "a token", "a spoiled registration", "a registration", "the token again"
PEERS, NEWCOMER, WATCHED = "the peers afterwards", "the newcomer's pull", "watching"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """Something that is made, read and deleted by paths; a PUT stands for making where it repeats."""

    name: str
    path: str
    make: tuple[str, str, object]
    reads: bool


async def act_caps(stage: Stage) -> None:
    node = await acts.own_node(stage, NODE)
    fetched = await stage.request(DOCUMENT, "GET", "/v1/openapi.json")
    document = contract_document.read(reading.status_of(fetched), fetched.body)
    for name, method, template, cap in caps(document):
        path = _filled(template, node.id, node.domain_id)
        identity = NODE if _by_node(document, template, method) else "operator"
        for label, size in ((AT, cap), (OVER, cap + 1)):
            body = b"{" + b" " * (size - 2) + b"}"
            await stage.request(
                label + name, method.upper(), path, identity=identity, headers=JSON, body=body
            )


async def act_repeats(stage: Stage) -> None:
    node = await acts.own_node(stage, NODE)
    state = f"/v1/nodes/{node.id}/state"
    for bucket, identity in (("metadata", "operator"), ("reports", NODE)):
        path = f"{state}/{bucket}/repeated"
        for step in ("first PUT", "second PUT"):
            label = f"{bucket}: {step}"
            await stage.request(label, "PUT", path, identity=identity, headers=JSON, body=b'{"value":"once"}')
            await stage.request(f"{label}, pulled", "GET", state, identity=NODE)
        for step in ("first DELETE", "second DELETE"):
            await stage.request(f"{bucket}: {step}", "DELETE", path, identity=identity)
    spare = await stage.fresh_domain("repeated")
    path = f"/v1/domains/{spare.id}"
    await stage.request("domain: read", "GET", path, identity="operator")
    for step in ("first DELETE", "second DELETE"):
        await stage.request(f"domain: {step}", "DELETE", path, identity="operator")
    await stage.request("domain: read again", "GET", path, identity="operator")


async def act_tokens(stage: Stage) -> None:
    if not reach.loopback(stage.target):
        raise CannotAct("a Project could not be removed again")
    watcher = await acts.own_node(stage, WATCHER)
    project = await _made(stage, "a project", "/v1/projects", _project(watcher.domain_id))
    room = f"/v1/projects/{project['id']}"
    resource = {"origin": "adopted", "kind": "vm", "external_ref": "contract-edge"}
    await _made(stage, "a resource", f"{room}/resources", resource)
    wish = {"kind": "node", "env_prefix": "test", "ttl_seconds": 3600}
    token = (await _made(stage, TOKEN, f"{room}/bootstrap-tokens", wish))["token"]
    wanted = {
        "project_id": project["id"],
        "resource_handle": "contract-edge",
        "bootstrap_token": token,
        "nonce": "contract-first",
        "public_key": fresh_public_key(stage.rng),
    }
    async with stage.stream(WATCHED, identity=WATCHER) as probe:
        await probe.head()
        await stage.request(SPOILED, "POST", "/v1/register", json={**wanted, "public_key": "A" * 43 + "="})
        entered = await stage.request(REGISTERED, "POST", "/v1/register", json=wanted)
        later = {**wanted, "nonce": "contract-second", "public_key": fresh_public_key(stage.rng)}
        await stage.request(AGAIN, "POST", "/v1/register", json=later)
        await acts.say(stage, watcher, 1)
        await acts.heard(probe, 1)
    await stage.request(PEERS, "GET", f"/v1/nodes/{watcher.id}/state", identity=WATCHER)
    told = contract_rules.named(entered.body)
    if "credential" in told and "node_id" in told:
        stage.took_node(watcher.domain_id, told["node_id"])
        stage.mark("newcomer", node_id=told["node_id"])
        newcomer = stage.present("contract_newcomer", told["credential"])
        await stage.request(NEWCOMER, "GET", f"/v1/nodes/{told['node_id']}/state", identity=newcomer)


async def act_quota(stage: Stage) -> None:
    node = await acts.own_node(stage, NODE)
    state = f"/v1/nodes/{node.id}/state"
    body = json.dumps({"value": "x" * LARGE}).encode()
    async with stage.stream(STREAM, identity=NODE) as probe:
        await probe.head()
        path = f"{state}/data/first"
        await stage.request(FIRST_LARGE, "PUT", path, identity="operator", headers=JSON, body=body)
        await stage.request(BEFORE, "GET", state, identity=NODE)
        path = f"{state}/data/second"
        await stage.request(SECOND_LARGE, "PUT", path, identity="operator", headers=JSON, body=body)
        await stage.request(AFTER, "GET", state, identity=NODE)
        await acts.say(stage, node, 1)
        await acts.heard(probe, 1)


def caps(document: Document) -> Iterator[tuple[str, str, str, int]]:
    """Id, method, template and cap of the operations that take a JSON body."""
    for template, item in document.raw["paths"].items():
        for method in ("post", "put", "patch"):
            operation = item.get(method, {})
            body = operation.get("requestBody", {})
            cap = int(body.get(_CAP, _LARGEST))
            if "application/json" in body.get("content", {}) and cap <= _CAP_TRIED:
                yield str(operation.get("operationId", f"{method} {template}")), method, template, cap


def judge_caps(transcript: Transcript) -> Iterator[Finding]:
    twins = {each.label.removeprefix(AT): each for each in transcript.labelled(AT)}
    for over in transcript.labelled(OVER):
        name = over.label.removeprefix(OVER)
        twin = reading.status_of(twins[name]) if name in twins else 0
        if twin in (0, HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.NOT_FOUND):
            continue
        kind = () if over.head is None else over.head.values("Content-Type")
        refused = reading.status_of(over) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        problem = ",".join(kind).startswith(reading.PROBLEM_TYPE)
        seen = f"{name}: {reading.answer_text(over)} {', '.join(kind)}; at the cap {twin}"
        holds = refused and problem and twin != HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        yield reading.finding("ERR-6", holds, "413 as a problem over the cap, not at it", seen, over)


def judge_repeats(transcript: Transcript) -> Iterator[Finding]:
    for bucket in ("metadata", "reports"):
        first, second = (reading.needed(transcript, f"{bucket}: {each} PUT") for each in ("first", "second"))
        _accepted(first)
        yield reading.same(
            "HTTP-5", reading.status_of(first), reading.status_of(second), second.label, second
        )
        once, twice = (
            _value(reading.answered(transcript, f"{bucket}: {each} PUT, pulled"), bucket)
            for each in ("first", "second")
        )
        yield reading.same("HTTP-5", ["once"], once, f"{bucket} after one PUT")
        yield reading.same("HTTP-5", ["once"], twice, f"{bucket} after two")
    reading.answered(transcript, "domain: read")
    for thing in ("metadata", "reports", "domain"):
        gone = reading.needed(transcript, f"{thing}: first DELETE")
        _accepted(gone)
        again = reading.needed(transcript, f"{thing}: second DELETE")
        yield reading.same("HTTP-5", HTTPStatus.NOT_FOUND, reading.status_of(again), again.label, again)
    again = reading.needed(transcript, "domain: read again")
    yield reading.same("HTTP-5", HTTPStatus.NOT_FOUND, reading.status_of(again), again.label, again)


def judge_tokens(transcript: Transcript) -> Iterator[Finding]:
    reading.answered(transcript, TOKEN, HTTPStatus.CREATED)
    spoiled = reading.needed(transcript, SPOILED)
    refused = reading.status_of(spoiled) in contract_rules.CLIENT_ERRORS
    answer = reading.answer_text(spoiled)
    yield reading.finding("PROD-1", refused, "a spoiled registration is refused", answer, spoiled)
    entered = reading.needed(transcript, REGISTERED)
    yield reading.same("PROD-1", HTTPStatus.CREATED, reading.status_of(entered), "the unused token", entered)
    if reading.status_of(entered) != HTTPStatus.CREATED:
        return
    again = reading.needed(transcript, AGAIN)
    yield reading.same("PROD-1", HTTPStatus.FORBIDDEN, reading.status_of(again), "the used token", again)
    node = reading.fact(transcript, "newcomer", "node_id")
    pulled = reading.answered(transcript, PEERS)
    peers = [
        each.get("node_id") for each in reading.problem(pulled).get("peers", []) if isinstance(each, dict)
    ]
    yield reading.same("PROD-1", [node], peers, "the only Node that was made", pulled)
    watched = reading.twin_steps(transcript, WATCHED, [1])
    told = [
        reading.payload(each).get("node_id")
        for each in reading.events(watched)
        if each.frame.event == "peer_registered"
    ]
    yield reading.same("PROD-1", [node], told, "the only Node that was told of", watched)
    pull = reading.needed(transcript, NEWCOMER)
    yield reading.same("PROD-1", HTTPStatus.OK, reading.status_of(pull), "the newcomer's credential", pull)


def judge_quota(transcript: Transcript) -> Iterator[Finding]:
    _accepted(reading.needed(transcript, FIRST_LARGE))
    much = reading.needed(transcript, SECOND_LARGE)
    allowed = (HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    refused = reading.status_of(much) in allowed
    yield reading.finding("OUT-6", refused, "409 or 413", reading.answer_text(much), much)
    before, after = (reading.answered(transcript, label) for label in (BEFORE, AFTER))
    unchanged = "unchanged" if before.body == after.body else "changed"
    yield reading.finding("OUT-6", unchanged == "unchanged", "the state unchanged", unchanged, after)
    stream = reading.answered(transcript, STREAM)
    came = 1 in reading.steps(stream)
    seen = "it came" if came else "it never came"
    yield reading.finding("OUT-6", came, "what is said afterwards comes: nothing is held up", seen, stream)


def _accepted(exchange: Exchange) -> None:
    if reading.status_of(exchange) not in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT):
        raise CannotJudge(f"{exchange.label!r} was answered {reading.answer_text(exchange)}")


def _value(exchange: Exchange, bucket: str) -> list[object]:
    members = reading.problem(exchange)
    blocks = (members.get("state"), members.get("reports"))
    lists = [block.get(bucket, []) for block in blocks if isinstance(block, dict)]
    entries = [each for found in lists if isinstance(found, list) for each in found]
    values = [
        each.get("value") for each in entries if isinstance(each, dict) and each.get("key") == "repeated"
    ]
    return values[:1]


async def _made(stage: Stage, label: str, path: str, members: object) -> dict[str, str]:
    exchange = await stage.request(label, "POST", path, identity="operator", json=members)
    if reading.status_of(exchange) != HTTPStatus.CREATED:
        raise CannotAct(f"making {label} was answered {reading.answer_text(exchange)}")
    return contract_rules.named(exchange.body)


def _project(domain_id: str) -> dict[str, str]:
    return {"domain_id": domain_id, "name": "Contract", "slug": "contract"}


def _filled(template: str, node: str, domain: str) -> str:
    parts = template.split("/")
    for place, part in enumerate(parts):
        if part.startswith("{"):
            known = {"nodes": node, "domains": domain, "{kind}": node}
            parts[place] = known.get(
                parts[place - 1], {"{bucket}": "data", "{kind}": "node"}.get(part, "some")
            )
            if parts[place] == "some" and part.endswith("id}"):
                parts[place] = node
    return "/".join(parts)


def _by_node(document: Document, template: str, method: str) -> bool:
    listed = document.raw["paths"][template][method].get("security", ())
    return any("nskBearer" in each for each in listed)


def _scenario(name: str, act: object, budget: float, reason: str) -> Scenario:
    return Scenario(
        name=name,
        grade=Grade.G2,
        effect=Effect.WRITE_OWN,
        budget_seconds=budget,
        budget_reason=reason,
        act=act,  # type: ignore[arg-type]  # one of the functions above
    )


SCENARIOS: tuple[Scenario, ...] = (
    _scenario("caps", act_caps, 24, "two bodies for each operation that takes one, refused at once"),
    _scenario("repeats", act_repeats, 15, "a dozen answers at once"),
    _scenario("tokens", act_tokens, 15, "a dozen answers at once, and one event"),
    _scenario("quota", act_quota, 15, "a few answers at once, and one event"),
)

_ROWS = (
    ("HTTP-021", "A body over its cap is 413", "ERR-6", "caps", judge_caps),
    ("HTTP-022", "PUT and DELETE can be repeated", "HTTP-5", "repeats", judge_repeats),
    ("PROD-001", "A token lets one Node in, a failed registration none", "PROD-1", "tokens", judge_tokens),
    ("OUT-006", "What could never leave is refused at the door", "OUT-6", "quota", judge_quota),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile="contract", scenario=scenario, judge=judge)
    for name, title, clause, scenario, judge in _ROWS
)
