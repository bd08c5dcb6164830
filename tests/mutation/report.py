"""What the mutants came to as docs/mutation.md, held against the survivors that have a reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.mutation.session import ROOT, Mutant, Outcome

REASONS = Path(__file__).parent / "survivors.yaml"
DOCUMENT = ROOT / "docs" / "mutation.md"

_HEAD = """# Mutation testing

`make mutation` changes the code that verdicts, the stream's grammar and the canonical bytes rest on, one
place at a time, by [cosmic-ray](https://cosmic-ray.readthedocs.io), and runs the tests of that code. A mutant
that no test notices must have its reason in `tests/mutation/survivors.yaml`; one without fails the target.
Some changes cosmic-ray fails to write (an exception of a tuple of them): these are counted as not made.

| module | mutants | killed | survived, with a reason | not made |
|---|---:|---:|---:|---:|
"""


def reasons(path: Path = REASONS) -> Mapping[Mutant, str]:
    """Every mutant that may survive, and why it changes nothing that a test could see."""
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        Mutant(module=each["module"], was=each["was"], becomes=becomes): each["reason"]
        for each in told or []
        for becomes in each["becomes"]
    }


def complaints(outcomes: Sequence[Outcome], known: Mapping[Mutant, str]) -> list[str]:
    """Why the run is not good: survivors without a reason, reasons without a survivor, broken sessions."""
    survived = {mutant for outcome in outcomes for mutant in outcome.survivors}
    tried = {outcome.module for outcome in outcomes}
    return [
        *(
            f"{each.module}: {dict(each.counts)}, not every mutant was tried"
            for each in outcomes
            if not each.whole
        ),
        *(
            f"{each.module}: survived without a reason\n  - {each.was}\n  + {each.becomes}"
            for each in sorted(survived - known.keys())
        ),
        *(
            f"{each.module}: has a reason but is killed\n  - {each.was}\n  + {each.becomes}"
            for each in sorted(known.keys() - survived)
            if each.module in tried
        ),
    ]


def document(outcomes: Sequence[Outcome], known: Mapping[Mutant, str]) -> str:
    """The table, then every survivor beside its reason."""
    rows = [_row(each) for each in outcomes]
    told = [f"\n## `{each.module}`\n\n" + _survivors(each, known) for each in outcomes if each.survivors]
    return _HEAD + "\n".join(rows) + "\n" + "".join(told)


def _row(outcome: Outcome) -> str:
    fates = (outcome.counts.get(fate, 0) for fate in ("killed", "survived", "not made"))
    return f"| `{outcome.module}` | {sum(outcome.counts.values())} | {' | '.join(map(str, fates))} |"


def _survivors(outcome: Outcome, known: Mapping[Mutant, str]) -> str:
    by_reason: dict[str, list[Mutant]] = {}
    for each in outcome.survivors:
        by_reason.setdefault(known[each], []).append(each)
    return "\n".join(
        f"{reason}\n\n```diff\n" + "".join(f"-{each.was}\n+{each.becomes}\n" for each in mutants) + "```\n"
        for reason, mutants in by_reason.items()
    )
