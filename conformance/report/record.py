"""run.json: the whole of a run as data, with a header and a footer; without a footer it is incomplete."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from conformance.catalogue.load import Catalogue
from conformance.check.model import Finding
from conformance.check.registry import Registry
from conformance.probe.identity import TargetIdentity
from conformance.probe.transcript import Transcript
from conformance.schemas import validate
from conformance.target import reach
from conformance.target.model import Claims, Target
from conformance.verdict import exits
from conformance.verdict.lattice import Verdict
from conformance.verdict.result import CheckResult, ProfileResult
from conformance.verdict.whole import Whole

FORMAT = "busproof/run/1"

# Of the observed bytes so many stand in run.json; all of them stand in the transcript.
_OBSERVED_BYTES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is known when a run begins."""

    suite_version: str
    started: float
    seed: int
    target: Target
    identity: TargetIdentity | None
    claims: Claims
    selection: tuple[str, ...] | None
    catalogue: Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run that came to its end. `transcripts` are digests by file name, `evidence` records by scenario."""

    opening: Opening
    registry: Registry
    results: tuple[CheckResult, ...]
    whole: Whole
    seconds: float
    left_over: tuple[str, ...] = ()
    transcripts: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, Transcript] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        return exits.code(self.whole.outcome)


class NoRecord(ValueError):
    """The file is no run.json."""


def opened(opening: Opening) -> dict[str, Any]:
    """The document as it is written when the run begins: no footer, so incomplete."""
    return {"format": FORMAT, "header": _header(opening)}


def closed(record: RunRecord) -> dict[str, Any]:
    """The whole document."""
    return {
        **opened(record.opening),
        "checks": [_check(each, record) for each in record.results],
        "clauses": [_clause(name, verdict, record) for name, verdict in record.whole.clauses.items()],
        "profiles": [_profile(each) for each in record.whole.profiles],
        "out_of_reach": out_of_reach(record),
        "untested": [
            {
                "power": each.power,
                "checks": list(each.checks),
                "clauses": list(each.clauses),
                "in_part": list(each.in_part),
            }
            for each in untested(record)
        ],
        "left_over": list(record.left_over),
        "footer": {
            "finished": _instant(record.opening.started + record.seconds),
            "seconds": round(record.seconds, 3),
            "outcome": record.whole.outcome.value,
            "exit": record.exit_code,
            "checks": len(record.results),
            "reasons": list(record.whole.reasons),
            "transcripts": dict(sorted(record.transcripts.items())),
        },
    }


def render(document: Mapping[str, Any]) -> bytes:
    """The document's bytes; raises Invalid if they break our own schema."""
    validate.check("run", document)
    return json.dumps(document, indent=1, ensure_ascii=True, sort_keys=False).encode() + b"\n"


def parse(data: bytes) -> tuple[dict[str, Any], bool]:
    """The document, and whether the run came to its end; raises NoRecord."""
    try:
        document = json.loads(data)
        validate.check("run", document)
    except ValueError as wrong:
        raise NoRecord("not a run.json of this suite") from wrong
    footer = document.get("footer")
    return document, footer is not None and footer["checks"] == len(document.get("checks", ()))


def out_of_reach(record: RunRecord) -> list[str]:
    """The MUSTs that this run could not decide: each is named."""
    clauses = record.opening.catalogue.clauses
    undecided = (Verdict.NOT_TESTABLE, Verdict.INCONCLUSIVE)
    return [
        name
        for name, verdict in record.whole.clauses.items()
        if verdict in undecided and name in clauses and clauses[name].binding
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Untested:
    """What the lack of one power of the driver leaves untested: MUSTs whole, and MUSTs seen otherwise too."""

    power: str
    checks: tuple[str, ...]
    clauses: tuple[str, ...]
    in_part: tuple[str, ...]

    @property
    def line(self) -> str:
        """In one line."""
        parts = [", ".join(self.clauses)] if self.clauses else []
        parts += [f"in part {', '.join(self.in_part)}"] if self.in_part else []
        checks = f" ({', '.join(self.checks)})" if self.checks else ""
        return f"for want of {self.power!r}: {'; '.join(parts)}{checks}"


def untested(record: RunRecord) -> list[Untested]:
    """What the driver's lacks leave untested, whatever profile it belongs to: named, and never green."""
    known, decided = record.registry, record.whole.clauses
    seen = {name for name, verdict in decided.items() if verdict in (Verdict.PASS, Verdict.FAIL)}
    found = []
    for power in sorted(record.opening.claims.lacks):
        needing = [each for each in known.checks.values() if power in known.scenarios[each.scenario].needs]
        named = sorted({*reach.BEYOND[power], *(name for each in needing for name in each.clauses)})
        found.append(
            Untested(
                power=power,
                checks=tuple(sorted(each.id for each in needing)),
                clauses=tuple(name for name in named if name not in seen),
                in_part=tuple(name for name in named if name in seen),
            )
        )
    return found


def _header(opening: Opening) -> dict[str, Any]:
    claims, identity = opening.claims, opening.identity
    return {
        "suite": {"name": "busproof", "version": opening.suite_version},
        "started": _instant(opening.started),
        "seed": opening.seed,
        "target": {
            "name": opening.target.name,
            "base_url": opening.target.base_url,
            "version": identity.version if identity else None,
            "openapi_sha256": identity.openapi_sha256 if identity else None,
        },
        "claims": {
            "profiles": list(claims.profiles),
            "grade": claims.grade.name,
            "grade_reasons": list(claims.grade_reasons),
            "effects": sorted(each.value for each in claims.effects),
            "driver": opening.target.driver.kind,
        },
        "selection": None if opening.selection is None else list(opening.selection),
        "catalogue": {"revision": opening.catalogue.revision, "sha256": opening.catalogue.digest},
    }


def _check(result: CheckResult, record: RunRecord) -> dict[str, Any]:
    check = record.registry.checks[result.id]
    scenario = record.registry.scenarios[check.scenario]
    return {
        "id": result.id,
        "title": check.title,
        "profile": check.profile,
        "scenario": check.scenario,
        "grade": scenario.grade.name,
        "effect": scenario.effect.value,
        "verdict": result.verdict.value,
        "reason": result.reason,
        "clauses": {name: verdict.value for name, verdict in result.clauses.items()},
        "findings": [_finding(each) for each in result.findings],
        "attempts": [
            {
                "number": each.number,
                "verdict": each.verdict.value,
                "seconds": round(each.seconds, 3),
                "stalled_ms": each.stalled_ms,
                "transcript": each.transcript,
            }
            for each in result.attempts
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    evidence = finding.evidence
    return {
        "clause": finding.clause,
        "holds": finding.holds,
        "expected": finding.expected,
        "observed": finding.observed,
        "evidence": None
        if evidence is None
        else {
            "exchange": evidence.exchange,
            "at": evidence.at,
            "observed": evidence.observed[:_OBSERVED_BYTES].decode("latin-1"),
        },
    }


def _clause(name: str, verdict: Verdict, record: RunRecord) -> dict[str, Any]:
    clause = record.opening.catalogue.clauses.get(name)
    checks = [each.id for each in record.results if name in each.clauses]
    keyword = clause.keyword if clause else ""
    return {"id": name, "keyword": keyword, "verdict": verdict.value, "checks": checks}


def _profile(profile: ProfileResult) -> dict[str, Any]:
    return {
        "name": profile.name,
        "outcome": profile.outcome,
        "counts": dict(sorted(profile.counts.items())),
        "unmet": list(profile.unmet),
    }


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
