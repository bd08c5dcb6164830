"""Scenario and Check: the two halves of a test. A scenario acts, a check judges what was recorded."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.probe.transcript import Transcript
from conformance.target.grade import Effect, Grade

if TYPE_CHECKING:
    from conformance.probe.stage import Stage

__all__ = ["CannotJudge", "Check", "Effect", "Evidence", "Finding", "Gather", "Grade", "Scenario"]

Gather = Callable[[Iterable[Transcript], Transcript], Transcript]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """An act: drives the target through a Stage, which records. Never judges.

    `needs` are powers beyond the target's grade (`reach.BEYOND`). `requests` bounds what it sends, where
    that is not a handful. `gathers` makes it the last of all: it chooses, out of every other transcript of
    the run, the exchanges that its own then holds, too.
    """

    name: str
    grade: Grade
    effect: Effect
    budget_seconds: float
    budget_reason: str
    act: Callable[["Stage"], Awaitable[None]]
    needs: frozenset[str] = frozenset()
    requests: int | None = None
    gathers: Gather | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Which bytes: an exchange by its label and, where it matters, an offset into its body.

    `leading` are the labels of the exchanges that led there, where one request alone does not repeat it.
    """

    exchange: str
    at: int | None = None  # nanoseconds of the run
    observed: bytes = b""
    leading: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing seen. `holds` False is a violation of `clause`; True is positive evidence for it."""

    clause: str
    holds: bool
    expected: str
    observed: str
    evidence: Evidence | None = None


class CannotJudge(Exception):
    """The transcript lacks the prerequisite (its positive twin did not happen): not_testable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A pure judgement over the transcript of one scenario.

    `judge` yields findings. No finding at all counts as not_testable, never as a pass; the severity of a
    finding that does not hold comes from the keyword of its clause. Raises CannotJudge. `timed` says that a
    violation found may be our own machine's stall: such a check is inconclusive if the load canary saw one,
    and its scenario is run again, alone. A stall as long as a scenario's patience makes any check so.
    """

    id: str
    title: str
    clauses: Sequence[str]
    profile: str
    scenario: str
    judge: Callable[[Transcript], Iterable[Finding]]
    timed: bool = False
