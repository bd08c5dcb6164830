"""Reports: transcripts read back equal, junit as others read it, failures that can be repeated."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestSuite

from conformance.report import curl, failure, junit, ndjson, record, summary, terminal
from conformance.report.folder import RunFolder, SecretInOutput
from conformance.schemas.validate import Invalid
from conformance.verdict.judge import judge
from conformance.verdict.whole import Circumstances, conclude
from tests.suite.made import CLAUSES, catalogue, check, finding, of, scenario
from tests.suite.report.reported import EXCHANGE, TRANSCRIPT, hostile, made
from tests.suite.tiny import SECRET, vault


def test_a_transcript_reads_back_equal() -> None:
    assert ndjson.parse(ndjson.render(TRANSCRIPT)) == TRANSCRIPT


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4])
def test_a_transcript_that_lost_a_line_is_refused(cut: int) -> None:
    lines = ndjson.render(TRANSCRIPT).splitlines(keepends=True)
    with pytest.raises(ndjson.BrokenTranscript):
        ndjson.parse(b"".join(lines[:cut] + lines[cut + 1 :]))


def test_a_failure_tells_clause_bytes_times_curl_and_seed() -> None:
    done = made()
    told = "\n".join(failure.tell(done.results[1], done))
    for part in (
        "MUST-2 MUST NOT: It MUST NOT lie.",
        "expected: an answer",
        "observed: what came",
        "b'bytes seen'",
        "+0.500 s b'HTTP/1.1 200 OK",
        "+1.000 s closed",
        "--select T-002 --seed 9",
        'curl -isSN --http1.1 -X PUT -H "Authorization: Bearer $BUSPROOF_NODE_A"',
        "http://bus:1/v1/x?y=1",
    ):
        assert part in told, told


def test_a_curl_line_survives_a_shell() -> None:
    line = curl.line(EXCHANGE, "http://bus:1")
    assert """--data-binary '{"it'"'"'s": 1}'""" in line and "-H 'X-Q: a\"b'" in line
    assert "Host" not in line
    assert curl.line(replace(EXCHANGE, request_raw=b"GET"), "http://bus:1") == ""


def test_junit_shows_what_was_not_tested_as_an_error() -> None:
    suites = {
        each.name: each for each in JUnitXml.fromstring(junit.render(made())) if isinstance(each, TestSuite)
    }
    stream = suites["stream"]
    assert (stream.tests, stream.failures, stream.errors, stream.skipped) == (4, 1, 1, 0)
    kinds = {case.name.split()[0]: [type(each) for each in case.result] for case in stream}
    assert kinds == {"T-001": [], "T-002": [Failure], "T-003": [], "T-004": [Error]}
    assert [type(each) for case in suites["pull"] for each in case.result] == [Skipped]


# The rules that readers of JUnit files share (the schema of Jenkins' xunit plugin, junit-10.xsd): attributes
# that must and that may stand, and the children.
RULES: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "disabled", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests"},
        {"failures", "errors", "skipped", "disabled", "time", "timestamp", "hostname", "id", "package"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": (
        {"name"},
        {"classname", "time", "assertions", "status"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}


def test_junit_keeps_the_rules_of_its_readers() -> None:
    empty = conclude([], {}, catalogue(), Circumstances(profiles=("stream",)))
    for done in (made(), hostile(), replace(made(), results=(), whole=empty)):
        root = ET.fromstring(junit.render(done))
        assert root.tag == "testsuites"
        for element in root.iter():
            must, may, children = RULES[element.tag]
            assert must <= set(element.attrib) <= must | may, element.attrib
            assert {child.tag for child in element} <= children
            assert all(float(element.attrib[name]) >= 0 for name in {"time"} & set(element.attrib))
        for suite in root:
            cases = suite.findall("testcase")
            assert int(suite.attrib["tests"]) == len(cases)
            for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                assert int(suite.attrib[count]) == sum(case.find(tag) is not None for case in cases)
        for count in ("tests", "failures", "errors"):
            assert int(root.attrib[count]) == sum(int(suite.attrib[count]) for suite in root)


def test_every_report_holds_whatever_a_target_says() -> None:
    done = hostile()
    cases = [case for suite in JUnitXml.fromstring(junit.render(done)) for case in suite]
    (text,) = {case.result[0].message for case in cases if case.name.startswith("T-002")}
    assert text.startswith("MUST-2: a%25b") and "]]>&<x/>" in text and r"\x1b[2J\x00\ud83d" in text
    assert record.parse(record.render(record.closed(done)))[1]
    told = summary.render(done).decode()
    assert told.count("```") == 2 * len(done.results) and "\x1b" not in told
    assert "\x1b" not in "".join(terminal.conclusion(done))


def test_junit_of_a_run_without_checks_is_an_error() -> None:
    empty = conclude([], {}, catalogue(), Circumstances(profiles=("stream",)))
    (suite,) = JUnitXml.fromstring(junit.render(replace(made(), results=(), whole=empty)))
    assert suite.errors == 1


def test_run_json_satisfies_its_schema_and_needs_its_footer() -> None:
    done = made()
    document = record.closed(done)
    parsed, complete = record.parse(record.render(document))
    assert complete and parsed == document and parsed["footer"]["exit"] == 1
    _, complete = record.parse(record.render(record.opened(done.opening)))
    assert not complete
    _, complete = record.parse(record.render({**document, "checks": document["checks"][:-1]}))
    assert not complete
    with pytest.raises(record.NoRecord):
        record.parse(b'{"format": "busproof/run/1"}')
    with pytest.raises(Invalid):
        record.render({**document, "more": 1})


def test_the_summary_names_failures_and_what_was_not_decided() -> None:
    text = summary.render(made()).decode()
    assert text.startswith("# non conformant (exit 1)\n") and "## T-002" in text
    assert "MUSTs that this run could not decide" not in text or "MUST-1" in text


def test_a_file_with_a_secret_is_not_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", vault())
    folder.prepare()
    with pytest.raises(SecretInOutput, match="node_a") as refused:
        folder.write("x.txt", b"see " + SECRET.encode())
    assert SECRET not in str(refused.value) and not (tmp_path / "run" / "x.txt").exists()


def test_files_are_whole_or_not_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", vault())
    folder.prepare()
    folder.write("run.json", b"old")
    folder.write("run.json", json.dumps([1]).encode())
    assert [each.name for each in (tmp_path / "run").iterdir() if each.is_file()] == ["run.json"]
    assert len(folder.digests["run.json"]) == 64


def test_what_an_earlier_run_left_is_not_believed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", vault())
    folder.prepare()
    for name in ("run.json", "junit.xml", "transcripts/one.ndjson"):
        folder.write(name, b"of an earlier run")
    (tmp_path / "run" / "notes.txt").write_text("somebody's own")
    RunFolder(tmp_path / "run", vault()).prepare()
    assert [each.name for each in (tmp_path / "run").rglob("*.*")] == ["notes.txt"]


def test_findings_that_say_the_same_are_told_once_and_many_in_a_line_each() -> None:
    made_here = [finding(holds=False)] * 5 + [
        replace(finding(holds=False), observed=f"another {number}") for number in range(20)
    ]
    told_by = check("T-001", made_here)
    registry = of(scenario(), told_by)
    result = judge(told_by, TRANSCRIPT, CLAUSES)
    whole = replace(made(), registry=registry, results=(result,))
    lines = failure.tell(result, whole)
    assert lines.count("observed: what came") == 1 and "  the same 4 times more" in lines
    assert sum(line.startswith("observed: ") for line in lines) == 3
    assert sum(line.startswith("also MUST-1: ") for line in lines) == 8
    assert "… and 10 others, in run.json" in lines
