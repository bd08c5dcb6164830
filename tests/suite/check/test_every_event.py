"""Whatever stream of the run a wrong event came on, it is found, and the shortest such stream is shown."""

import json
from collections.abc import Iterable

import pytest

from conformance.check import every_event
from conformance.check.model import CannotJudge, Finding
from conformance.probe.transcript import Exchange, Transcript
from tests.suite.check.documents import exchange

OWN = Transcript(scenario="every_event", started_wall=0.0, exchanges=(), marks=())
WHOLE = {
    "id": "0198c0de-0000-7000-8000-000000000001",
    "type": "peer_registered",
    "scope": "domain:0198c0de-0000-7000-8000-0000000000aa",
    "key_id": "k",
    "issued_at": "2026-11-01T00:00:00.5Z",
    "payload": {},
    "signature": "A" * 86 + "==",
}


def stream(label: str, *events: dict[str, object], ends: bytes = b"\n\n") -> Exchange:
    frames = [
        b"id: %d\nevent: peer_registered\ndata: %b" % (number, _spelled(each)) + ends
        for number, each in enumerate(events, start=1)
    ]
    return exchange(label=label, got=b"".join(frames), kind="text/event-stream")


def _spelled(event: dict[str, object]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def gathered(*exchanges: Exchange) -> Transcript:
    return every_event.gather(
        [Transcript(scenario="s", started_wall=0.0, exchanges=exchanges, marks=())], OWN
    )


def broken(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(each.clause, each.evidence.exchange) for each in findings if not each.holds and each.evidence]


ZERO = {**WHOLE, "issued_at": "2026-11-01T00:00:00.50Z"}
OTHER = {**WHOLE, "type": "peer_deregistered"}


def test_a_run_without_fault_says_how_much_was_seen() -> None:
    transcript = gathered(stream("a", WHOLE), stream("b", WHOLE, WHOLE), exchange())
    findings = [*every_event.judge_frames(transcript), *every_event.judge_envelopes(transcript)]
    assert {each.clause for each in findings} == {
        clause for check in every_event.CHECKS for clause in check.clauses
    }
    assert {(each.holds, each.observed) for each in findings} == {(True, "3 events on 2 streams")}


def test_the_shortest_stream_that_breaks_a_clause_is_shown() -> None:
    transcript = gathered(stream("long", WHOLE, WHOLE, ZERO), stream("short", ZERO), stream("a", WHOLE))
    assert broken(every_event.judge_envelopes(transcript)) == [("ENV-6", "of s: short")]
    assert broken(every_event.judge_frames(transcript)) == []


def test_each_clause_has_its_stream() -> None:
    transcript = gathered(stream("a", ZERO), stream("b", OTHER, OTHER), stream("c", WHOLE, ends=b"\n\n\n"))
    assert {clause for clause, _ in broken(every_event.judge_envelopes(transcript))} == {"ENV-6", "ENV-11"}
    assert broken(every_event.judge_frames(transcript)) == [("SSE-2", "of s: c")]


def test_nothing_is_concluded_from_no_event() -> None:
    with pytest.raises(CannotJudge):
        list(every_event.judge_envelopes(gathered(exchange(), stream("quiet"))))
