"""The table of the server's exits: total, and the same in the documentation."""

from pathlib import Path

import pytest

from reference_server.exits import EXITS, Outcome

_DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "exit-codes.md"
_HEADING = "\n## Exit codes of the server's commands\n"


def _rows() -> list[str]:
    text = _DOCUMENT.read_text(encoding="utf-8").partition(_HEADING)[2]
    return [line for line in text.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_its_row_here_and_in_the_documentation(outcome: Outcome) -> None:
    row = EXITS[outcome]
    assert f"| `{row.command}` | {row.code} | {outcome.value} | {row.says} |" in _rows()


def test_the_documentation_has_no_other_row() -> None:
    assert len(_rows()) == len(EXITS)
