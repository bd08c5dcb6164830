"""What is told of mutants is what cosmic-ray found, and nothing survives without a reason."""

import json
import re
from pathlib import Path

import pytest

from tests.mutation import report, session
from tests.mutation.session import Mutant, Outcome
from tests.mutation.targets import TARGETS

MODULE = "conformance/verdict/lattice.py"
ONE = Mutant(module=MODULE, was="a = 1", becomes="a = 2")
DIFF = "--- mutation diff ---\n--- aold\n+++ bnew\n@@ -1 +1 @@\n b = 0\n-a = 1\n+a = 2"


def line(fate: str | None, diff: str = DIFF) -> str:
    result = None if fate is None else {"worker_outcome": "normal", "test_outcome": fate, "diff": diff}
    return json.dumps([{"job_id": "1"}, result])


def test_a_dump_is_read_as_it_is() -> None:
    found = session.read(MODULE, "\n".join(line(fate) for fate in ("killed", "survived", "survived", None)))
    assert found.counts == {"killed": 1, "not tried": 1, "survived": 2}
    assert found.survivors == [ONE] and not found.whole
    assert session.read(MODULE, line("killed")).whole and not session.read(MODULE, "").whole
    assert not session.read(MODULE, line("incompetent")).whole
    unwritten = {"worker_outcome": "exception", "test_outcome": "incompetent", "diff": None}
    made = session.read(MODULE, json.dumps([{"job_id": "1"}, unwritten]))
    assert made.whole and made.counts == {"not made": 1} and made.survivors == []


def outcome(*survivors: Mutant) -> Outcome:
    return Outcome(module=MODULE, counts={"killed": 3, "survived": len(survivors)}, survivors=survivors)


def test_every_survivor_has_its_reason_and_every_reason_its_survivor() -> None:
    assert report.complaints([outcome(ONE)], {ONE: "the same value"}) == []
    assert "survived without a reason" in report.complaints([outcome(ONE)], {})[0]
    assert "has a reason but is killed" in report.complaints([outcome()], {ONE: "why"})[0]
    assert report.complaints([], {ONE: "of a module that was not asked for"}) == []
    untried = Outcome(module=MODULE, counts={"not tried": 1}, survivors=())
    assert "not every mutant was tried" in report.complaints([untried], {})[0]


def test_the_document_shows_each_survivor_beside_its_reason() -> None:
    told = report.document([outcome(ONE)], {ONE: "the same value"})
    assert f"| `{MODULE}` | 4 | 3 | 1 | 0 |" in told
    assert "the same value\n\n```diff\n-a = 1\n+a = 2\n```" in told


def test_modules_and_tests_that_are_named_exist() -> None:
    assert [
        name
        for module, tests in TARGETS.items()
        for name in (module, *tests)
        if not (session.ROOT / name).exists()
    ] == []


@pytest.mark.parametrize(
    "mutant", report.reasons(), ids=lambda each: f"{Path(each.module).stem}: {each.becomes}"
)
def test_a_reason_is_of_code_that_is_there_and_stands_in_the_document(mutant: Mutant) -> None:
    lines = re.sub(r"\s+", " ", (session.ROOT / mutant.module).read_text(encoding="utf-8"))
    assert re.sub(r"\s+", " ", mutant.was) in lines
    assert f"-{mutant.was}\n+{mutant.becomes}\n" in report.DOCUMENT.read_text(encoding="utf-8")
