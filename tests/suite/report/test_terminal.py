"""The live table grows, names secrets instead of showing them, and leaves a plain conclusion."""

import io

from rich.console import Console

from conformance.check.expand import expand
from conformance.report import terminal
from tests.suite.report.reported import REGISTRY, made
from tests.suite.tiny import SECRET, vault


def test_a_live_table_shows_verdicts_and_what_is_acted() -> None:
    done = made()
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, height=60)
    plan = expand(REGISTRY, done.opening.claims, seed=1)
    with terminal.LiveProgress(console, vault().named) as live:
        live.opened(done.opening, plan)
        live.started(REGISTRY.scenarios["one"])
        for result in done.results:
            live.judged(REGISTRY.checks[result.id], result)
        console.print(live.table())
        live.ended(REGISTRY.scenarios["one"])
    text = screen.getvalue()
    assert "acting: one" in text and "T-002" in text and "fail" in text and "T-005" not in text


def test_the_conclusion_tells_violations_in_full_and_the_outcome_last() -> None:
    lines = terminal.conclusion(made())
    assert any(line.startswith("fail: T-002") for line in lines)
    assert not any(line.startswith("not_testable: T-004") for line in lines)
    assert lines[-1].startswith("non conformant:") and "exit 1" in lines[-1] and "seed 9" in lines[-1]


def test_a_row_names_a_secret_instead_of_showing_it() -> None:
    done = made()
    screen = io.StringIO()
    table = terminal.final_table(done, lambda text: vault().named(text + SECRET))
    Console(file=screen, width=200).print(table)
    assert SECRET not in screen.getvalue() and "$BUSPROOF_NODE_A" in screen.getvalue()
