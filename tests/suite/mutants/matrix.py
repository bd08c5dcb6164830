"""The kill matrix: what each planted defect is caught by, written for people and for the catalogue."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.catalogue.load import catalogue
from conformance.check import registry
from fixtures.broken import null
from fixtures.broken.catalogue import DEFECTS
from fixtures.broken.defect import OWN, Defect
from tests.suite.mutants import bench

ROOT = Path(__file__).resolve().parents[3]
MATRIX = ROOT / "docs" / "kill-matrix.md"
CHECKS = ROOT / "conformance" / "catalogue" / "checks.yaml"

_HEAD = """\
# The kill matrix

Every planted defect of `fixtures/broken/`, run against the suite in a process of its own. Each names in
advance the clause that it breaks and the checks that must fail; the set is asserted exactly over the checks
that join it: all that take less than 5 s, or those of the scenarios that it names. Made by `make mutants`.

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One defect as it was run."""

    name: str
    caught_by: tuple[str, ...]
    seconds: float


def digest() -> str:
    """What the whole matrix depends on."""
    checks = registry.collect().checks
    return _digest([*map(defect_digest, DEFECTS.values()), *checks])


def defect_digest(defect: Defect) -> str:
    """What one outcome depends on: the checks that join it with their clauses' texts, and what it names."""
    clauses = catalogue().clauses
    joining = (
        check for each in bench.scenarios_for(defect) for check in registry.collect().checks_of(each.name)
    )
    lines = [f"{each.id} {name} {clauses[name].text}" for each in joining for name in each.clauses]
    return _digest([*lines, f"{defect.name} {sorted(defect.breaks)} {sorted(defect.fails)} {defect.only}"])


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def killers(check: str) -> list[str]:
    """The defects that this check must catch."""
    return sorted(each.name for each in DEFECTS.values() if check in each.fails)


def checks_yaml() -> str:
    """conformance/catalogue/checks.yaml: every check with the defects that it catches."""
    lines = [
        "# Written by `make mutants`: the checks of this revision and the planted defects that each catches.",
        "checks:",
    ]
    for name in registry.collect().checks:
        lines.append(f"  - id: {name}")
        lines.append(f"    kills: [{', '.join(killers(name))}]")
    return "\n".join(lines) + "\n"


def markdown(lines: Mapping[str, Line]) -> str:
    """docs/kill-matrix.md."""
    parts = [
        _HEAD,
        f"{len(lines)} defects, {len(registry.collect().checks)} checks; catalogue `{digest()}`.\n\n",
    ]
    parts += ["| defect | breaks | what is wrong | caught by |\n|---|---|---|---|\n"]
    parts += [_row(DEFECTS[name], line) for name, line in sorted(lines.items())]
    parts += ["\n## Null servers\n\nNone of these earns a single pass.\n\n"]
    parts += [f"- `{name}`: {server.sentence}\n" for name, server in null.SERVERS.items()]
    return "".join(parts)


def write(lines: Mapping[str, Line]) -> None:
    """Writes both files."""
    MATRIX.parent.mkdir(exist_ok=True)
    MATRIX.write_text(markdown(lines), encoding="utf-8")
    CHECKS.write_text(checks_yaml(), encoding="utf-8")


def shard(names: Sequence[str], number: int, of: int) -> list[str]:
    """Every `of`-th name, from the `number`-th (1, 2, …)."""
    return list(names[number - 1 :: of])


def _row(defect: Defect, line: Line) -> str:
    cells = (f"`{defect.name}`", ", ".join(defect.breaks), defect.sentence, _catchers(defect, line.caught_by))
    return f"| {' | '.join(cells)} |\n"


def _catchers(defect: Defect, caught_by: Iterable[str]) -> str:
    named = []
    for check in sorted(caught_by):
        reason = defect.fails.get(check, "")
        named.append(f"**{check}**" if reason == OWN else f"{check} ({reason})")
    return ", ".join(named)
