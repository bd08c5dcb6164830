"""A server whose ports are unwired: both surfaces say so, to everybody alike, and nothing leaks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

from conformance.check import reading
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript

Judge = Callable[[Transcript], Iterator[Finding]]

CODE = "signed_event_bus_not_provisioned"
SOME_ID = "00000000-0001-7000-8000-00000000dead"
HEAD_SECONDS = 3.0

# Words of the inside that no answer may use.
PORTS = ("EventStream", "NonceStore", "SignatureVerifier", "RelationChecker", "SnapshotProvider", "NodeRepo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One way to ask: everybody must get the same answer."""

    name: str
    node: str = SOME_ID
    identity: str = "none"
    headers: tuple[tuple[str, str], ...] = ()


CALLERS = (
    Caller(name="nobody"),
    Caller(name="unknown credential", identity="unknown"),
    Caller(name="garbled credential", headers=(("Authorization", "Bearer nsk_x_!!!"),)),
    Caller(name="malformed id", node="not-a-uuid"),
    Caller(name="cursor", headers=(("Last-Event-ID", "1"),)),
    Caller(name="malformed cursor", headers=(("Last-Event-ID", "x"),)),
    Caller(name="far cursor", headers=(("Last-Event-ID", "18446744073709551615"),)),
    Caller(name="JSON only", headers=(("Accept", "application/json"),)),
    Caller(name="node_a", identity="node_a"),
    Caller(name="operator_agent", identity="operator_agent"),
)
SURFACES = ("events", "state")


async def act(stage: Stage) -> None:
    stage.present("unknown", stage.canary)
    for caller in CALLERS:
        if caller.identity != "none" and not stage.has(caller.identity):
            continue
        for surface in SURFACES:
            await _ask(stage, surface, caller)
    await stage.request("health", "GET", "/v1/health", timeout=HEAD_SECONDS)


async def _ask(stage: Stage, surface: str, caller: Caller) -> None:
    label = f"{surface}: {caller.name}"
    if surface == "state":
        path = f"/v1/nodes/{caller.node}/state"
        identity, headers = caller.identity, caller.headers
        await stage.request(label, "GET", path, identity=identity, headers=headers, timeout=HEAD_SECONDS)
        return
    async with stage.stream(
        label, identity=caller.identity, node=caller.node, headers=caller.headers
    ) as probe:
        await probe.head(HEAD_SECONDS)


def asked(transcript: Transcript, surface: str) -> list[Exchange]:
    """The answers of one surface; raises CannotJudge if nobody asked."""
    found = list(transcript.labelled(f"{surface}: "))
    if not found:
        raise CannotJudge(f"{surface} was never asked")
    return found


def of_surface(surface: str, clause: str) -> Judge:
    """A judgement of the 501 of one surface."""

    def judge(transcript: Transcript) -> Iterator[Finding]:
        for exchange in asked(transcript, surface):
            holds = (
                reading.status_of(exchange) == HTTPStatus.NOT_IMPLEMENTED
                and reading.code_of(exchange) == CODE
            )
            yield reading.finding(clause, holds, f"501 {CODE}", reading.answer_text(exchange), exchange)

    return judge


def judge_alike(transcript: Transcript) -> Iterator[Finding]:
    for surface in SURFACES:
        answers = asked(transcript, surface)
        twin = next((each for each in answers if reading.status_of(each) == HTTPStatus.NOT_IMPLEMENTED), None)
        if twin is None:
            raise CannotJudge(f"{surface} does not answer 501 at all")
        for exchange in answers:
            what = f"{exchange.label}, as {twin.label}"
            yield reading.same("GATE-3", _told(twin), _told(exchange), what, exchange)
            kind = () if exchange.head is None else exchange.head.values("Content-Type")
            closed = "text/event-stream" not in ",".join(kind)
            yield reading.finding("GATE-3", closed, "no stream", ", ".join(kind), exchange)


def judge_leaks(transcript: Transcript) -> Iterator[Finding]:
    everybody = [each for surface in SURFACES for each in asked(transcript, surface)]
    answers = [each for each in everybody if reading.status_of(each) == HTTPStatus.NOT_IMPLEMENTED]
    if not answers:
        raise CannotJudge("nothing answers 501 at all")
    for exchange in answers:
        members = reading.problem(exchange)
        kind = () if exchange.head is None else exchange.head.values("Content-Type")
        right = (
            ",".join(kind).partition(";")[0] == reading.PROBLEM_TYPE
            and members.get("status") == reading.status_of(exchange)
            and members.get("instance") == exchange.target
            and all(name in members for name in ("type", "title", "detail", "correlation_id"))
        )
        yield reading.finding("ERR-1", right, "a problem", f"{', '.join(kind)} {sorted(members)}", exchange)
    details = {str(reading.problem(each).get("detail")) for each in answers}
    yield reading.same("ERR-5", 1, len(details), "different sentences for one code")
    ports = [name for name in PORTS if any(name in each for each in details)]
    yield reading.same("ERR-5", [], ports, "names of internal parts in the sentence")


def _told(exchange: Exchange) -> tuple[object, ...]:
    members = reading.problem(exchange)
    return reading.status_of(exchange), members.get("type"), members.get("title"), members.get("detail")


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="descoped",
        grade=Grade.G0,
        effect=Effect.READ,
        budget_seconds=15,
        budget_reason="twenty refusals, each at once; a stream opened by mistake is left after 3 s",
        act=act,
    ),
)

_ROWS = (
    ("GATE-001", "Events answer 501 while a port is unwired", ("GATE-1",), of_surface("events", "GATE-1")),
    ("GATE-002", "State answers 501 while a port is unwired", ("GATE-2",), of_surface("state", "GATE-2")),
    ("GATE-003", "The 501 is the same to everybody and opens no stream", ("GATE-3",), judge_alike),
    ("ERR-011", "The 501 is a problem that leaks nothing", ("ERR-1", "ERR-5"), judge_leaks),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=clauses, profile="descoped", scenario="descoped", judge=judge)
    for name, title, clauses, judge in _ROWS
)
