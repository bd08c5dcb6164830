"""Problems: the refusals of the scenario `gates`, judged by section 4."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from urllib.parse import unquote

from conformance.check import reading
from conformance.check.gates import refusals
from conformance.check.model import CannotJudge, Check, Finding, Scenario
from conformance.probe.transcript import Exchange, Transcript

MEMBERS = ("type", "title", "status", "detail", "instance", "correlation_id")
INTERNALS = (
    "Traceback",
    "Exception",
    "Error:",
    "sqlite",
    "SELECT ",
    "/home/",
    "/usr/",
    ".py",
    "127.0.0.1",
    "nsk_",
)


def problems(transcript: Transcript) -> list[Exchange]:
    """The refusals that carry a body; raises CannotJudge without any."""
    found = [each for _, each in refusals(transcript) if reading.status_of(each) >= HTTPStatus.BAD_REQUEST]
    found = [each for each in found if each.method != "HEAD"]
    if not found:
        raise CannotJudge("nothing was refused")
    return found


def judge_problem_shape(transcript: Transcript) -> Iterator[Finding]:
    yield from shapes(problems(transcript))


def shapes(refused: Iterable[Exchange]) -> Iterator[Finding]:
    """ERR-1 of each refusal."""
    for exchange in refused:
        members = reading.problem(exchange)
        missing = [name for name in MEMBERS if name not in members]
        kind = _content_type(exchange)
        right = (
            kind == reading.PROBLEM_TYPE
            and not missing
            and members["status"] == reading.status_of(exchange)
            and members["instance"] in _spellings(exchange)
        )
        expected = (
            f"{reading.PROBLEM_TYPE} with {', '.join(MEMBERS)}; status and instance those of the request"
        )
        said = f"status {members.get('status')}, instance {members.get('instance')}"
        seen = f"{kind or 'no type'}; missing: {missing}; {said}"
        yield reading.finding("ERR-1", right, expected, seen, exchange)


def judge_type(transcript: Transcript) -> Iterator[Finding]:
    yield from types(problems(transcript))


def types(refused: Iterable[Exchange]) -> Iterator[Finding]:
    """ERR-2 of each refusal."""
    for exchange in refused:
        spelled = str(reading.problem(exchange).get("type", ""))
        code = spelled.removeprefix(reading.CODE_PREFIX)
        holds = spelled == "about:blank" or (
            spelled != code and bool(code) and "_" not in code and "/" not in code
        )
        yield reading.finding(
            "ERR-2", holds, "about:blank or the prefix and a dashed code", spelled, exchange
        )


def judge_correlation(transcript: Transcript) -> Iterator[Finding]:
    yield from correlations(problems(transcript))


def correlations(refused: Iterable[Exchange]) -> Iterator[Finding]:
    """ERR-3 of all refusals together."""
    seen: dict[str, str] = {}
    for exchange in refused:
        told = str(reading.problem(exchange).get("correlation_id", ""))
        head = exchange.head
        values = () if head is None else head.values("X-Correlation-Id")
        before = seen.setdefault(told, exchange.label)
        holds = bool(told) and values == (told,) and before == exchange.label
        observed = f"body {told!r}, header {values}, first used by {before!r}"
        yield reading.finding(
            "ERR-3", holds, "one fresh id, in the header and in the body", observed, exchange
        )


def judge_denials(transcript: Transcript) -> Iterator[Finding]:
    for exchange in problems(transcript):
        if reading.status_of(exchange) == HTTPStatus.FORBIDDEN:
            members = reading.problem(exchange)
            holds = bool(members.get("reason")) and members.get("relation_path") == []
            seen = f"reason {members.get('reason')!r}, relation_path {members.get('relation_path')!r}"
            yield reading.finding("ERR-4", holds, "a reason and the relation_path []", seen, exchange)


def judge_details(transcript: Transcript) -> Iterator[Finding]:
    sentences: dict[str, str] = {}
    for exchange in problems(transcript):
        detail, code = str(reading.problem(exchange).get("detail", "")), reading.code_of(exchange)
        leaks = [each for each in INTERNALS if each in detail]
        fixed = sentences.setdefault(code or str(reading.status_of(exchange)), detail)
        holds = not leaks and bool(detail) and detail == fixed
        expected = f"a sentence without internals, the same for every {code or reading.status_of(exchange)}"
        yield reading.finding("ERR-5", holds, expected, detail or "no detail", exchange)


def _spellings(exchange: Exchange) -> tuple[str, str]:
    """The path as it was sent and as it is read: ERR-1 says which path, not how it is escaped."""
    path = exchange.target.partition("?")[0]
    return path, unquote(path, errors="replace")


def _content_type(exchange: Exchange) -> str:
    values = () if exchange.head is None else exchange.head.values("Content-Type")
    return ",".join(values).partition(";")[0].strip().lower()


SCENARIOS: tuple[Scenario, ...] = ()

_ROWS = (
    ("ERR-001", "Every refusal is a problem with its members", "ERR-1", judge_problem_shape),
    ("ERR-002", "A problem's type spells its code", "ERR-2", judge_type),
    ("ERR-003", "Correlation ids are fresh and agree", "ERR-3", judge_correlation),
    ("ERR-004", "A denial says its reason and path", "ERR-4", judge_denials),
    ("ERR-005", "Details are fixed sentences without internals", "ERR-5", judge_details),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile="stream", scenario="gates", judge=judge)
    for name, title, clause, judge in _ROWS
)
