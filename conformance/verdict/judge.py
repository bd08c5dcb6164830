"""From transcripts to verdicts. Pure: no clock, no network, no order but that of the ids."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from conformance.catalogue.load import Clause
from conformance.check.model import CannotJudge, Check, Finding
from conformance.probe.legible import legible
from conformance.probe.transcript import Transcript
from conformance.verdict.lattice import Verdict, collapse
from conformance.verdict.result import CheckResult

SHOULD = "SHOULD"

Clauses = Mapping[str, Clause]


def judge(check: Check, transcript: Transcript, clauses: Clauses) -> CheckResult:
    """The check's verdict over one transcript; an exception of the check is harness_error."""
    try:
        return _weighed(check, tuple(check.judge(transcript)), clauses)
    except CannotJudge as lacking:
        return without_judgement(check, Verdict.NOT_TESTABLE, str(lacking))
    except Exception as broken:
        return without_judgement(check, Verdict.HARNESS_ERROR, origin_of(broken))


def without_judgement(check: Check, verdict: Verdict, reason: str) -> CheckResult:
    """The result of a check that could not be judged, the same verdict for each of its clauses."""
    each = MappingProxyType(dict.fromkeys(check.clauses, verdict))
    return CheckResult(id=check.id, verdict=verdict, clauses=each, reason=legible(reason))


def weakened(result: CheckResult, verdict: Verdict, reason: str) -> CheckResult:
    """The result where nothing milder than `verdict` may be claimed: violations found stay what they are."""
    each = {clause: collapse((found, verdict)) for clause, found in result.clauses.items()}
    return replace(
        result, verdict=collapse((result.verdict, verdict)), clauses=MappingProxyType(each), reason=reason
    )


def of_finding(finding: Finding, clause: Clause) -> Verdict:
    """Severity comes from the clause's keyword, never from the check."""
    if finding.holds:
        return Verdict.PASS
    return Verdict.FAIL if clause.binding else Verdict.WARN


def origin_of(error: BaseException) -> str:
    """Type, text and innermost place of an exception, without any path of this machine."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return legible(f"{type(error).__name__}: {error}{place}")


def _weighed(check: Check, findings: Sequence[Finding], clauses: Clauses) -> CheckResult:
    foreign = sorted({each.clause for each in findings} - set(check.clauses))
    unknown = sorted(name for name in check.clauses if name not in clauses)
    if foreign or unknown:
        wrong = f"findings of clauses that it does not name: {foreign}" if foreign else f"no clause {unknown}"
        return without_judgement(check, Verdict.HARNESS_ERROR, wrong)
    each = {
        name: collapse(of_finding(finding, clauses[name]) for finding in findings if finding.clause == name)
        for name in check.clauses
    }
    silent = [name for name, verdict in each.items() if verdict is Verdict.NOT_TESTABLE]
    return CheckResult(
        id=check.id,
        verdict=collapse(each.values()),
        clauses=MappingProxyType(each),
        findings=tuple(_legible(each) for each in findings),
        reason=f"nothing was found out about {', '.join(silent)}" if silent else "",
    )


def _legible(finding: Finding) -> Finding:
    return replace(finding, expected=legible(finding.expected), observed=legible(finding.observed))
