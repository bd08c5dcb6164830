"""Annotations of a workflow: read back as the runner reads them, whatever a target says."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.report import github
from conformance.report.record import RunRecord
from conformance.verdict.exits import EXITS, Outcome
from conformance.verdict.judge import without_judgement
from conformance.verdict.lattice import Verdict
from conformance.verdict.whole import Circumstances, conclude
from tests.suite.made import catalogue
from tests.suite.report.reported import HOSTILE, REGISTRY, hostile, made
from tests.suite.tiny import SECRET, vault

GOLDEN = Path(__file__).parent / "golden" / "github.txt"

# A workflow command, as the runner's ActionCommand takes one: white space before it is nothing to it.
COMMAND = re.compile(r"\s*::(?P<level>[^ :]+)(?: (?P<properties>.*?))?::(?P<data>.*)", re.DOTALL)
DATA = (("%0D", "\r"), ("%0A", "\n"), ("%25", "%"))
PROPERTIES = (("%3A", ":"), ("%2C", ","), *DATA)


def taken_back(text: str, spellings: tuple[tuple[str, str], ...]) -> str:
    for spelling, character in spellings:
        text = text.replace(spelling, character)
    return text


def read(line: str) -> tuple[str, str, str]:
    """Level, title and text of a line, as a runner takes them."""
    found = COMMAND.fullmatch(line)
    assert found is not None and re.split(r"[\r\n]", line) == [line], line
    (title,) = found["properties"].split(",")
    assert title.startswith("title=")
    return found["level"], taken_back(title[6:], PROPERTIES), taken_back(found["data"], DATA)


def shown(record: RunRecord) -> list[str]:
    return list(github.lines(record, Path("busproof-runs/one"), vault().named))


def test_the_golden_report() -> None:
    assert "\n".join(shown(made())) + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_one_for_each_check_that_is_not_green_and_one_for_the_whole() -> None:
    read_back = [read(line) for line in shown(made())]
    assert [(level, title) for level, title, _ in read_back] == [
        ("error", "T-002 MUST-2: check T-002"),
        ("warning", "T-003 SHOULD-1: check T-003"),
        ("warning", "T-004 MUST-1: check T-004"),
        ("error", "busproof: non conformant (exit 1)"),
    ]
    failing = read_back[0][2].splitlines()
    assert failing[:4] == [
        "fail",
        "MUST-2 MUST NOT: It MUST NOT lie.",
        "expected: an answer",
        "observed: what came",
    ]
    assert failing[4].startswith("curl: curl -isSN ")
    assert failing[5] == "repeat: busproof run TARGET --select T-002 --seed 9"


def test_a_hostile_target_neither_ends_a_command_nor_begins_one() -> None:
    lines = shown(hostile())
    levels = [read(line)[0] for line in lines]
    assert levels == ["error", "error", "warning", "error", "error", "error"], "its own commands are none"
    assert all("\x1b" not in line and "\x00" not in line for line in lines)
    _, _, text = read(lines[1])
    assert "observed: a%25b\\r\n::error title=x::y\n##[error]z\n::stop-commands::t\n\\x1b[2J" in text
    "\n".join(lines).encode()


@given(said=st.text() | st.just(HOSTILE))
def test_whatever_is_said_is_read_back(said: str) -> None:
    for level, title, text in map(read, [github.ended(Outcome.HARNESS_ERROR, said)]):
        assert (level, title) == ("error", "busproof: harness error (exit 4)")
        assert text == github.legible(said)


@given(title=st.text())
def test_a_title_stays_one_property(title: str) -> None:
    named = replace(REGISTRY.checks["T-002"], title=title)
    registry = replace(REGISTRY, checks={**REGISTRY.checks, "T-002": named})
    _, told, _ = read(shown(replace(made(), registry=registry))[0])
    assert told == "T-002 MUST-2: " + github.legible(title)


@pytest.mark.parametrize("outcome", [each for each in Outcome if EXITS[each].command == "run"])
def test_only_an_exit_of_zero_is_a_notice(outcome: Outcome) -> None:
    level, _, _ = read(github.ended(outcome, "x"))
    assert (level == "notice") == (EXITS[outcome].code == 0)


def test_a_fault_of_the_suite_is_an_error_and_what_stalled_a_warning() -> None:
    results = tuple(
        without_judgement(REGISTRY.checks[name], verdict, "why")
        for name, verdict in (("T-001", Verdict.HARNESS_ERROR), ("T-002", Verdict.INCONCLUSIVE))
    )
    levels = [read(line)[0] for line in shown(replace(made(), results=results))]
    assert levels == ["error", "warning", "error"]


def test_a_run_without_checks_is_an_error() -> None:
    empty = conclude([], {}, catalogue(), Circumstances(profiles=("stream",)))
    ((level, title, text),) = map(read, shown(replace(made(), results=(), whole=empty)))
    assert (level, title) == ("error", "busproof: incomplete (exit 3)") and "because " in text


def test_secrets_are_named() -> None:
    leaky = without_judgement(REGISTRY.checks["T-002"], Verdict.FAIL, f"it said {SECRET}")
    text = "\n".join(shown(replace(made(), results=(leaky,))))
    assert SECRET not in text and "it said $BUSPROOF_NODE_A" in text


def test_long_texts_are_cut() -> None:
    long = without_judgement(REGISTRY.checks["T-002"], Verdict.FAIL, "x" * 100_000)
    assert len(shown(replace(made(), results=(long,)))[0]) < 5_000
