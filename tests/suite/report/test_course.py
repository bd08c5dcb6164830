"""What a scenario did is told in the order of time, whoever did it, around the place that matters."""

from dataclasses import replace

from conformance.check.model import Evidence
from conformance.probe.transcript import Ending, Mark, Received, Transcript
from conformance.report import course, failure
from tests.suite.report.reported import EXCHANGE, made

FRAME = b'id: 7\nevent: rotate_keys\ndata: {"key_id":"k-1"}\n\n'
SECOND = 1_000_000_000
STREAM = replace(
    EXCHANGE,
    label="stream",
    method="GET",
    target="/events",
    sent_at=SECOND,
    received=(Received(at=4 * SECOND, raw=FRAME, body=FRAME),),
    ended_at=6 * SECOND,
    ending=Ending.LEFT,
)
PUT = replace(EXCHANGE, id=2, label="put", target="/x", sent_at=3 * SECOND, received=(), ended_at=4 * SECOND)
STOPPED = Mark(at=2 * SECOND, name="driver.stop", facts={"parameters": {"what": "log"}, "result": {}})
FACT = Mark(at=2 * SECOND, name="node a", facts={"node_id": "1"})
TRANSCRIPT = Transcript(scenario="one", started_wall=0.0, exchanges=(STREAM, PUT), marks=(STOPPED, FACT))


def test_acts_requests_and_events_in_the_order_of_time() -> None:
    assert course.lines(TRANSCRIPT, 4 * SECOND) == [
        "  +0.000 s GET /events as node_a: 200 ('stream')",
        "  +1.000 s driver: stop what log",
        "  +2.000 s PUT /x as node_a: 200 ('put')",
        "  +3.000 s 'stream' <- 7 rotate_keys by key k-1",
        "  +5.000 s 'stream' left",
    ]


def test_only_what_is_near_is_told() -> None:
    many = tuple(replace(PUT, id=number, label=f"{number}", sent_at=number * SECOND) for number in range(100))
    told = course.lines(replace(TRANSCRIPT, exchanges=many, marks=()), 50 * SECOND)
    assert len(told) == 22 and told[0].endswith("('35')") and told[-1].endswith("('56')")


def test_one_step_is_no_course() -> None:
    assert course.lines(replace(TRANSCRIPT, exchanges=(PUT,), marks=()), SECOND) == []


def test_a_failure_tells_what_held_and_what_the_scenario_did() -> None:
    done = made()
    result = done.results[1]
    wrong = replace(result.findings[0], evidence=Evidence(exchange="stream", at=4 * SECOND))
    kept = replace(wrong, holds=True, observed="the order of the commits", evidence=None)
    told = failure.tell(replace(result, findings=(wrong, kept)), replace(done, evidence={"one": TRANSCRIPT}))
    assert f"holds: {kept.clause}: the order of the commits" in told
    assert told[told.index("what the scenario did:") + 2] == "  +1.000 s driver: stop what log"


def test_a_clause_and_an_exchange_are_told_once() -> None:
    done = made()
    result = done.results[1]
    twice = (result.findings[0], replace(result.findings[0], observed="something else"))
    told = failure.tell(replace(result, findings=twice), done)
    assert sum(each.startswith("MUST-2 MUST NOT") for each in told) == 1
    assert sum(each.startswith("curl: ") for each in told) == 1
    assert [each for each in told if each.startswith("observed: ")] == [
        "observed: what came",
        "observed: something else",
    ]


def test_what_judges_all_that_came_is_repeated_with_all() -> None:
    done = made()
    gathering = replace(done.registry.scenarios["one"], gathers=lambda others, own: own)
    registry = replace(done.registry, scenarios={"one": gathering})
    assert failure.repetition(done.results[1], replace(done, registry=registry)) == (
        "repeat: busproof run TARGET --profile stream --seed 9"
    )
    own = replace(done.opening, target=replace(done.opening.target, ephemeral=True))
    assert failure.repetition(done.results[1], replace(done, opening=own)) == (
        "repeat: busproof run --reference --select T-002 --seed 9"
    )
