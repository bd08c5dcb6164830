"""What the run as a whole comes to. The rules against green by omission stand here and nowhere else."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from conformance.catalogue.load import Catalogue
from conformance.check.model import Check
from conformance.verdict.exits import Outcome
from conformance.verdict.lattice import GREEN, SATISFIED, Verdict, collapse
from conformance.verdict.result import CheckResult, ProfileResult

CONFORMANT = "conformant"
OBSERVED = "observed"
SELECTION = "selection passed"
NON_CONFORMANT = "non-conformant"
INCOMPLETE = "incomplete"
BROKEN = "harness_error"


# The profile that is looked at on a deployment in use: whatever it comes to, it certifies nothing.
LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else decides: the profiles asked for, whether only a selection ran, what went wrong beside checks.

    `faults` are harness errors outside any check; `shortfalls` make the run incomplete (the target changed or
    went away, an identity was not available, the budget ran out).
    """

    profiles: tuple[str, ...]
    selected: bool = False
    select_ok: bool = False
    faults: tuple[str, ...] = ()
    shortfalls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The run's outcome and why it is not better."""

    outcome: Outcome
    profiles: tuple[ProfileResult, ...]
    clauses: Mapping[str, Verdict]
    reasons: tuple[str, ...]


def conclude(
    results: Sequence[CheckResult], checks: Mapping[str, Check], catalogue: Catalogue, under: Circumstances
) -> Whole:
    """The whole of a run. Nothing that was left out can make it better."""
    merged = _once(results)
    faults = (*under.faults, *_catalogue_faults(merged, checks, catalogue, under))
    clauses = _by_clause(merged.values(), checks, under.profiles)
    touched = {checks[each].profile for each in merged if each in checks}
    named = [name for name in under.profiles if name in touched or not under.selected]
    profiles = tuple(_profile(name, merged, checks, catalogue) for name in named)
    profiles = tuple(_observed(each) for each in profiles)
    if under.selected:
        profiles = tuple(_selected(each) for each in profiles)
    reasons = (*faults, *under.shortfalls, *_reasons(profiles, merged))
    outcome = _outcome(profiles, merged, under, faults)
    return Whole(outcome=outcome, profiles=profiles, clauses=clauses, reasons=reasons)


def _once(results: Iterable[CheckResult]) -> Mapping[str, CheckResult]:
    """One result per id: of two of one id the most severe counts."""
    merged: dict[str, CheckResult] = {}
    for result in results:
        before = merged.get(result.id)
        if before is None or collapse((before.verdict, result.verdict)) is not before.verdict:
            merged[result.id] = result
    return MappingProxyType(dict(sorted(merged.items())))


def _catalogue_faults(
    merged: Mapping[str, CheckResult],
    checks: Mapping[str, Check],
    catalogue: Catalogue,
    under: Circumstances,
) -> list[str]:
    """Ids emitted but not in the catalogue, and of the catalogue but never emitted: both are our fault."""
    faults = [f"{name} was emitted and is not in the registry" for name in sorted(set(merged) - set(checks))]
    if catalogue.checks:
        strangers = sorted(set(checks) - set(catalogue.checks))
        faults += [f"{name} is not in the catalogue" for name in strangers]
    if not under.selected:
        known = set(checks) | set(catalogue.checks)
        faults += [f"{name} of the catalogue was never emitted" for name in sorted(known - set(merged))]
    return faults


def _by_clause(
    results: Iterable[CheckResult], checks: Mapping[str, Check], profiles: Sequence[str]
) -> Mapping[str, Verdict]:
    found: dict[str, list[Verdict]] = {}
    for result in results:
        if result.id in checks and checks[result.id].profile in profiles:
            for clause, verdict in result.clauses.items():
                found.setdefault(clause, []).append(verdict)
    return MappingProxyType({clause: collapse(verdicts) for clause, verdicts in sorted(found.items())})


def _profile(
    name: str, merged: Mapping[str, CheckResult], checks: Mapping[str, Check], catalogue: Catalogue
) -> ProfileResult:
    mine = [each for each in merged.values() if each.id in checks and checks[each.id].profile == name]
    counts = Counter(each.verdict.value for each in mine)
    binding = [
        (clause, verdict)
        for each in mine
        for clause, verdict in each.clauses.items()
        if clause not in catalogue.clauses or catalogue.clauses[clause].binding
    ]
    unmet = tuple(sorted({clause for clause, verdict in binding if verdict not in SATISFIED}))
    kept = tuple(clause for clause, verdict in binding if verdict is Verdict.PASS)
    return ProfileResult(name=name, outcome=_profile_outcome(mine, kept, unmet), counts=counts, unmet=unmet)


def _selected(profile: ProfileResult) -> ProfileResult:
    """A part of a profile that passed is not the profile."""
    return replace(profile, outcome=SELECTION) if profile.outcome in (CONFORMANT, OBSERVED) else profile


def _observed(profile: ProfileResult) -> ProfileResult:
    """What was seen of a deployment in use is no conformance."""
    live = profile.name == LIVE and profile.outcome == CONFORMANT
    return replace(profile, outcome=OBSERVED) if live else profile


def _profile_outcome(mine: Sequence[CheckResult], kept: Sequence[str], unmet: Sequence[str]) -> str:
    """Conformant only if a MUST was seen to be kept: options that happen to pass are no profile."""
    verdicts = {each.verdict for each in mine}
    if Verdict.HARNESS_ERROR in verdicts:
        return BROKEN
    if Verdict.FAIL in verdicts:
        return NON_CONFORMANT
    if unmet or not kept or not verdicts <= GREEN:
        return INCOMPLETE
    return CONFORMANT


def _outcome(
    profiles: Sequence[ProfileResult],
    merged: Mapping[str, CheckResult],
    under: Circumstances,
    faults: Sequence[str],
) -> Outcome:
    """The first row that applies, from the most severe."""
    worst = collapse(each.verdict for each in merged.values())
    rows = (
        (bool(faults) or worst is Verdict.HARNESS_ERROR, Outcome.HARNESS_ERROR),
        (worst is Verdict.FAIL, Outcome.NON_CONFORMANT),
        (not merged or bool(under.shortfalls) or worst not in GREEN, Outcome.INCOMPLETE),
        (worst is Verdict.NOT_APPLICABLE, Outcome.INCOMPLETE),
        (under.selected and under.select_ok, Outcome.SELECTION_PASSED_OK),
        (under.selected, Outcome.SELECTION_PASSED),
        (
            not profiles or not {each.outcome for each in profiles} <= {CONFORMANT, OBSERVED},
            Outcome.INCOMPLETE,
        ),
        (LIVE in under.profiles, Outcome.OBSERVED),
    )
    return next((outcome for applies, outcome in rows if applies), Outcome.CONFORMANT)


def _reasons(profiles: Sequence[ProfileResult], merged: Mapping[str, CheckResult]) -> list[str]:
    empty = [
        f"profile {each.name}: no check passed" for each in profiles if not each.counts.get(Verdict.PASS)
    ]
    unsatisfied = [
        f"{each.id}: {each.verdict.value}" + (f" ({each.reason})" if each.reason else "")
        for each in merged.values()
        if each.verdict not in GREEN
    ]
    return [*empty, *unsatisfied]
