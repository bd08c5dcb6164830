"""How the server's commands end: one row for each outcome, which docs/exit-codes.md repeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Outcome(Enum):
    """Each way in which a command of the server ends."""

    STOPPED = "stopped"
    CRASHED = "crashed"
    REFUSED = "refused"
    AT_HEAD = "at_head"
    PENDING = "pending"
    MIGRATED = "migrated"
    RESTORED = "restored"
    WOULD_LOSE = "would_lose"
    LISTED = "listed"
    HANDLED = "handled"
    SOME_STAY = "some_stay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """One row: what ends so, with which code, and what that says."""

    command: str
    code: int
    says: str


# suite.md: 0 is good, 1 a failure of what was run, 2 refused before anything was done, 3 left undone.
EXITS: Mapping[Outcome, Exit] = MappingProxyType(
    {
        Outcome.STOPPED: Exit(command="serve, relay", code=0, says="stopped in order"),
        Outcome.CRASHED: Exit(command="serve, relay", code=1, says="ended on a defect; the log has it"),
        Outcome.REFUSED: Exit(
            command="serve, relay, db, relay skipped",
            code=2,
            says="usage, configuration or store refused in one line; nothing was done",
        ),
        Outcome.AT_HEAD: Exit(command="db status", code=0, says="the schema is what this program wants"),
        Outcome.PENDING: Exit(command="db status", code=3, says="migrations are pending"),
        Outcome.MIGRATED: Exit(
            command="db upgrade, db downgrade", code=0, says="the schema is at the revision asked for"
        ),
        Outcome.RESTORED: Exit(
            command="db restored", code=0, says="cursors from before the backup are behind the log"
        ),
        Outcome.WOULD_LOSE: Exit(
            command="db downgrade", code=3, says="not done, since rows would be lost; `--force` does it"
        ),
        Outcome.LISTED: Exit(command="relay skipped list", code=0, says="the parked rows are listed"),
        Outcome.HANDLED: Exit(
            command="relay skipped requeue, relay skipped discard",
            code=0,
            says="every row asked for was handled",
        ),
        Outcome.SOME_STAY: Exit(
            command="relay skipped requeue, relay skipped discard",
            code=3,
            says="some rows stay, each with its reason",
        ),
    }
)


def code(outcome: Outcome) -> int:
    """The exit code of an outcome."""
    return EXITS[outcome].code
