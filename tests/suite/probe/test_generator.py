"""Drafts: one seed means one list of them, distinct, from every phase; shrinking asks and finds less."""

import importlib
from pathlib import Path

import pytest

from conformance.probe.draft import Draft, Phase
from conformance.probe.generator import Amounts, Answer, Generator
from tests.suite.check.documents import RAW

AMOUNTS = Amounts(coverage=10, valid=3, invalid=4)


def made(seed: int) -> tuple[Draft, ...]:
    return Generator(RAW, seed=seed).drafts("PutThing", "put", "/v1/nodes/{id}", AMOUNTS)


def test_a_seed_means_one_list() -> None:
    assert made(5) == made(5)
    assert made(5) != made(6)


def test_what_else_is_loaded_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = made(5)
    (tmp_path / "busproof_other.py").write_text("WORDS = ['kettle', 'teapot', 7719, 8861, 991.25]\n" * 40)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("busproof_other")
    assert made(5) == before


def test_every_phase_has_its_share_and_nothing_is_sent_twice() -> None:
    drafts = made(5)
    phases = [each.phase for each in drafts]
    assert phases[0] is Phase.EXAMPLES
    assert phases.count(Phase.COVERAGE) <= AMOUNTS.coverage
    assert 1 < phases.count(Phase.FUZZING) <= AMOUNTS.valid + AMOUNTS.invalid
    assert {each.valid for each in drafts} == {True, False}
    assert len({(each.method, each.target, each.content_type, each.body) for each in drafts}) == len(drafts)


def test_an_operation_that_takes_nothing_has_nothing_that_could_be_wrong() -> None:
    raw = {
        **RAW,
        "security": [],
        "paths": {"/v1/health": {"get": {"operationId": "Health", "responses": {}}}},
    }
    drafts = Generator(raw, seed=1).drafts("Health", "get", "/v1/health", AMOUNTS)
    assert [(each.method, each.target) for each in drafts if each.operation] == [("GET", "/v1/health")]


def test_methods_that_the_path_has_not_are_of_no_operation() -> None:
    amounts = Amounts(coverage=100, valid=0, invalid=0)
    drafts = Generator(RAW, seed=1).drafts("ListThings", "get", "/v1/things", amounts)
    strange = {each.method for each in drafts if not each.operation}
    assert strange and strange <= {"PUT", "PATCH", "DELETE"}


@pytest.mark.parametrize("tries", [1, 25])
def test_shrinking_asks_no_more_than_it_may(tries: int) -> None:
    asked: list[Draft] = []

    def wrong(draft: Draft) -> bool:
        asked.append(draft)
        return len(draft.body) > 1

    generator = Generator(RAW, seed=3)
    like = next(each for each in made(3) if each.phase is Phase.FUZZING and not each.valid)
    generator.shrink(like, wrong, tries=tries)
    assert 0 < len(asked) <= tries
    assert all(each.phase is Phase.SHRINKING for each in asked)


def test_shrinking_finds_less() -> None:
    asked: list[Draft] = []

    def wrong(draft: Draft) -> bool:
        asked.append(draft)
        return True

    generator = Generator(RAW, seed=3)
    like = max((each for each in made(3) if each.phase is Phase.FUZZING), key=lambda each: len(each.body))
    generator.shrink(like, wrong, tries=60)
    assert min(len(each.body) for each in asked) < len(like.body)


def test_chains_are_of_the_named_operations_within_their_number_of_steps() -> None:
    sent: list[Draft] = []

    def send(draft: Draft) -> Answer | None:
        sent.append(draft)
        return Answer(status=200, headers={"Content-Type": "application/json"}, body=b'{"id":"7"}')

    Generator(RAW, seed=3).chains(send, {"MakeThing", "GetThing", "PutThing"}, chains=4, steps=5)
    assert sent and len(sent) <= 4 * 5
    assert {each.operation for each in sent} <= {"MakeThing", "GetThing", "PutThing"}
    assert {each.phase for each in sent} == {Phase.STATEFUL}
