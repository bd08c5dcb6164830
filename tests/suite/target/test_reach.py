"""Grades and effects: what a target gives, and what may be done to it."""

from dataclasses import replace

import pytest

from conformance.catalogue.load import catalogue
from conformance.check import expand, registry
from conformance.target import driver as drivers
from conformance.target import reach
from conformance.target.grade import Effect, Grade
from conformance.target.model import Claims, Identity, Target

LOCAL = Target(name="t", base_url="http://127.0.0.1:1")
FAR = Target(name="t", base_url="https://bus.example.org", may_disrupt=True)
OPERATOR = {"operator": Identity(label="operator", credential="operator-token")}
NODE = {"node_a": Identity(label="node_a", credential="nsk_x_abcdefgh", node_id="n")}
EVERY = frozenset(Effect)


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://localhost:1", True),
        ("http://127.8.0.1", True),
        ("http://[::1]:8", True),
        ("http://10.0.0.1", False),
        ("https://localhost.example.org", False),
    ],
)
def test_loopback(url: str, is_local: bool) -> None:
    assert reach.loopback(replace(LOCAL, base_url=url)) is is_local


@pytest.mark.parametrize(
    ("target", "allowed", "effects"),
    [
        (FAR, (), {Effect.READ}),
        (FAR, ("write",), {Effect.READ, Effect.WRITE_OWN}),
        (FAR, ("disruptive",), EVERY),
        (replace(FAR, may_disrupt=False), ("disruptive",), {Effect.READ, Effect.WRITE_OWN}),
        (LOCAL, (), {Effect.READ, Effect.WRITE_OWN}),
        (LOCAL, ("disruptive",), {Effect.READ, Effect.WRITE_OWN}),
        (replace(LOCAL, may_disrupt=True, ephemeral=True), (), EVERY),
    ],
)
def test_effects(target: Target, allowed: tuple[str, ...], effects: frozenset[Effect]) -> None:
    assert reach.effects(target, allowed) == effects


@pytest.mark.parametrize(
    ("identities", "powers", "grade"),
    [
        ({}, (), Grade.G0),
        (NODE, (), Grade.G0),
        (OPERATOR, (), Grade.G2),
        (NODE, ("publish",), Grade.G2),
        ({}, ("publish",), Grade.G1),
        (OPERATOR, reach.ALL_POWERS, Grade.G3),
        (OPERATOR, reach.FAULT_POWERS, Grade.G3),
        (OPERATOR, reach.ALL_POWERS - {"evict"}, Grade.G2),
        (OPERATOR, reach.ALL_POWERS - {"stop log"}, Grade.G2),
    ],
)
def test_grades(identities: dict[str, Identity], powers: tuple[str, ...], grade: Grade) -> None:
    found, reasons = reach.grade(replace(LOCAL, identities=identities), frozenset(powers), EVERY)
    assert found is grade
    assert bool(reasons) is (grade is not Grade.G3)


def test_an_operator_that_may_not_write_gives_no_more_than_reading() -> None:
    found, _ = reach.grade(replace(FAR, identities=OPERATOR), frozenset(), frozenset({Effect.READ}))
    assert found is Grade.G0


def test_a_far_target_gets_few_requests() -> None:
    assert reach.limits(FAR, frozenset({Effect.READ})) == (2_000, 4)
    assert reach.limits(LOCAL, frozenset({Effect.READ, Effect.WRITE_OWN}))[0] > 2_000


@pytest.mark.parametrize(
    ("verbs", "stops", "kills", "lacks"),
    [
        (drivers.VERBS, drivers.STOPS, True, set()),
        (drivers.VERBS, drivers.STOPS, False, {"restart by kill"}),
        (drivers.VERBS, ("log",), True, {"stop database"}),
        (tuple(set(drivers.VERBS) - {"restart"}), drivers.STOPS, True, {"restart", "restart by kill"}),
        (tuple(set(drivers.VERBS) - {"start"}), drivers.STOPS, True, {"stop database"}),
        ((), drivers.STOPS, True, set(reach.BEYOND) - reach.PARTS),
    ],
)
def test_what_a_driver_lacks_beyond_its_grade(
    verbs: tuple[str, ...], stops: tuple[str, ...], kills: bool, lacks: set[str]
) -> None:
    powers = drivers.powers(frozenset(verbs), stops, kills=kills)
    assert reach.lacks(powers) == lacks | reach.PARTS


@pytest.mark.parametrize(("base_urls", "parts"), [((), set()), (("http://a", "http://b"), reach.PARTS)])
def test_replicas_are_there_where_the_target_names_two(base_urls: tuple[str, ...], parts: set[str]) -> None:
    target = replace(LOCAL, base_urls=base_urls)
    assert reach.parts(target) == parts
    known = registry.collect()
    claims = Claims(
        profiles=("durability",), grade=Grade.G3, effects=frozenset(Effect), lacks=reach.PARTS - parts
    )
    plan = expand.expand(known, claims, seed=1, select=["ENV-020"])
    assert [each.id for each in plan.unclaimed] == ([] if parts else ["ENV-020"])
    reason = expand.inapplicable(known.checks["ENV-020"], known, claims)
    assert reason == ("" if parts else "the target has no second base URL")


def test_what_is_beyond_names_clauses_and_is_the_durability_profile() -> None:
    known = registry.collect()
    for scenario in known.scenarios.values():
        assert scenario.needs <= reach.BEYOND.keys()
        assert not scenario.needs or {each.profile for each in known.checks_of(scenario.name)} == {
            "durability"
        }
    for clauses in reach.BEYOND.values():
        assert set(clauses) <= set(catalogue().clauses)
