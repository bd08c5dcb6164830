"""Parity: histories are data, the judge sees what a damaged record lost, a failing history is made small."""

import random
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from conformance import acting
from conformance.catalogue.load import catalogue
from conformance.check import parity, parity_acts, parity_rules, parity_steps, registry
from conformance.check.parity_steps import CALM, COMPARISONS, STORMY, Kind, Mix, Silence, Step, Steps
from conformance.probe.transcript import Exchange, Transcript
from conformance.target import reference
from conformance.verdict.judge import judge
from conformance.verdict.lattice import Verdict
from tests.suite.mutants import bench

CHECKS = {each.id: each for each in parity.CHECKS}
# Half a second of silence or less: 50 s stay healthy, 100 s do not.
NEVER = "never_reported"


@pytest.mark.parametrize("mix", [CALM, STORMY], ids=["calm", "stormy"])
def test_every_history_has_every_kind_and_is_compared_often_enough(mix: Mix) -> None:
    kinds = {*mix.weights, *(step.kind for steps in mix.sequences for step in steps)}
    for seed in range(100):
        history = parity_steps.history("h", seed, mix)
        assert {step.kind for step in history.steps} == kinds
        assert parity_steps.comparisons(history.steps) >= COMPARISONS


def test_a_seed_means_one_history() -> None:
    first = [parity_steps.history("h", seed, STORMY) for seed in range(20)]
    assert first == [parity_steps.history("h", seed, STORMY) for seed in range(20)]
    assert len({each.steps for each in first}) == len(first)


def test_what_is_missed_is_compared_once_the_agent_is_back() -> None:
    away, put = Step(kind=Kind.AWAY, pick=2), Step(kind=Kind.PUT, pick=1)
    assert [compared for _, compared in parity_steps.walked((put, away, put, put, put))] == [
        True,
        False,
        False,
        True,
        True,
    ]
    assert parity_steps.walked((away,))[-1][1], "a history ends with a comparison"


@pytest.mark.parametrize(
    ("moves", "told"),
    [
        ((50.0,), ()),
        ((50.0, 50.0), ("stale",)),
        ((100.0, 250.0), ("stale", "unreachable")),
        ((400.0, 400.0), ("stale", "unreachable")),
    ],
)
def test_silence_moves_a_healthy_node(moves: tuple[float, ...], told: tuple[str, ...]) -> None:
    silence, first = Silence(state=NEVER).beaten()
    assert first == ("healthy",) and Silence(state=NEVER).passed(1000)[1] == ()
    seen: list[str] = []
    for seconds in moves:
        silence, more = silence.passed(seconds)
        seen += more
    assert tuple(seen) == told


async def test_a_failing_history_is_made_small() -> None:
    steps = tuple(Step(kind=random.Random(n).choice(list(Kind)), pick=n) for n in range(40))
    culprits = {steps[7], steps[31]}
    asked = 0

    async def fails(fewer: Steps) -> bool:
        nonlocal asked
        asked += 1
        return culprits <= set(fewer)

    assert set(await parity_steps.smallest(steps, fails, tries=200)) == culprits
    assert asked <= 200
    asked = 0
    assert culprits <= set(await parity_steps.smallest(steps, fails, tries=5)) and asked <= 5


async def acted(name: str, launch: tuple[str, ...] = reference.LAUNCH) -> Transcript:
    async with AsyncExitStack() as stack:
        started = reference.started(descoped=False, claims=("parity",), launch=launch)
        kit = await bench.kit_for(await stack.enter_async_context(started), ("parity",), stack)
        done = await acting.act(registry.collect().scenarios[name], kit)
    assert done.obstacle is None, done.reason
    return done.transcript


def verdicts(transcript: Transcript) -> dict[str, Verdict]:
    checks = [each for each in parity.CHECKS if each.scenario == transcript.scenario]
    return {each.id: judge(each, transcript, catalogue().clauses).verdict for each in checks}


def without(exchange: Exchange, event: str) -> Exchange:
    """The stream as if the frames of that event had never come, but for the marker's."""
    whole = b"".join(each.body for each in exchange.received)
    kept = [frame for frame in whole.split(b"\n\n")[:-1] if f"event: {event}\n".encode() not in frame]
    body = b"".join(frame + b"\n\n" for frame in kept)
    last = exchange.received[-1]
    return replace(exchange, received=(replace(last, raw=body, body=body),))


def lacking(transcript: Transcript, event: str) -> Transcript:
    exchanges = tuple(
        without(each, event) if " stream" in each.label else each for each in transcript.exchanges
    )
    return replace(transcript, exchanges=exchanges)


def gapped(transcript: Transcript) -> Transcript:
    """The record as if each resumed stream lacked its first frame."""

    def shortened(exchange: Exchange) -> Exchange:
        if not any(name == "Last-Event-ID" for name, _ in exchange.request_headers):
            return exchange
        body = b"".join(each.body for each in exchange.received).partition(b"\n\n")[2]
        return replace(exchange, received=(replace(exchange.received[-1], raw=body, body=body),))

    return replace(transcript, exchanges=tuple(shortened(each) for each in transcript.exchanges))


async def test_the_judge_sees_what_the_record_lacks() -> None:
    whole = await acted("parity")
    assert set(verdicts(whole).values()) == {Verdict.PASS}
    assert verdicts(lacking(whole, "peer_registered"))["PULL-021"] is Verdict.FAIL
    assert verdicts(lacking(whole, "node_state_updated"))["PULL-022"] is Verdict.FAIL
    assert verdicts(gapped(whole))["PULL-024"] is Verdict.FAIL
    assert verdicts(lacking(whole, "peer_endpoint_changed"))["OUT-030"] is Verdict.FAIL
    points = {name: parity_rules.points(whole, name) for name in parity_rules.histories(whole)}
    assert all(len(each) >= COMPARISONS for each in points.values())
    hows = Counter(point.how for each in points.values() for point in each)
    assert hows[parity_acts.RESUMED] >= len(points)
    short = replace(whole, marks=[each for each in whole.marks if each.facts.get("after", 0) in (0, 1, 2)])
    assert verdicts(short)["PULL-021"] is Verdict.NOT_TESTABLE, "too few comparisons are no pass"


async def test_a_failing_history_is_told_as_few_requests() -> None:
    transcript = await acted("parity", ("-m", "fixtures.broken", "deletion-untold"))
    result = judge(CHECKS["PULL-022"], transcript, catalogue().clauses)
    (finding,) = (each for each in result.findings if not each.holds)
    assert "seed" in finding.observed and "delete an entry" in finding.observed
    assert finding.evidence is not None
    labels = finding.evidence.leading
    deletes = [each for each in transcript.exchanges if each.label in labels and each.method == "DELETE"]
    whole = parity_steps.history("h1", 0, CALM).steps
    assert deletes and len(labels) < 3 * len(whole), "smaller than the history that failed first"
    assert labels[-1] == finding.evidence.exchange
