"""summary.md: what a person reads first. No gate may parse it: run.json is there for that."""

from collections.abc import Iterator

from conformance.report import failure
from conformance.report.record import RunRecord, out_of_reach, untested
from conformance.verdict.exits import EXITS
from conformance.verdict.lattice import GREEN, Verdict


def render(record: RunRecord) -> bytes:
    """The summary as Markdown."""
    return ("\n".join(_lines(record)) + "\n").encode()


def _lines(record: RunRecord) -> Iterator[str]:
    opening, whole = record.opening, record.whole
    row = EXITS[whole.outcome]
    yield f"# {whole.outcome.value.replace('_', ' ')} (exit {row.code})"
    yield ""
    yield f"{row.says[0].upper()}{row.says[1:]}."
    yield ""
    version = opening.identity.version if opening.identity else "unknown"
    yield f"- target: {opening.target.name}, version {version or 'unknown'}"
    yield f"- grade {opening.claims.grade.name}, revision {opening.catalogue.revision}, seed {opening.seed}"
    yield f"- {len(record.results)} checks in {record.seconds:.1f} s"
    yield ""
    yield "| profile | outcome | " + " | ".join(each.value for each in reversed(Verdict)) + " |"
    yield "|---|---|" + "---|" * len(Verdict)
    for profile in whole.profiles:
        counts = " | ".join(str(profile.counts.get(each.value, 0)) for each in reversed(Verdict))
        yield f"| {profile.name} | {profile.outcome} | {counts} |"
    if undecided := out_of_reach(record):
        yield ""
        yield f"MUSTs that this run could not decide: {', '.join(undecided)}."
    if lacks := untested(record):
        yield ""
        yield "## Not tested"
        yield ""
        yield from (f"- {each.line}" for each in lacks)
    if record.left_over:
        yield ""
        yield "Left over on the target: " + "; ".join(record.left_over) + "."
    yield from _reasons(record)
    yield from _troubles(record)


def _reasons(record: RunRecord) -> Iterator[str]:
    if record.whole.reasons:
        yield ""
        yield "## Why not better"
        yield ""
        yield from (f"- {reason}" for reason in record.whole.reasons)


_LEGEND = (
    "In a `curl` line `$BUSPROOF_…` stands for the bearer of that identity. Nodes that the run made are gone"
    " after it: `repeat` makes them anew, with TARGET and driver as they were given."
)


def _troubles(record: RunRecord) -> Iterator[str]:
    troubled = [each for each in record.results if each.verdict not in GREEN - {Verdict.WARN}]
    if troubled:
        yield ""
        yield _LEGEND
    for result in troubled:
        yield ""
        yield f"## {result.id} {record.registry.checks[result.id].title}: {result.verdict.value}"
        yield ""
        yield "```text"
        yield from (line.replace("```", "'''") for line in failure.tell(result, record))
        yield "```"
