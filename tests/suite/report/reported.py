"""A finished run made by hand, with every verdict that a report has to show."""

from dataclasses import replace

from conformance.check.model import Check, Finding, Grade
from conformance.probe.transcript import Ending, Exchange, Head, Mark, Received, Transcript
from conformance.report import record
from conformance.target.model import Claims, Target
from conformance.verdict.judge import judge, without_judgement
from conformance.verdict.lattice import Verdict
from conformance.verdict.whole import Circumstances, conclude
from tests.suite.made import CLAUSES, catalogue, check, finding, of, scenario

EXCHANGE = Exchange(
    id=1,
    label="one",
    identity="node_a",
    sent_at=1_000_000_000,
    method="PUT",
    target="/v1/x?y=1",
    request_headers=(("Authorization", "Bearer $BUSPROOF_NODE_A"), ("Host", "bus"), ("X-Q", 'a"b')),
    request_body=b'{"it\'s": 1}',
    head=Head(at=1_500_000_000, http_version="1.1", status=200, headers=(("X-A", "1"), ("x-a", "2"))),
    received=(
        Received(at=1_500_000_000, raw=b"HTTP/1.1 200 OK\r\n\r\n", body=b""),
        Received(at=1_750_000_000, raw=b"\x00\xff\r\n\xe2\x80\xa8", body=b"\x00\xff\r\n\xe2\x80\xa8"),
    ),
    ended_at=2_000_000_000,
    ending=Ending.CLOSED,
)
TRANSCRIPT = Transcript(
    scenario="one",
    started_wall=1_790_000_000.25,
    exchanges=(EXCHANGE, replace(EXCHANGE, id=2, label="two", head=None, received=(), request_raw=b"GET")),
    marks=(Mark(at=5, name="fact", facts={"a": [1, None, "x"]}),),
)
REGISTRY = of(
    scenario(),
    check("T-001", [finding()]),
    check("T-002", [finding("MUST-2", holds=False)], clauses=("MUST-2",)),
    check("T-003", [finding("SHOULD-1", holds=False)], clauses=("SHOULD-1",)),
    check("T-004"),
    check("T-005", profile="pull"),
)


# What a target may try in anything that it says: end the report's own syntax, or command who reads it.
HOSTILE = (
    "a%25b\r\n::error title=x::y\n##[error]z\n::stop-commands::t\n"
    "\x1b[2J\x00\ud83d\ufffe]]>&<x/>```\n# H, 100%: 1,2"
)


def hostile() -> record.RunRecord:
    """The run in which every check fails and tells what the target said."""
    checks = [replace(each, judge=lambda _, each=each: [lying(each)]) for each in REGISTRY.checks.values()]
    registry = of(scenario(), *checks)
    results = [judge(each, TRANSCRIPT, CLAUSES) for each in checks]
    return replace(made(), registry=registry, results=tuple(results))


def lying(of_check: Check) -> Finding:
    clause = of_check.clauses[0]
    return replace(finding(clause, holds=False), expected=HOSTILE, observed=HOSTILE)


def made() -> record.RunRecord:
    """One check of each kind."""
    results = [judge(each, TRANSCRIPT, CLAUSES) for each in REGISTRY.checks.values() if each.id < "T-005"]
    results.append(without_judgement(REGISTRY.checks["T-005"], Verdict.NOT_APPLICABLE, "not claimed"))
    data = catalogue(tuple(REGISTRY.checks))
    opening = record.Opening(
        suite_version="1",
        started=1_790_000_000.25,
        seed=9,
        target=Target(name="tiny", base_url="http://bus:1/base"),
        identity=None,
        claims=Claims(profiles=("stream",), grade=Grade.G0, effects=frozenset()),
        selection=None,
        catalogue=data,
    )
    return record.RunRecord(
        opening=opening,
        registry=REGISTRY,
        results=tuple(results),
        whole=conclude(results, REGISTRY.checks, data, Circumstances(profiles=("stream",))),
        seconds=1.5,
        evidence={"one": TRANSCRIPT},
    )
