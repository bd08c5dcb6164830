"""The verdicts, from the mildest to the most severe, and how several collapse into one."""

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """What a check, a clause or a profile comes to. The order in this file is the order of severity."""

    NOT_APPLICABLE = "not_applicable"  # not claimed
    PASS = "pass"  # noqa: S105  # a verdict, no password
    WARN = "warn"  # a SHOULD is not kept
    NOT_TESTABLE = "not_testable"  # the grade is too low, or a prerequisite failed
    INCONCLUSIVE = "inconclusive"  # our machine stalled
    FAIL = "fail"  # a MUST is not kept
    HARNESS_ERROR = "harness_error"  # the suite itself broke


SEVERITY: tuple[Verdict, ...] = tuple(Verdict)

# What a MUST of a claimed profile may come to in a run that is green.
SATISFIED = frozenset({Verdict.PASS, Verdict.NOT_APPLICABLE})

# What any check of a claimed profile may come to in a run that is green: a SHOULD may be left undone.
GREEN = SATISFIED | {Verdict.WARN}


def collapse(verdicts: Iterable[Verdict], *, empty: Verdict = Verdict.NOT_TESTABLE) -> Verdict:
    """The most severe of them; `empty` if there is none, since nothing seen is never a pass."""
    return max(verdicts, key=SEVERITY.index, default=empty)
