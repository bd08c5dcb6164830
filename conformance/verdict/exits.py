"""Every way a command can end and its exit code: one table, the same as in docs/exit-codes.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Outcome(StrEnum):
    """How a command ended."""

    CONFORMANT = "conformant"
    OBSERVED = "observed"
    SELECTION_PASSED = "selection_passed"
    SELECTION_PASSED_OK = "selection_passed_ok"
    NON_CONFORMANT = "non_conformant"
    USAGE = "usage"
    INCOMPLETE = "incomplete"
    HARNESS_ERROR = "harness_error"
    UNWRITABLE = "unwritable"
    PLANNED = "planned"
    LISTED = "listed"
    EXPLAINED = "explained"
    UNKNOWN_CHECK = "unknown_check"
    TARGET_WRITTEN = "target_written"
    TARGET_EXISTS = "target_exists"
    TARGET_VALID = "target_valid"
    TARGET_INVALID = "target_invalid"
    CLEANED = "cleaned"
    LEFT_OVER = "left_over"
    BAD_LEDGER = "bad_ledger"
    VECTORS_PASSED = "vectors_passed"
    VECTORS_FAILED = "vectors_failed"
    VECTORS_USAGE = "vectors_usage"
    VECTORS_INCOMPLETE = "vectors_incomplete"
    VECTORS_BROKEN = "vectors_broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: the command that ends so, its exit code, and what that says."""

    command: str
    code: int
    says: str


EXITS: Mapping[Outcome, Row] = MappingProxyType(
    {
        Outcome.CONFORMANT: Row(command="run", code=0, says="conformant at the requested profiles"),
        Outcome.OBSERVED: Row(command="run --profile live", code=0, says="observed; it certifies nothing"),
        Outcome.SELECTION_PASSED_OK: Row(
            command="run --select … --select-ok", code=0, says="the selection passed; it certifies nothing"
        ),
        Outcome.PLANNED: Row(command="run --plan", code=0, says="the plan is printed; nothing was sent"),
        Outcome.NON_CONFORMANT: Row(command="run", code=1, says="a MUST of a requested profile is not kept"),
        Outcome.USAGE: Row(
            command="run", code=2, says="usage, target file or configuration refused; nothing is claimed"
        ),
        Outcome.INCOMPLETE: Row(
            command="run",
            code=3,
            says="something was untestable or inconclusive, nothing matched, or the target changed or left",
        ),
        Outcome.SELECTION_PASSED: Row(
            command="run --select …", code=3, says="the selection passed; a selection can never certify"
        ),
        Outcome.HARNESS_ERROR: Row(command="run", code=4, says="the suite or its driver broke"),
        Outcome.UNWRITABLE: Row(command="run", code=4, says="a report could not be written"),
        Outcome.LISTED: Row(command="list", code=0, says="the checks are listed"),
        Outcome.EXPLAINED: Row(command="explain", code=0, says="the check is explained"),
        Outcome.UNKNOWN_CHECK: Row(command="explain", code=2, says="there is no such check"),
        Outcome.TARGET_WRITTEN: Row(command="target init", code=0, says="a target file is written"),
        Outcome.TARGET_EXISTS: Row(
            command="target init", code=2, says="the file exists already or cannot be written"
        ),
        Outcome.TARGET_VALID: Row(command="target lint", code=0, says="the target file is valid"),
        Outcome.TARGET_INVALID: Row(command="target lint", code=2, says="the target file is not valid"),
        Outcome.CLEANED: Row(command="cleanup", code=0, says="all that the ledger names is gone"),
        Outcome.LEFT_OVER: Row(
            command="cleanup", code=3, says="something that the ledger names is left over"
        ),
        Outcome.BAD_LEDGER: Row(
            command="cleanup", code=2, says="the ledger or the target file cannot be read"
        ),
        Outcome.VECTORS_PASSED: Row(
            command="vectors", code=0, says="every case came out as it must, for what the command offers"
        ),
        Outcome.VECTORS_FAILED: Row(command="vectors", code=1, says="a case came out otherwise"),
        Outcome.VECTORS_USAGE: Row(command="vectors", code=2, says="no command, or no such case"),
        Outcome.VECTORS_INCOMPLETE: Row(
            command="vectors",
            code=3,
            says="only chosen cases were asked, the command offers nothing, or somebody interrupted",
        ),
        Outcome.VECTORS_BROKEN: Row(
            command="vectors",
            code=4,
            says="the command could not be asked: it broke the protocol, hung or ended, or the suite broke",
        ),
    }
)


def code(outcome: Outcome) -> int:
    """The exit code of an outcome."""
    return EXITS[outcome].code
