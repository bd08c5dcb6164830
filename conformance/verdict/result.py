"""What a run comes to, as records: per clause, per check, per profile, and as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from conformance.check.model import Finding
from conformance.verdict.lattice import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One time that a check's scenario was acted. `stalled_ms` is the longest stall that the canary saw."""

    number: int
    verdict: Verdict
    seconds: float
    stalled_ms: int
    transcript: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check's verdict with all that led to it; `reason` is empty where the findings say it all."""

    id: str
    verdict: Verdict
    clauses: Mapping[str, Verdict]
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    attempts: tuple[Attempt, ...] = ()

    @property
    def violations(self) -> tuple[Finding, ...]:
        """The findings that do not hold."""
        return tuple(finding for finding in self.findings if not finding.holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileResult:
    """One profile: conformant only if it has checks and each of its MUSTs is satisfied."""

    name: str
    outcome: str
    counts: Mapping[str, int] = field(default_factory=dict)
    unmet: tuple[str, ...] = ()
