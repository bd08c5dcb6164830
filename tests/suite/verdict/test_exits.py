"""The table of exits: total, and the same in the documentation."""

from pathlib import Path

import pytest

from conformance.verdict.exits import EXITS, Outcome, code

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "exit-codes.md"


def _lines() -> list[str]:
    """The part about the suite; below its next heading comes the server's table."""
    return DOCUMENT.read_text(encoding="utf-8").partition("\n## ")[0].splitlines()


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_its_row_here_and_in_the_documentation(outcome: Outcome) -> None:
    row = EXITS[outcome]
    line = f"| `{row.command}` | {row.code} | {outcome.value} | {row.says} |"
    assert line in _lines()


def test_the_documentation_has_no_other_row() -> None:
    rows = [line for line in _lines() if line.startswith("| `")]
    assert len(rows) == len(EXITS)


def test_zero_is_rare() -> None:
    green = {outcome for outcome in Outcome if code(outcome) == 0}
    assert green & {each for each in Outcome if EXITS[each].command.startswith("run")} == {
        Outcome.CONFORMANT,
        Outcome.OBSERVED,
        Outcome.SELECTION_PASSED_OK,
        Outcome.PLANNED,
    }
