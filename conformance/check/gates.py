"""The ladder of section 3: each refusal on its own, and of two the earlier one."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

from conformance.check import acts, reading
from conformance.check.acts import EVENTS, STATE
from conformance.check.model import Check, Effect, Finding, Grade, Scenario
from conformance.probe.node import NodeHandle
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript

Judge = Callable[[Transcript], Iterator[Finding]]

JSON_ONLY = (("Accept", "application/json"),)
OWN, PEER, UNKNOWN, MALFORMED = "own", "peer", "unknown", "malformed"

# An id that no Node of this run can have: its time stamp is that of 1970.
UNKNOWN_ID = "00000000-0001-7000-8000-00000000dead"
PATH_IDS = MappingProxyType({UNKNOWN: UNKNOWN_ID, MALFORMED: "not-a-uuid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request and the gate that answers it. `after`: a row that must have been refused as it says."""

    label: str
    clause: str
    status: int
    code: str = ""
    surface: str = EVENTS
    identity: str = "gate_own"
    node: str = OWN
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    after: str = ""


def _cursor(value: str) -> tuple[tuple[str, str], ...]:
    return (("Last-Event-ID", value),)


def _both(
    label: str, clause: str, status: int, code: str, identity: str, *, node: str = OWN
) -> tuple[Row, ...]:
    """The same refusal on both surfaces."""
    return tuple(
        Row(
            label=f"{surface}: {label}",
            clause=clause,
            status=status,
            code=code,
            surface=surface,
            identity=identity,
            node=node,
        )
        for surface in (EVENTS, STATE)
    )


# What GATE-9 refuses: no decimal number of 0…2^64-1, or more than one value.
BEYOND = "18446744073709551616"
BAD_CURSORS = ("-1", "+1", "1.0", "1e3", "0x10", "1_0", "abc", "1 2", "1,2", '"1"', BEYOND, "9" * 40)

# The largest number that is a cursor: no log has come so far.
FAR = "18446744073709551615"

ROWS: tuple[Row, ...] = (
    *_both("no credential", "GATE-5", 401, "unauthenticated", "none"),
    *_both("garbled NSK", "GATE-5", 401, "nsk_invalid", "garbled"),
    *_both("unknown NSK", "GATE-5", 401, "nsk_invalid", "unknown_nsk"),
    *_both("raw NSK", "GATE-5", 401, "nsk_invalid", "raw_nsk"),
    *_both("revoked NSK", "GATE-5", 401, "nsk_revoked", "gate_gone", node="gone"),
    *_both("other bearer", "GATE-5", 401, "unauthenticated", "stranger"),
    *_both("NSK of another Node", "GATE-6", 403, "node_id_mismatch", "gate_peer"),
    *_both("NSK, unknown Node", "GATE-7", 403, "node_id_mismatch", "gate_peer", node=UNKNOWN),
    *_both("operator without node-agent", "GATE-6", 403, "insufficient_relation", "operator"),
    *_both("operator, unknown Node", "GATE-7", 403, "insufficient_relation", "operator", node=UNKNOWN),
    *_both("authorised, unknown Node", "GATE-8", 404, "node_not_found", "operator_agent", node=UNKNOWN),
    *_both("malformed id", "GATE-13", 400, "invalid_node_id", "gate_own", node=MALFORMED),
    *(
        Row(
            label=f"cursor {value!r}",
            clause="GATE-9",
            status=400,
            code="invalid_cursor",
            headers=_cursor(value),
        )
        for value in BAD_CURSORS
    ),
    Row(
        label="two cursors",
        clause="GATE-9",
        status=400,
        code="invalid_cursor",
        headers=_cursor("1") + _cursor("2"),
    ),
    Row(label="POST", clause="SSE-10a", status=405, method="POST"),
    Row(label="HEAD", clause="SSE-10a", status=405, method="HEAD"),
    *(
        Row(label=method, clause="SSE-10a", status=405, method=method)
        for method in ("DELETE", "PUT", "PATCH", "OPTIONS", "BREW")
    ),
    Row(
        label="cursor of no log",
        clause="GATE-10",
        status=410,
        code="last_event_id_outside_replay_window",
        headers=_cursor(FAR),
    ),
    Row(label="accepts JSON only", clause="SSE-10b", status=406, headers=JSON_ONLY),
)


def _later(label: str, status: int, code: str, identity: str, node: str, *headers: tuple[str, str]) -> Row:
    return Row(
        label=label,
        clause="GATE-12",
        status=status,
        code=code,
        identity=identity,
        node=node,
        headers=headers,
        after="accepts JSON only" if status == HTTPStatus.NOT_ACCEPTABLE else "",
    )


_NO_CURSOR, _JSON = ("Last-Event-ID", "x"), JSON_ONLY[0]

# Pairs of refusals that a caller with one credential can bring about; `ladder` asks for all that there are.
PAIRS: tuple[Row, ...] = (
    _later("401 before id", 401, "unauthenticated", "none", MALFORMED),
    _later("401 before cursor", 401, "unauthenticated", "none", OWN, _NO_CURSOR),
    _later("id before cursor", 400, "invalid_node_id", "gate_own", MALFORMED, _NO_CURSOR),
    _later("id before 406", 400, "invalid_node_id", "gate_own", MALFORMED, _JSON),
    _later("403 before cursor", 403, "node_id_mismatch", "gate_peer", OWN, _NO_CURSOR),
    _later("403 before 406", 403, "node_id_mismatch", "gate_peer", OWN, _JSON),
    _later("403 before 410", 403, "node_id_mismatch", "gate_peer", OWN, ("Last-Event-ID", FAR)),
    _later("406 before cursor", 406, "", "gate_own", OWN, _JSON, _NO_CURSOR),
)

TWIN_EVENTS, TWIN_STATE, TWIN_ENV = "twin: events", "twin: state", "twin: another environment word"
BASIC = "events: Basic"


async def act(stage: Stage) -> None:
    own = await acts.own_node(stage, "gate_own")
    peer = await acts.own_node(stage, "gate_peer")
    gone = await acts.own_node(stage, "gate_gone")
    await stage.request("deregistered", "DELETE", f"/v1/nodes/{gone.id}", identity="operator")
    impostors(stage, own.credential)
    ids = {**PATH_IDS, OWN: own.id, PEER: peer.id, "gone": gone.id}
    await _twins(stage, own)
    for row in ROWS:
        if row.identity == "none" or stage.has(row.identity):
            await ask(stage, row, ids[row.node])
    headers = (("Authorization", "Basic bm9ib2R5OnNlY3JldA=="),)
    await stage.request(
        BASIC, "GET", f"/v1/nodes/{own.id}/events", headers=headers, timeout=acts.REFUSED_SECONDS
    )


def impostors(stage: Stage, credential: str) -> None:
    """Credentials that must not pass, made of a Node's that does."""
    packed = credential.split("_", 2)[2]
    raw = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
    stranger = base64.urlsafe_b64encode(stage.rng.randbytes(24)).decode()
    stage.present("garbled", "nsk_test_" + "!" * 32)
    stage.present("unknown_nsk", stage.canary)
    stage.present("raw_nsk", base64.b64encode(raw[16:]).decode())
    stage.present("stranger", f"op_{stranger}")
    stage.present("other_env", f"nsk_elsewhere_{packed}")


async def _twins(stage: Stage, own: NodeHandle) -> None:
    """The legitimate step first: a server that refuses everything passes nothing."""
    async with stage.stream(TWIN_EVENTS, identity="gate_own") as probe:
        await probe.head()
    await stage.request(TWIN_STATE, "GET", f"/v1/nodes/{own.id}/state", identity="gate_own")
    path = f"/v1/nodes/{own.id}/state"
    await stage.request(TWIN_ENV, "GET", path, identity="other_env")


async def ask(stage: Stage, row: Row, node_id: str) -> None:
    """Sends one row's request; a stream that is opened is left at once."""
    await acts.knock(
        stage,
        row.label,
        node_id,
        surface=row.surface,
        identity=row.identity,
        headers=row.headers,
        method=row.method,
    )


def twins(transcript: Transcript) -> None:
    """Raises CannotJudge unless the legitimate caller was let in on both surfaces."""
    reading.answered(transcript, TWIN_EVENTS)
    reading.answered(transcript, TWIN_STATE)


def refusals(transcript: Transcript) -> list[tuple[Row, Exchange]]:
    """Every row that was asked, with its answer; raises CannotJudge."""
    twins(transcript)
    asked = [(row, transcript.exchange(row.label)) for row in (*ROWS, *PAIRS)]
    return [(row, exchange) for row, exchange in asked if exchange is not None]


def of_clause(clause: str) -> Judge:
    """A judgement of the rows of one clause."""

    def judge(transcript: Transcript) -> Iterator[Finding]:
        found = [pair for pair in refusals(transcript) if pair[0].clause == clause]
        for row, exchange in found:
            if row.after and not _as_said(transcript, row.after):
                continue
            expected = f"{row.status} {row.code}".strip()
            holds = _matches(row, exchange)
            what = f"{row.label}: {expected}"
            yield reading.finding(clause, holds, what, reading.answer_text(exchange), exchange)

    return judge


def _matches(row: Row, exchange: Exchange) -> bool:
    return reading.status_of(exchange) == row.status and (
        not row.code or reading.code_of(exchange) == row.code
    )


def _as_said(transcript: Transcript, label: str) -> bool:
    row = next(each for each in ROWS if each.label == label)
    exchange = transcript.exchange(label)
    return exchange is not None and _matches(row, exchange)


def judge_credentials(transcript: Transcript) -> Iterator[Finding]:
    yield from of_clause("GATE-5")(transcript)
    basic = reading.needed(transcript, BASIC)
    holds = reading.status_of(basic) == HTTPStatus.UNAUTHORIZED
    yield reading.finding("GATE-5", holds, "Basic: 401", reading.answer_text(basic), basic)


def judge_unrelated(transcript: Transcript) -> Iterator[Finding]:
    twins(transcript)
    pairs = [
        (f"{surface}: {known}", f"{surface}: {unknown}")
        for surface in (EVENTS, STATE)
        for known, unknown in (
            ("NSK of another Node", "NSK, unknown Node"),
            ("operator without node-agent", "operator, unknown Node"),
        )
    ]
    for known, unknown in pairs:
        first, second = transcript.exchange(known), transcript.exchange(unknown)
        if first is not None and second is not None:
            one, other = _without_chance(first), _without_chance(second)
            differing = [name for name in {**one, **other} if one.get(name) != other.get(name)]
            expected = ", ".join(f"{name} {one.get(name)}" for name in differing) or "one answer"
            observed = ", ".join(f"{name} {other.get(name)}" for name in differing) or "one answer"
            what = f"{unknown}, answered as a known Node"
            yield reading.finding("GATE-7", not differing, f"{what}: {expected}", observed, second)


def judge_methods(transcript: Transcript) -> Iterator[Finding]:
    yield from of_clause("SSE-10a")(transcript)
    for row, exchange in refusals(transcript):
        if row.status == HTTPStatus.METHOD_NOT_ALLOWED and reading.status_of(exchange) == row.status:
            head = exchange.head
            allow = () if head is None else head.values("Allow")
            holds = "GET" in {each.strip() for each in ",".join(allow).split(",")}
            yield reading.finding(
                "SSE-10a", holds, "Allow with GET", ", ".join(allow) or "no Allow", exchange
            )


def judge_raw_nsk(transcript: Transcript) -> Iterator[Finding]:
    twins(transcript)
    for surface in (EVENTS, STATE):
        exchange = reading.needed(transcript, f"{surface}: raw NSK")
        holds = (
            reading.status_of(exchange) == HTTPStatus.UNAUTHORIZED
            and reading.code_of(exchange) == "nsk_invalid"
        )
        yield reading.finding("CRED-1", holds, "401 nsk_invalid", reading.answer_text(exchange), exchange)
    other = reading.needed(transcript, TWIN_ENV)
    yield reading.same("CRED-1", 200, reading.status_of(other), "the environment word is not compared", other)


def judge_echo(transcript: Transcript) -> Iterator[Finding]:
    asked = refusals(transcript)
    echoes = [
        f"{mark.facts['secrets']} in the answer of {mark.facts['exchange']}"
        for mark in transcript.marked("credential_echoed")
    ]
    leaked = [(None, each) for each in echoes if "grounds:" not in each]
    yield from reading.weighed(
        "CRED-4", "no credential in an answer", leaked, f"{len(asked)} refusals without one"
    )


def _without_chance(exchange: Exchange) -> dict[str, object]:
    """What an answer says beside what differs by nature: the path, the correlation id, the time."""
    chance = {"instance", "correlation_id"}
    members = {name: each for name, each in reading.problem(exchange).items() if name not in chance}
    head = exchange.head
    names = () if head is None else tuple(sorted(name.lower() for name, _ in head.headers))
    return {"status": reading.status_of(exchange), "headers": names, **members}


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="gates",
        grade=Grade.G1,
        effect=Effect.WRITE_OWN,
        budget_seconds=24,
        budget_reason="some sixty refusals, each at once; a stream opened by mistake is left after 3 s",
        act=act,
    ),
)

_ROWS = (
    ("GATE-005", "Credentials that are none are refused as what they are", "GATE-5", judge_credentials),
    ("GATE-006", "A caller who is not related is refused by name", "GATE-6", of_clause("GATE-6")),
    ("GATE-007", "The unrelated learn nothing about which Nodes exist", "GATE-7", judge_unrelated),
    ("GATE-008", "An authorised caller is told that a Node is unknown", "GATE-8", of_clause("GATE-8")),
    ("GATE-009", "A malformed cursor opens no stream", "GATE-9", of_clause("GATE-9")),
    ("GATE-013", "A path id that is no UUID is refused", "GATE-13", of_clause("GATE-13")),
    ("SSE-010", "Only GET is allowed on the events path", "SSE-10a", judge_methods),
    ("SSE-020", "A caller who does not accept streams is told so", "SSE-10b", of_clause("SSE-10b")),
    ("CRED-001", "The bearer is the composed credential, never the raw NSK", "CRED-1", judge_raw_nsk),
    ("CRED-004", "No answer repeats a credential", "CRED-4", judge_echo),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile="stream", scenario="gates", judge=judge)
    for name, title, clause, judge in _ROWS
)
