"""Requests generated out of the target's own document; the answers held against it (suite.md, Profiles)."""

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus

from conformance.check import contract_acts, contract_document, problems, reading
from conformance.check import contract_rules as rules
from conformance.check.contract_acts import Callers, Job
from conformance.check.contract_rules import Wrong
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.binding import Own
from conformance.probe.draft import Phase
from conformance.probe.generator import Amounts
from conformance.probe.node import NodeHandle
from conformance.probe.obstacle import CannotAct
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript
from conformance.target import reach

# suite.md, "Safe on a live deployment": a deployment in use takes 2,000 requests of a whole run.
READS = Job(reading=True, amounts=Amounts(coverage=6, valid=1, invalid=2), requests=300)
WRITES = Job(reading=False, amounts=Amounts(coverage=16, valid=3, invalid=5), requests=900)

NODE, PEER, SPARE = "contract_node", "contract_peer", "contract_spare"
# What the examples call the Resource of a registration, and the one that may be deleted.
HANDLE, SPARE_HANDLE = "edge-7", "edge-8"
_LIFETIMES = {HANDLE: 3600, SPARE_HANDLE: 7200}

# As the document's example, but for our Domain alone.
_LABEL = {
    "scope": "domain",
    "local_key": "contract",
    "value_schema": {"kind": "enum", "values": ["test", "live"]},
    "applicable_kinds": ["node", "resource"],
}

_SHOWN = 300


async def act_reads(stage: Stage) -> None:
    """As whoever the target knows: nothing is made for it, nothing is changed."""
    node = next((label for label in ("node_a", "node_b") if stage.has(label)), None)
    operator = next((label for label in ("operator", "operator_agent") if stage.has(label)), None)
    if node is None and operator is None:
        raise CannotAct("the target file has no identity to read with")
    things = {}
    if node is not None:
        known = stage.identity(node)
        named = {"nodes": known.node_id, "domains": known.domain_id}
        things = {name: value for name, value in named.items() if value is not None}
    own = Own(things=things, spares={}, words={}, rng=contract_acts.own_rng(stage))
    await contract_acts.generate(stage, READS, own, Callers(node=node, operator=operator))


async def act_writes(stage: Stage) -> None:
    """Within a Domain, a Project and Nodes of its own."""
    node = await stage.fresh_node(NODE)
    await stage.fresh_node(PEER)
    own = await _grounds(stage, node)
    await contract_acts.generate(stage, WRITES, own, Callers(node=NODE, operator="operator"))


async def _grounds(stage: Stage, node: NodeHandle) -> Own:
    """What the examples speak of, as far as the target offers it."""
    spare = await stage.fresh_node(SPARE)
    spare_domain = await stage.fresh_domain("spare")
    things = {"domains": node.domain_id, "nodes": node.id}
    spares = {"domains": spare_domain.id, "nodes": spare.id}
    words: dict[str, str] = {}
    if not reach.loopback(stage.target):
        return Own(things=things, spares=spares, words=words, rng=contract_acts.own_rng(stage))
    definition = await _made(stage, "/v1/label-definitions", **_LABEL, scope_id=node.domain_id)
    things["label-definitions"] = definition.get("id", "")
    project = await _made(stage, "/v1/projects", domain_id=node.domain_id, name="Contract", slug="contract")
    if project:
        things["projects"] = project["id"]
        resources, tokens = (
            f"/v1/projects/{project['id']}/{each}" for each in ("resources", "bootstrap-tokens")
        )
        for place, handle in ((things, HANDLE), (spares, SPARE_HANDLE)):
            resource = await _made(stage, resources, origin="adopted", kind="vm", external_ref=handle)
            token = await _made(stage, tokens, kind="node", env_prefix="test", ttl_seconds=_LIFETIMES[handle])
            place |= {"resources": resource.get("id", ""), "bootstrap-tokens": token.get("token_id", "")}
            if place is things and "token" in token:
                words["bootstrap_token"] = token["token"]
    await stage.request("grounds: rotation", "POST", f"/v1/nodes/{node.id}/keys/rotate", identity="operator")
    return Own(
        things={name: value for name, value in things.items() if value},
        spares={name: value for name, value in spares.items() if value},
        words=words,
        rng=contract_acts.own_rng(stage),
    )


async def _made(stage: Stage, path: str, **members: object) -> dict[str, str]:
    label = f"grounds: {path.rpartition('/')[2]} {sorted(members.items())}"
    exchange = await stage.request(label, "POST", path, identity="operator", json=members)
    return rules.named(exchange.body) if reading.status_of(exchange) == HTTPStatus.CREATED else {}


def generated(transcript: Transcript) -> tuple[Exchange, ...]:
    """The exchanges of generated requests. Raises CannotJudge if none shows the contract being kept."""
    phases = tuple(f"{phase} " for phase in Phase)
    found = tuple(each for each in transcript.exchanges if each.label.startswith(phases))
    if not found:
        raise CannotJudge("no request was generated")
    if rules.conforming(contract_document.of(transcript), found) is None:
        raise CannotJudge("no generated request was accepted with an answer of the document")
    return found


def judge_served(transcript: Transcript) -> Iterator[Finding]:
    exchange = reading.needed(transcript, contract_document.DOCUMENT)
    if rules.conforming(contract_document.of(transcript), transcript.exchanges) is None:
        raise CannotJudge("nothing here answers as the contract says")
    served = contract_document.of(transcript).served
    seen = "one" if served else f"{reading.answer_text(exchange)}, no OpenAPI 3 document; ours was used"
    yield reading.finding("HTTP-4", served, "an OpenAPI document", seen, exchange)


def of(wrong: Wrong, clause: str) -> Callable[[Transcript], Iterator[Finding]]:
    """A judgement of one way to break the contract: for each operation the smallest request that does."""

    def judge(transcript: Transcript) -> Iterator[Finding]:
        exchanges = generated(transcript)
        document = contract_document.of(transcript)
        found = rules.smallest(rules.breaches(document, exchanges))
        broken = [(breach, count) for (_, way), (breach, count) in found.items() if way is wrong]
        expected = f"never: {wrong.value}"
        for breach, count in broken:
            yield reading.finding(clause, False, expected, _said(transcript, breach, count), breach.exchange)
        if not broken and _tried(wrong, exchanges):
            yield reading.finding(clause, True, expected, f"{len(exchanges)} requests, none such")

    return judge


def _tried(wrong: Wrong, exchanges: tuple[Exchange, ...]) -> bool:
    """True if the requests could have shown it: nothing is concluded from what was never sent."""
    if wrong is Wrong.ACCEPTED:
        return any(reading.status_of(each) in rules.CLIENT_ERRORS for each in exchanges)
    return wrong is not Wrong.REFUSED or any(each.label.startswith(Phase.EXAMPLES) for each in exchanges)


def _said(transcript: Transcript, breach: rules.Breach, count: int) -> str:
    exchange = breach.exchange
    body = exchange.request_body.decode("utf-8", "replace")
    request = f"{exchange.method} {exchange.target}" + (f" {body}" if body else "")
    shown = request if len(request) <= _SHOWN else request[:_SHOWN] + "…"
    seed = reading.fact(transcript, contract_acts.SEEDED, "seed")
    return f"{breach.operation}: {breach.what}; smallest of {count}: {shown}; generator seed {seed}"


def refusals(transcript: Transcript) -> list[Exchange]:
    """The refusals of generated requests. Raises CannotJudge without any."""
    found = [each for each in generated(transcript) if reading.status_of(each) >= HTTPStatus.BAD_REQUEST]
    if not found:
        raise CannotJudge("nothing was refused")
    return found


def judge_problems(transcript: Transcript) -> Iterator[Finding]:
    found = refusals(transcript)
    for findings in (problems.shapes(found), problems.types(found), problems.correlations(found)):
        yield from _condensed(list(findings))


def _condensed(findings: list[Finding]) -> Iterator[Finding]:
    """The violations, one of each kind of sight; or that all hold."""
    broken = {json.dumps((each.clause, each.observed)): each for each in findings if not each.holds}
    yield from broken.values() if broken else findings[:1]


def judge_methods(transcript: Transcript) -> Iterator[Finding]:
    document = contract_document.of(transcript)
    for exchange in generated(transcript):
        asked = document.asked(exchange)
        if asked is None or asked.id:
            continue
        allow = () if exchange.head is None else exchange.head.values("Allow")
        listed = {each.strip() for each in ",".join(allow).split(",")}
        has = {name.upper() for name in document.raw["paths"][asked.template]} & {
            "GET",
            "PUT",
            "POST",
            "DELETE",
        }
        right = reading.status_of(exchange) == HTTPStatus.METHOD_NOT_ALLOWED and has <= listed
        seen = f"{exchange.method}: {reading.answer_text(exchange)}, Allow {', '.join(allow) or 'unset'}"
        expected = f"405 with Allow {', '.join(sorted(has))}"
        yield reading.finding("ERR-6", right, expected, seen, exchange)


_REASON = (
    "generating takes seconds, sending ends by itself after 14; the rest is room for a machine under load"
)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="contract_reads",
        grade=Grade.G0,
        effect=Effect.READ,
        budget_seconds=75,
        budget_reason=_REASON,
        act=act_reads,
        requests=READS.requests,
    ),
    Scenario(
        name="contract_writes",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=90,
        budget_reason=_REASON,
        act=act_writes,
        requests=WRITES.requests,
    ),
)

_READS, _WRITES = "contract_reads", "contract_writes"

_ROWS = (
    ("HTTP-001", "No generated read makes the server fail", ("HTTP-3",), _READS, of(Wrong.FAILED, "HTTP-3")),
    (
        "HTTP-002",
        "Generated reads get answers of the document",
        ("HTTP-1",),
        _READS,
        of(Wrong.UNDOCUMENTED, "HTTP-1"),
    ),
    (
        "HTTP-003",
        "Reads that the document does not allow are refused",
        ("HTTP-2",),
        _READS,
        of(Wrong.ACCEPTED, "HTTP-2"),
    ),
    ("HTTP-004", "The document is served", ("HTTP-4",), _READS, judge_served),
    (
        "HTTP-005",
        "Refusals of generated reads are problems",
        ("ERR-1", "ERR-2", "ERR-3"),
        _READS,
        judge_problems,
    ),
    (
        "HTTP-011",
        "No generated write makes the server fail",
        ("HTTP-3",),
        _WRITES,
        of(Wrong.FAILED, "HTTP-3"),
    ),
    (
        "HTTP-012",
        "Generated writes get answers of the document",
        ("HTTP-1",),
        _WRITES,
        of(Wrong.UNDOCUMENTED, "HTTP-1"),
    ),
    (
        "HTTP-013",
        "Writes that the document does not allow are refused",
        ("HTTP-2",),
        _WRITES,
        of(Wrong.ACCEPTED, "HTTP-2"),
    ),
    (
        "HTTP-014",
        "The document's own examples are well-formed",
        ("HTTP-2",),
        _WRITES,
        of(Wrong.REFUSED, "HTTP-2"),
    ),
    (
        "HTTP-015",
        "Refusals of generated writes are problems",
        ("ERR-1", "ERR-2", "ERR-3"),
        _WRITES,
        judge_problems,
    ),
    ("HTTP-016", "Methods that a path has not are 405 with Allow", ("ERR-6",), _WRITES, judge_methods),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=clauses, profile="contract", scenario=scenario, judge=judge)
    for name, title, clauses, scenario, judge in _ROWS
)
