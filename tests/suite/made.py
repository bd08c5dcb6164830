"""Scenarios, checks and a catalogue made for tests of the suite itself."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from conformance.catalogue.load import Catalogue, CheckEntry, Clause, Profile
from conformance.check.model import Check, Effect, Evidence, Finding, Grade, Scenario
from conformance.check.registry import Registry, gather
from conformance.probe.stage import Stage
from conformance.probe.transcript import Transcript

CLAUSES = {
    "MUST-1": Clause(id="MUST-1", keyword="MUST", text="It MUST answer."),
    "MUST-2": Clause(id="MUST-2", keyword="MUST NOT", text="It MUST NOT lie."),
    "SHOULD-1": Clause(id="SHOULD-1", keyword="SHOULD", text="It SHOULD be quick."),
}


def catalogue(checks: Sequence[str] = ()) -> Catalogue:
    names = ("stream", "pull", "descoped", "live")
    return Catalogue(
        revision="test",
        clauses=CLAUSES,
        profiles={name: Profile(name=name, title=name) for name in names},
        levels={},
        checks={name: CheckEntry(id=name) for name in checks},
    )


async def idle(stage: Stage) -> None:
    await stage.request("one", "GET", "/one")


def scenario(
    name: str = "one",
    act: Callable[[Stage], Awaitable[None]] = idle,
    *,
    grade: Grade = Grade.G0,
    effect: Effect = Effect.READ,
    budget: float = 5,
) -> Scenario:
    return Scenario(
        name=name, grade=grade, effect=effect, budget_seconds=budget, budget_reason="a test", act=act
    )


def finding(clause: str = "MUST-1", *, holds: bool = True) -> Finding:
    evidence = Evidence(exchange="one", at=1, observed=b"bytes seen")
    return Finding(clause=clause, holds=holds, expected="an answer", observed="what came", evidence=evidence)


def check(
    name: str = "T-001",
    findings: Iterable[Finding] | Callable[[Transcript], Iterable[Finding]] = (),
    *,
    clauses: Sequence[str] = ("MUST-1",),
    profile: str = "stream",
    of: str = "one",
    timed: bool = False,
) -> Check:
    told = findings if callable(findings) else tuple(findings)
    return Check(
        id=name,
        title=f"check {name}",
        clauses=clauses,
        profile=profile,
        scenario=of,
        judge=told if callable(told) else lambda transcript: told,
        timed=timed,
    )


def answered(transcript: Transcript) -> Iterable[Finding]:
    """A check that any HTTP answer satisfies."""
    exchange = transcript.exchange("one")
    yield finding(holds=exchange is not None and exchange.head is not None)


def of(*parts: Scenario | Check) -> Registry:
    return gather(
        [each for each in parts if isinstance(each, Scenario)],
        [each for each in parts if isinstance(each, Check)],
    )
