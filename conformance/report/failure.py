"""What a failure says: clause and text, what was expected, the bytes with their times, how to repeat it."""

from collections.abc import Iterable, Iterator, Sequence

from conformance.check.model import Finding
from conformance.probe.transcript import Exchange, Transcript
from conformance.report import course, curl
from conformance.report.record import RunRecord
from conformance.verdict.result import CheckResult

# So many findings of a check are shown with their bytes, as far as they say different things; of the others
# so many in a line each. run.json holds them all.
_IN_FULL = 3
_IN_LINES = 8

# A failure shows so many pieces around the place and so many bytes of each; the transcript holds them all.
_PIECES = 6
_BYTES = 400

# Of the requests that led to a failure so many are shown; more than any history has that was made smaller.
_LEADING = 60


def tell(result: CheckResult, record: RunRecord) -> list[str]:
    """The lines that explain a check that is not green."""
    lines = [result.reason] if result.reason else []
    told = _distinct(result.violations)
    clauses, exchanges = set[str](), set[str]()
    for finding, times in told[:_IN_FULL]:
        lines += _rule(finding, record) if finding.clause not in clauses else []
        clauses.add(finding.clause)
        lines += _seen(finding)
        label = finding.evidence.exchange if finding.evidence is not None else ""
        lines += _received(finding, result, record) if label not in exchanges else []
        exchanges.add(label)
        lines += [f"  the same {times - 1} times more"] if times > 1 else []
    rest = told[_IN_FULL:]
    lines += [_also(finding, times) for finding, times in rest[:_IN_LINES]]
    lines += [f"… and {len(rest) - _IN_LINES} others, in run.json"] if len(rest) > _IN_LINES else []
    if told:
        lines += _held(result)
        lines += _course(told[0][0], result, record)
    if lines:
        lines.append(repetition(result, record))
    lines += _transcript(result, record)
    return lines


def repetition(result: CheckResult, record: RunRecord) -> str:
    """How this check is run again: alone, or with all others where it judges what they brought."""
    opening = record.opening
    where = "--reference" if opening.target.ephemeral else "TARGET"
    check = record.registry.checks[result.id]
    alone = record.registry.scenarios[check.scenario].gathers is None
    what = (
        f"--select {result.id}"
        if alone
        else " ".join(f"--profile {each}" for each in opening.claims.profiles)
    )
    return f"repeat: busproof run {where} {what} --seed {opening.seed}"


def request(finding: Finding, result: CheckResult, record: RunRecord) -> str:
    """The curl line of the request that a finding is about, empty if there is none."""
    if finding.evidence is None:
        return ""
    exchange = _exchange(finding.evidence.exchange, result, record)
    return curl.line(exchange, record.opening.target.base_url) if exchange is not None else ""


def _distinct(violations: Iterable[Finding]) -> list[tuple[Finding, int]]:
    """One violation of all that say the same, the first, and how often it was said."""
    found: dict[tuple[str, str, str], list[Finding]] = {}
    for each in violations:
        found.setdefault((each.clause, each.expected, each.observed), []).append(each)
    return [(same[0], len(same)) for same in found.values()]


def _also(finding: Finding, times: int) -> str:
    where = f" on {finding.evidence.exchange!r}" if finding.evidence is not None else ""
    often = f" ({times} times)" if times > 1 else ""
    return f"also {finding.clause}: expected {finding.expected}; observed {finding.observed}{where}{often}"


def _rule(finding: Finding, record: RunRecord) -> Iterator[str]:
    clause = record.opening.catalogue.clauses.get(finding.clause)
    text = f" {clause.keyword}: {clause.text}" if clause else ""
    yield f"{finding.clause}{text}"


def _seen(finding: Finding) -> Iterator[str]:
    yield f"expected: {finding.expected}"
    yield f"observed: {finding.observed}"
    if finding.evidence is not None and finding.evidence.observed:
        yield f"bytes: {_shown(finding.evidence.observed)}"


def _received(finding: Finding, result: CheckResult, record: RunRecord) -> Iterator[str]:
    """What came, when, and how to ask for it again."""
    if finding.evidence is None:
        return
    exchange = _exchange(finding.evidence.exchange, result, record)
    if exchange is not None:
        yield from _pieces(exchange, finding.evidence.at)
        if command := curl.line(exchange, record.opening.target.base_url):
            yield f"curl: {command}"
    yield from _leading(finding.evidence.leading, result, record)


def _held(result: CheckResult) -> Iterator[str]:
    """What the same check found in order: it narrows the cause."""
    held = dict.fromkeys(f"holds: {each.clause}: {each.observed}" for each in result.findings if each.holds)
    yield from list(held)[:_IN_LINES]


def _course(finding: Finding, result: CheckResult, record: RunRecord) -> Iterator[str]:
    """What the scenario did until then; nothing where the requests that led there are told already."""
    scenario = record.registry.scenarios[record.registry.checks[result.id].scenario]
    transcript = record.evidence.get(scenario.name)
    evidence = finding.evidence
    if transcript is None or scenario.gathers or evidence is None or evidence.at is None or evidence.leading:
        return
    if steps := course.lines(transcript, evidence.at):
        yield "what the scenario did:"
        yield from steps


def _transcript(result: CheckResult, record: RunRecord) -> Iterator[str]:
    """Where the bytes stand."""
    first = next((each.evidence for each in result.violations if each.evidence is not None), None)
    exchange = None if first is None else _exchange(first.exchange, result, record)
    place = "" if exchange is None else f", exchange {exchange.id}"
    yield from (f"transcript: {each.transcript}{place}" for each in result.attempts[-1:] if each.transcript)


def _leading(labels: Sequence[str], result: CheckResult, record: RunRecord) -> Iterator[str]:
    """The requests that led there, each to be repeated with the ids that the answers before it gave."""
    if not labels:
        return
    left_out = len(labels) - _LEADING
    yield "what led there, to be repeated with the ids of your own answers" + (
        f" (without the first {left_out}):" if left_out > 0 else ":"
    )
    for label in labels[-_LEADING:]:
        exchange = _exchange(label, result, record)
        if exchange is not None:
            yield f"  {curl.line(exchange, record.opening.target.base_url)}"


def _exchange(label: str, result: CheckResult, record: RunRecord) -> Exchange | None:
    scenario = record.registry.checks[result.id].scenario
    transcript: Transcript | None = record.evidence.get(scenario)
    return transcript.exchange(label) if transcript is not None else None


def _pieces(exchange: Exchange, at: int | None) -> Iterator[str]:
    yield f"exchange {exchange.label!r}: {exchange.method} {exchange.target} as {exchange.identity}"
    if exchange.head is None:
        yield f"  no answer ({exchange.ending.value} after {_after(exchange.ended_at, exchange)})"
        return
    pieces = [each for each in exchange.received if each.raw]
    first = 0
    if at is not None:
        reached = [number for number, each in enumerate(pieces) if each.at <= at]
        first = max(0, len(reached) - _PIECES // 2 - 1)
    for each in pieces[first : first + _PIECES]:
        yield f"  +{_after(each.at, exchange)} {_shown(each.raw)}"
    if first + _PIECES < len(pieces):
        yield f"  … {len(pieces) - first - _PIECES} more"
    yield f"  +{_after(exchange.ended_at, exchange)} {exchange.ending.value}"


def _after(at: int, exchange: Exchange) -> str:
    return f"{(at - exchange.sent_at) / 1e9:.3f} s"


def _shown(data: bytes) -> str:
    cut = data[:_BYTES]
    more = f" … {len(data) - _BYTES} bytes more" if len(data) > _BYTES else ""
    return f"{cut!r}{more}"
