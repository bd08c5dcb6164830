"""What a person sees: a live table on a terminal, plain lines without one. Secrets are named, never shown."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from conformance.check.expand import Plan
from conformance.check.model import Check, Scenario
from conformance.report import failure
from conformance.report.record import Opening, RunRecord, out_of_reach, untested
from conformance.verdict.exits import EXITS
from conformance.verdict.lattice import Verdict
from conformance.verdict.result import CheckResult

_STYLES = {
    Verdict.PASS: "green",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "bold red",
    Verdict.NOT_TESTABLE: "magenta",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.HARNESS_ERROR: "bold white on red",
    Verdict.NOT_APPLICABLE: "dim",
}

# A line is to be read at a glance; the whole follows at the end.
_BRIEF = 160

# A live table redrawn this often looks alive and costs nothing.
_REDRAWS_PER_SECOND = 8

Say = Callable[[str], None]


class PlainProgress:
    """One line per check as it is judged."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def opened(self, opening: Opening, plan: Plan) -> None:
        """Says what is run against what, and the seed."""
        for line in heading(opening, plan):
            self._say(line)

    def started(self, scenario: Scenario) -> None:
        """Says nothing: the verdicts follow."""

    def ended(self, scenario: Scenario) -> None:
        """Says nothing."""

    def judged(self, check: Check, result: CheckResult) -> None:
        """Says the verdict of a check that is part of the run."""
        if result.verdict is not Verdict.NOT_APPLICABLE:
            why = f": {brief(result)}" if result.verdict is not Verdict.PASS else ""
            self._say(f"{result.verdict.value:<14} {check.id} {check.title}{why}")


class LiveProgress:
    """A table that grows while the run goes on, with what is being acted below it."""

    def __init__(self, console: Console, named: Callable[[str], str]) -> None:
        self._named = named
        self._rows: dict[str, tuple[Check, CheckResult]] = {}
        self._acting: list[str] = []
        self._title = ""
        self._planned = 0
        self._live = Live(
            get_renderable=self.table,
            console=console,
            refresh_per_second=_REDRAWS_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def opened(self, opening: Opening, plan: Plan) -> None:
        """Takes the heading as the table's title."""
        self._title = " · ".join(heading(opening, plan))
        self._planned = sum(len(checks) for checks in plan.checks.values())

    def started(self, scenario: Scenario) -> None:
        """Shows the scenario as being acted."""
        self._acting.append(scenario.name)

    def ended(self, scenario: Scenario) -> None:
        """Takes it away again."""
        self._acting.remove(scenario.name)

    def judged(self, check: Check, result: CheckResult) -> None:
        """Adds or replaces the check's row."""
        if result.verdict is not Verdict.NOT_APPLICABLE:
            self._rows[check.id] = (check, result)

    def table(self) -> Table:
        """The table as it stands."""
        caption = (
            f"{len(self._rows)} of {self._planned} checks · acting: {', '.join(self._acting) or 'nothing'}"
        )
        table = Table(title=escape(self._named(self._title)), caption=escape(caption), expand=False)
        for column in ("check", "verdict", "title", "why"):
            table.add_column(column)
        for _, (check, result) in sorted(self._rows.items()):
            add_row(table, check, result, self._named)
        return table


def heading(opening: Opening, plan: Plan) -> list[str]:
    """Target, claims and seed."""
    checks = sum(len(each) for each in plan.checks.values())
    return [
        f"target {opening.target.name} ({opening.target.base_url}), grade {opening.claims.grade.name}",
        f"profiles {', '.join(opening.claims.profiles)}: {checks} checks to act, seed {opening.seed}",
    ]


def brief(result: CheckResult) -> str:
    """In one line why a check is not a pass."""
    first = next(iter(result.violations), None)
    if first is None:
        return result.reason
    return f"{first.clause}: {_cut(first.observed)}; expected {_cut(first.expected)}"


def _cut(text: str) -> str:
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"


def add_row(table: Table, check: Check, result: CheckResult, named: Callable[[str], str]) -> None:
    """One check as a row."""
    style = _STYLES[result.verdict]
    why = "" if result.verdict is Verdict.PASS else named(brief(result))
    table.add_row(check.id, f"[{style}]{result.verdict.value}[/]", escape(check.title), escape(why))


def final_table(record: RunRecord, named: Callable[[str], str]) -> Table:
    """The table of all checks that were part of the run."""
    table = Table(title="checks")
    for column in ("check", "verdict", "title", "why"):
        table.add_column(column)
    for result in record.results:
        if result.verdict is not Verdict.NOT_APPLICABLE:
            add_row(table, record.registry.checks[result.id], result, named)
    return table


def conclusion(record: RunRecord) -> list[str]:
    """What was found wrong in full, the profiles, and the verdict of the whole.

    Checks that only could not be tested have told why in their own row.
    """
    lines: list[str] = []
    for result in record.results:
        if result.violations or result.verdict is Verdict.HARNESS_ERROR:
            lines += ["", f"{result.verdict.value}: {result.id} {record.registry.checks[result.id].title}"]
            lines += [f"  {line}" for line in failure.tell(result, record)]
    lines.append("")
    for profile in record.whole.profiles:
        counts = ", ".join(f"{count} {name}" for name, count in sorted(profile.counts.items()))
        lines.append(f"profile {profile.name}: {profile.outcome} ({counts or 'no checks'})")
    lines += [f"left over: {each}" for each in record.left_over]
    if undecided := out_of_reach(record):
        lines.append(f"MUSTs not decided: {', '.join(undecided)}")
    lines += [f"not tested {each.line}" for each in untested(record)]
    lines += [f"because {reason}" for reason in record.whole.reasons if not _told(reason, record)]
    row = EXITS[record.whole.outcome]
    lines.append(
        f"{record.whole.outcome.value.replace('_', ' ')}: {row.says}"
        f" (exit {row.code}, {record.seconds:.1f} s, seed {record.opening.seed})"
    )
    return lines


def _told(reason: str, record: RunRecord) -> bool:
    """Reasons that a check's own lines give already."""
    return any(reason.startswith(f"{each.id}:") for each in record.results)
