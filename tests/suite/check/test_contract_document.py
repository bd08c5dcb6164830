"""The document as a judge: what may be asked, what may be answered, and what cannot be told."""

import pytest

from conformance.check import contract_document
from conformance.check.contract_document import Kind
from conformance.check.model import CannotJudge
from conformance.probe.transcript import Exchange, Transcript
from tests.suite.check.documents import RAW, SMALL, THING, exchange, served

ONE = f"/v1/nodes/{THING}"


def of(*exchanges: Exchange) -> Transcript:
    return Transcript(scenario="s", started_wall=0.0, exchanges=exchanges, marks=())


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        (exchange(), False),
        (exchange(target="/v1/things?limit=5"), False),
        (exchange(target="/v1/things?limit=0"), True),
        (exchange(target="/v1/things?limit=x"), True),
        (exchange(target="/v1/things?other=x"), False),
        (exchange(target=ONE), False),
        (exchange(target="/v1/nodes/7"), True),
        (exchange("PUT", ONE, sent=b'{"name":"a"}'), False),
        (exchange("PUT", ONE, sent=b'{"name":""}'), True),
        (exchange("PUT", ONE, sent=b'{"name":1}'), True),
        (exchange("PUT", ONE, sent=b"\xff"), True),
        (exchange("PUT", ONE), True),
        (exchange("PATCH", ONE), True),
        (exchange(target="/v1/other"), True),
    ],
)
def test_a_request_is_allowed_or_not(asked: Exchange, wrong: bool) -> None:
    assert bool(SMALL.request_faults(asked)) is wrong


def test_nothing_is_said_of_an_escaped_slash() -> None:
    assert SMALL.request_faults(exchange(target="/v1/nodes/a%2Fb")) == ()


@pytest.mark.parametrize(
    ("answered", "kinds"),
    [
        (exchange(), set()),
        (exchange(status=404, got=b'{"status":404}', kind="application/problem+json"), set()),
        (exchange(status=201), {Kind.STATUS}),
        (exchange(kind="text/html"), {Kind.TYPE}),
        (exchange(got=b"[]"), {Kind.BODY}),
        (exchange(got=b"{"), {Kind.BODY}),
        (exchange(got=b"{}"), {Kind.BODY}),
        (exchange(target="/v1/other", status=404), set()),
        (exchange(target="/v1/other"), {Kind.STATUS}),
        (exchange("PATCH", status=405), set()),
        (exchange("PATCH"), {Kind.STATUS}),
        (exchange(status=431), set()),
        (exchange("HEAD", got=b""), set()),
    ],
)
def test_an_answer_is_one_of_the_document_or_not(answered: Exchange, kinds: set[Kind]) -> None:
    assert {each.kind for each in SMALL.answer_faults(answered)} == kinds


def test_masked_values_are_not_held_against_the_target() -> None:
    faults = SMALL.payload_faults("gone", {"node_id": "X" * 36})
    assert faults == ()
    assert SMALL.payload_faults("gone", {"node_id": "Y" * 36})


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [("gone", {"node_id": THING}, 0), ("gone", {"node_id": THING, "why": 1}, 1), ("other", {}, None)],
)
def test_payloads_are_held_against_their_type(kind: str, payload: object, expected: int | None) -> None:
    faults = SMALL.payload_faults(kind, payload)
    assert (None if faults is None else len(faults)) == expected


def test_the_document_is_the_targets_and_ours_where_it_serves_none() -> None:
    assert contract_document.of(of(served())).raw["info"] == RAW["info"]
    for wrong in (exchange(label="openapi", status=404), exchange(label="openapi", got=b"<html>")):
        document = contract_document.of(of(wrong))
        assert not document.served and "/v1/nodes/{id}/events" in document.raw["paths"]


def test_without_having_asked_nothing_is_judged() -> None:
    with pytest.raises(CannotJudge):
        contract_document.of(of())


def test_streams_are_left_to_their_own_checks() -> None:
    paths = RAW["paths"]
    assert contract_document.streams(paths["/v1/nodes/{id}/events"]["get"])
    assert not contract_document.streams(paths["/v1/things"]["get"])
    assert not contract_document.judged_here(exchange(kind="text/event-stream"))
