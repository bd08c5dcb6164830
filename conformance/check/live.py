"""What GETs alone show at the doors of a deployment that somebody uses: refusals, the far cursor, a pull."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus

from conformance.check import gates, problems, pull, reading, window
from conformance.check.gates import OWN, PAIRS, ROWS, UNKNOWN, Row
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.obstacle import CannotAct
from conformance.probe.stage import Stage
from conformance.probe.transcript import Exchange, Transcript

NODE = "node_a"
PROFILE = "live"

# Whom we can be with one credential: nobody, somebody with a wrong one, and a Node that asks for another.
_IMPOSTORS = frozenset({"garbled", "unknown_nsk", "raw_nsk", "stranger"})
_STRANGER = "gate_peer"

# An answer that takes longer than this over any network is none.
ANSWER_SECONDS = 5.0
_NSK = "nsk_"


def node_of(stage: Stage) -> tuple[str, str]:
    """The Node that is looked at, and its credential. Raises CannotAct without one."""
    known = stage.identity(NODE) if stage.has(NODE) else None
    if known is None or known.node_id is None or known.credential is None:
        raise CannotAct(
            "no Node to look at: --header 'Authorization: Bearer nsk_…', or node_a of a target file"
        )
    return known.node_id, known.credential


async def act(stage: Stage) -> None:
    node_id, credential = node_of(stage)
    async with stage.stream(gates.TWIN_EVENTS, identity=NODE) as probe:
        await probe.head(ANSWER_SECONDS)
    if not is_pull(await get(stage, gates.TWIN_STATE, f"/v1/nodes/{node_id}/state")):
        return
    await window.try_cursor(stage, window.FAR_CURSOR, NODE, window.FAR)
    if credential.startswith(_NSK):
        gates.impostors(stage, credential)
    for row in rows(credential):
        await gates.ask(stage, row, gates.PATH_IDS.get(row.node, node_id))


async def get(stage: Stage, label: str, path: str) -> Exchange:
    """One GET as the Node."""
    return await stage.request(label, "GET", path, identity=NODE, timeout=ANSWER_SECONDS)


def is_pull(exchange: Exchange) -> bool:
    """True for what can be a pull: a target with anything else is no such bus, and is left alone."""
    try:
        return reading.status_of(exchange) == HTTPStatus.OK and "peers" in pull.snapshot(exchange)
    except CannotJudge:
        return False


def rows(credential: str) -> Iterator[Row]:
    """The rows of the ladder that one caller can ask for by GETs alone."""
    own = credential.startswith(_NSK)
    for row in (*ROWS, *PAIRS):
        if row.method != "GET" or row.node not in (OWN, UNKNOWN, *gates.PATH_IDS):
            continue
        if row.identity == "none" or (own and row.identity in _IMPOSTORS):
            yield row
        elif row.identity == "gate_own":
            yield replace(row, identity=NODE)
        elif own and row.identity == _STRANGER and (row.node == UNKNOWN or row.clause == "GATE-12"):
            yield replace(row, identity=NODE, node=UNKNOWN)


def judge_far(transcript: Transcript) -> Iterator[Finding]:
    pulled(transcript)
    exchange = reading.needed(transcript, window.FAR_CURSOR)
    holds = reading.status_of(exchange) == HTTPStatus.GONE and reading.code_of(exchange) == window.OUTSIDE
    yield reading.finding("GATE-10", holds, f"410 {window.OUTSIDE}", reading.answer_text(exchange), exchange)


def judge_problems(transcript: Transcript) -> Iterator[Finding]:
    pulled(transcript)
    for judge in (problems.judge_problem_shape, problems.judge_type, problems.judge_correlation):
        yield from judge(transcript)


def judge_members(transcript: Transcript) -> Iterator[Finding]:
    yield from pull.members_of(pulled(transcript))


def judge_peers(transcript: Transcript) -> Iterator[Finding]:
    exchange = pulled(transcript)
    own = exchange.target.split("/")[3]
    peers = pull.snapshot(exchange).get("peers")
    ids = (
        [str(each.get("node_id")) for each in peers if isinstance(each, dict)]
        if isinstance(peers, list)
        else []
    )
    yield reading.same("PULL-2", sorted(set(ids)), ids, "peers in order, each once", exchange)
    yield reading.finding(
        "PULL-2", own not in ids, "a list without the Node itself", f"{len(ids)} ids", exchange
    )


def pulled(transcript: Transcript) -> Exchange:
    """The pull that shows that the caller is let in; raises CannotJudge where nothing like one came."""
    reading.answered(transcript, gates.TWIN_EVENTS)
    exchange = reading.answered(transcript, gates.TWIN_STATE)
    pull.snapshot(exchange)
    return exchange


def _of(clause: str) -> Callable[[Transcript], Iterator[Finding]]:
    def judge(transcript: Transcript) -> Iterator[Finding]:
        pulled(transcript)
        yield from gates.of_clause(clause)(transcript)

    return judge


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="live_doors",
        grade=Grade.G0,
        effect=Effect.READ,
        budget_seconds=60,
        budget_reason="some forty refusals one after the other, over any network",
        act=act,
        requests=len(ROWS) + len(PAIRS) + 3,
    ),
)

_ROWS = (
    ("GATE-031", "Live: credentials that are none are refused", ("GATE-5",), _of("GATE-5")),
    ("GATE-032", "Live: another Node's id is refused whether it exists or not", ("GATE-7",), _of("GATE-7")),
    ("GATE-033", "Live: a malformed cursor opens no stream", ("GATE-9",), _of("GATE-9")),
    ("GATE-034", "Live: a cursor that no log has reached is gone", ("GATE-10",), judge_far),
    ("GATE-035", "Live: of two refusals the earlier gate's is given", ("GATE-12",), _of("GATE-12")),
    ("GATE-036", "Live: a path id that is no UUID is refused", ("GATE-13",), _of("GATE-13")),
    ("ERR-031", "Live: refusals are problems", ("ERR-1", "ERR-2", "ERR-3"), judge_problems),
    ("PULL-041", "Live: the snapshot has all its members", ("PULL-1a",), judge_members),
    ("PULL-042", "Live: peers are in order, without the Node itself", ("PULL-2",), judge_peers),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=clauses, profile=PROFILE, scenario="live_doors", judge=judge)
    for name, title, clauses, judge in _ROWS
)
