"""What breaks the contract, and that the smallest request is the one that is shown."""

import pytest

from conformance.check import contract, contract_rules, exchanges
from conformance.check.contract_rules import Wrong
from conformance.check.model import CannotJudge
from conformance.probe.transcript import Ending, Exchange, Mark, Transcript
from tests.suite.check.documents import SMALL, THING, exchange, served

ONE = f"/v1/nodes/{THING}"


def ways(*found: Exchange) -> list[Wrong]:
    return [each.wrong for each in contract_rules.breaches(SMALL, found)]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (exchange(), []),
        (exchange(status=500, got=b"", kind=""), [Wrong.FAILED, Wrong.UNDOCUMENTED]),
        (exchange(status=0, got=b"", ending=Ending.RESET), [Wrong.FAILED]),
        (exchange(status=0, got=b"", ending=Ending.TIMEOUT), [Wrong.FAILED]),
        (exchange(status=0, got=b"", ending=Ending.LEFT), []),
        (exchange(target="/v1/things?limit=0"), [Wrong.ACCEPTED]),
        (exchange(got=b"[]"), [Wrong.UNDOCUMENTED]),
    ],
)
def test_each_way(seen: Exchange, expected: list[Wrong]) -> None:
    assert ways(seen) == expected


@pytest.mark.parametrize(("status", "count"), [(400, 1), (404, 0), (409, 0), (422, 1)])
def test_an_example_may_be_refused_by_circumstances_only(status: int, count: int) -> None:
    seen = exchange("POST", sent=b'{"name":"one"}', status=status, got=b"{}", label="examples MakeThing #1")
    assert ways(seen).count(Wrong.REFUSED) == count


def test_answers_of_one_shape_are_held_against_the_document_once_and_failures_all_counted() -> None:
    good = tuple(exchange(target=f"/v1/things?limit={number}") for number in range(1, 30))
    assert ways(*good) == []
    bad = tuple(exchange(target=f"/v1/things?limit={number}", got=b"[]") for number in range(10, 0, -1))
    (breach, count) = contract_rules.smallest(contract_rules.breaches(SMALL, bad))[
        ("ListThings", Wrong.UNDOCUMENTED)
    ]
    assert breach.exchange.target == "/v1/things?limit=1"
    assert count == len(bad)


def transcript(*found: Exchange) -> Transcript:
    mark = Mark(at=0, name="generator", facts={"seed": 17})
    return Transcript(scenario="s", started_wall=0.0, exchanges=(served(), *found), marks=(mark,))


def test_a_finding_shows_the_smallest_request_and_the_seed() -> None:
    judge = contract.of(Wrong.ACCEPTED, "HTTP-2")
    large = exchange("PUT", ONE, sent=b'{"name":1,"more":"and more"}')
    small = exchange("PUT", ONE, sent=b'{"name":1}', label="shrinking PutThing #9")
    (finding,) = judge(transcript(exchange(), large, small))
    assert not finding.holds and "seed 17" in finding.observed and '{"name":1}' in finding.observed
    assert finding.evidence is not None and finding.evidence.exchange == "shrinking PutThing #9"


@pytest.mark.parametrize("found", [(), (exchange(status=404, got=b""),), (exchange(got=b"", kind=""),)])
def test_nothing_is_concluded_where_nothing_keeps_the_contract(found: tuple[Exchange, ...]) -> None:
    with pytest.raises(CannotJudge):
        list(contract.of(Wrong.FAILED, "HTTP-3")(transcript(*found)))


def test_nothing_is_said_about_refusals_that_were_never_provoked() -> None:
    assert not list(contract.of(Wrong.ACCEPTED, "HTTP-2")(transcript(exchange())))
    assert not list(contract.of(Wrong.REFUSED, "HTTP-2")(transcript(exchange())))


@pytest.mark.parametrize(
    ("status", "allow", "holds"),
    [(405, "GET, HEAD, POST", True), (405, "GET", False), (405, "", False), (404, "GET, POST", False)],
)
def test_methods_are_listed(status: int, allow: str, holds: bool) -> None:
    refused = exchange("DELETE", status=status, headers=(("Allow", allow),), label="coverage /v1/things #2")
    (finding,) = contract.judge_methods(transcript(exchange(), refused))
    assert finding.holds is holds


def stored(scenario: str, *found: Exchange) -> Transcript:
    return Transcript(scenario=scenario, started_wall=0.0, exchanges=found, marks=())


def test_of_all_transcripts_one_exchange_of_each_kind_is_gathered() -> None:
    own = stored("exchanges", served())
    first = stored("a", exchange(), exchange(target="/v1/things?limit=3"), exchange(status=404, got=b"{}"))
    second = stored("b", exchange(got=b'{"id":2}'), exchange(got=b'{"id":"other"}'))
    gathered = exchanges.gather((first, second), own)
    assert [each.label for each in gathered.exchanges[1:]] == [
        "of a: fuzzing ListThings #1",
        "of a: fuzzing ListThings #1",
        "of b: fuzzing ListThings #1",
    ]
    assert [each.id for each in gathered.exchanges] == [1, 2, 3, 4]


def test_what_was_gathered_is_judged_by_itself() -> None:
    own = stored("exchanges", served())
    bad = stored("a", exchange(), exchange("PUT", ONE, sent=b'{"name":1}'), exchange("PUT", ONE, got=b"[]"))
    gathered = exchanges.gather((bad,), own)
    assert [each.holds for each in exchanges.judge_answers(gathered)] == [False]
    assert [each.holds for each in exchanges.judge_requests(gathered)] == [False]


def test_events_are_gathered_by_type_and_shape() -> None:
    def event(number: int, payload: bytes) -> bytes:
        return b'id: %d\nevent: gone\ndata: {"type":"gone","payload":%b}\n\n' % (number, payload)

    good, bad = event(1, b'{"node_id":"%b"}' % THING.encode()), event(2, b'{"node_id":1}')
    streams = [
        exchange(target=f"{ONE}/events", kind="text/event-stream", got=got, label=str(number))
        for number, got in enumerate((good, good, good + bad))
    ]
    gathered = exchanges.gather((stored("a", *streams),), stored("exchanges", served()))
    assert [each.label for each in gathered.exchanges[1:]] == ["of a: 0", "of a: 2"]
    assert sorted(each.holds for each in exchanges.judge_payloads(gathered)) == [False, True, True]
