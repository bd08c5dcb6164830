"""Annotations of a GitHub workflow: an error for each failing check, a warning for what is left undecided.

Each is one workflow command in one line. Text of a target is escaped in it, so that it can neither end the
command nor begin another: a runner obeys whatever line of a step's output looks like one.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from conformance.probe.legible import legible
from conformance.report import failure
from conformance.report.record import RunRecord
from conformance.verdict.exits import EXITS, Outcome
from conformance.verdict.lattice import Verdict
from conformance.verdict.result import CheckResult

# The level of each verdict that is annotated.
_LEVELS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.FAIL: "error",
        Verdict.HARNESS_ERROR: "error",
        Verdict.WARN: "warning",
        Verdict.NOT_TESTABLE: "warning",
        Verdict.INCONCLUSIVE: "warning",
    }
)

# What the runner takes back (actions/toolkit, packages/core/src/command.ts); `%` goes first.
_IN_DATA = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_IN_PROPERTIES = (*_IN_DATA, (":", "%3A"), (",", "%2C"))

# Of the reasons why a run is not better so many are told; each stands at its check, too.
_REASONS = 10

# An annotation is shown beside others, and the API takes 64 KB of one; run.json holds all.
_SHOWN = 2_000

Named = Callable[[str], str]


def lines(record: RunRecord, folder: Path, named: Named) -> Iterator[str]:
    """The annotations in the order of the ids, then one for the whole; `named` hides secrets."""
    for result in record.results:
        if result.verdict in _LEVELS:
            text = "\n".join(_cut(line) for line in _told(result, record))
            yield _command(_LEVELS[result.verdict], named(_title(result, record)), named(text))
    whole = record.whole
    text = f"{EXITS[whole.outcome].says} ({record.seconds:.1f} s, seed {record.opening.seed})"
    reasons = "".join(f"\nbecause {_cut(reason)}" for reason in whole.reasons[:_REASONS])
    if (more := len(whole.reasons) - _REASONS) > 0:
        reasons += f"\nand {more} more, in run.json"
    yield ended(whole.outcome, named(f"{text}{reasons}\nrun directory: {folder}"))


def ended(outcome: Outcome, text: str) -> str:
    """How the command ended, as a notice only where it exits 0."""
    row = EXITS[outcome]
    title = f"busproof: {outcome.value.replace('_', ' ')} (exit {row.code})"
    return _command("error" if row.code else "notice", title, text)


def _title(result: CheckResult, record: RunRecord) -> str:
    clauses = dict.fromkeys(each.clause for each in result.violations) or result.clauses
    return f"{result.id} {', '.join(clauses)}: {record.registry.checks[result.id].title}"


def _told(result: CheckResult, record: RunRecord) -> Iterator[str]:
    """Verdict, the first finding with its clause, and how to repeat it."""
    yield result.verdict.value.replace("_", " ") + (f": {result.reason}" if result.reason else "")
    first = next(iter(result.violations), None)
    if first is not None:
        clause = record.opening.catalogue.clauses.get(first.clause)
        yield f"{first.clause} {clause.keyword}: {clause.text}" if clause else first.clause
        yield f"expected: {first.expected}"
        yield f"observed: {first.observed}"
        if more := len(result.violations) - 1:
            yield f"and {more} more, in run.json"
        if command := failure.request(first, result, record):
            yield f"curl: {command}"
    yield failure.repetition(result, record)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text) - _SHOWN} characters more)"


def _command(level: str, title: str, text: str) -> str:
    return f"::{level} title={_escaped(title, _IN_PROPERTIES)}::{_escaped(text, _IN_DATA)}"


def _escaped(text: str, spellings: tuple[tuple[str, str], ...]) -> str:
    text = legible(text)
    for character, spelling in spellings:
        text = text.replace(character, spelling)
    return text
