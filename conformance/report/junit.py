"""junit.xml: for whatever reads test reports. What could not be tested is an error there, never a skip."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from datetime import UTC, datetime

from conformance.probe.legible import legible
from conformance.report import failure
from conformance.report.record import RunRecord
from conformance.verdict.lattice import Verdict
from conformance.verdict.result import CheckResult

_FAILURES = frozenset({Verdict.FAIL})
_ERRORS = frozenset({Verdict.NOT_TESTABLE, Verdict.INCONCLUSIVE, Verdict.HARNESS_ERROR})
_SKIPPED = frozenset({Verdict.NOT_APPLICABLE})


def render(record: RunRecord) -> bytes:
    """One suite per profile, one case per check; a run without any check is one error."""
    root = ET.Element("testsuites", name="busproof", time=f"{record.seconds:.3f}")
    names = sorted({record.registry.checks[each.id].profile for each in record.results})
    for name in names:
        mine = [each for each in record.results if record.registry.checks[each.id].profile == name]
        root.append(_suite(name, mine, record))
    if not names:
        root.append(_nothing(record))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(each.attrib[count]) for each in root)))
    ET.indent(root)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode").encode()


def _suite(name: str, results: Iterable[CheckResult], record: RunRecord) -> ET.Element:
    cases = [_case(name, each, record) for each in results]
    suite = ET.Element(
        "testsuite",
        name=name,
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        time=f"{sum(float(case.attrib['time']) for case in cases):.3f}",
        timestamp=datetime.fromtimestamp(record.opening.started, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    )
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", name="seed", value=str(record.opening.seed))
    suite.extend(cases)
    return suite


def _case(profile: str, result: CheckResult, record: RunRecord) -> ET.Element:
    check = record.registry.checks[result.id]
    seconds = sum(each.seconds for each in result.attempts)
    case = ET.Element(
        "testcase", classname=f"busproof.{profile}", name=f"{result.id} {check.title}", time=f"{seconds:.3f}"
    )
    told = legible("\n".join(failure.tell(result, record)))
    if result.verdict in _FAILURES:
        ET.SubElement(case, "failure", message=_summary(result), type=result.verdict.value).text = told
    elif result.verdict in _ERRORS:
        ET.SubElement(case, "error", message=_summary(result), type=result.verdict.value).text = told
    elif result.verdict in _SKIPPED:
        ET.SubElement(case, "skipped", message=_summary(result))
    elif result.verdict is Verdict.WARN:
        ET.SubElement(case, "system-out").text = told
    return case


def _nothing(record: RunRecord) -> ET.Element:
    seconds = f"{record.seconds:.3f}"
    suite = ET.Element(
        "testsuite", name="busproof", tests="1", failures="0", errors="1", skipped="0", time=seconds
    )
    case = ET.SubElement(suite, "testcase", classname="busproof", name="run", time=seconds)
    message = legible("; ".join(record.whole.reasons) or "no check ran")
    ET.SubElement(case, "error", message=message, type=record.whole.outcome.value)
    return suite


def _summary(result: CheckResult) -> str:
    found = (f"{each.clause}: {each.observed}; expected {each.expected}" for each in result.violations)
    first = next(found, result.reason)
    return legible(first)
