"""Go durations and the policies that are made of them."""

import pytest

from reference_server.control import durations, thresholds
from reference_server.errors import Refusal

S = 1_000_000


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("0s", 0),
        ("30s", 30 * S),
        ("1m30s", 90 * S),
        ("1h0m0s", 3600 * S),
        ("1.5m", 90 * S),
        (".5h", 1800 * S),
        ("10000ms", 10 * S),
        ("10s1us", 10 * S + 1),
        ("10s1µs", 10 * S + 1),
        ("10s999ns", 10 * S),
        ("+90s", 90 * S),
    ],
)
def test_what_go_parses(text: str, micros: int) -> None:
    assert durations.parse(text) == micros


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-30s", "30 s", "30S", "1d", ".s", "30s\n", "1e3s", "٣s", "9" * 99]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(durations.NotADuration):
        durations.parse(text)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0s"),
        (30 * S, "30s"),
        (90 * S, "1m30s"),
        (300 * S, "5m0s"),
        (3600 * S, "1h0m0s"),
        (10 * S + 500_000, "10.5s"),
    ],
)
def test_rendered_as_go_does(micros: int, text: str) -> None:
    assert durations.render(micros) == text
    assert durations.parse(text) == micros


def policy(heartbeat: str, stale: str, unreachable: str) -> dict[str, str]:
    return {"heartbeat_interval": heartbeat, "stale_after": stale, "unreachable_after": unreachable}


def test_a_policy_reads_and_renders() -> None:
    read = thresholds.read(policy("30s", "90s", "300s"))
    assert read == thresholds.DEFAULT
    assert thresholds.render(thresholds.DEFAULT) == policy("30s", "1m30s", "5m0s")


@pytest.mark.parametrize("nothing", [policy("", "", ""), policy("0s", "0", "0h")])
def test_nothing_said_is_none(nothing: dict[str, str]) -> None:
    assert thresholds.read(nothing) is None


@pytest.mark.parametrize(
    "edge", [policy("10s", "30s", "60s"), policy("10s", "30m", "1h"), policy("600s", "30m", "1h")]
)
def test_the_edges_fit(edge: dict[str, str]) -> None:
    assert thresholds.read(edge) is not None


@pytest.mark.parametrize(
    "unfit",
    [
        {"heartbeat_interval": "30s"},
        policy("30s", "90s", ""),
        policy("9s", "90s", "300s"),
        policy("61m", "3h3m", "7h"),
        policy("30s", "89s", "300s"),
        policy("30s", "90s", "179s"),
        policy("30s", "31m", "61m"),
        policy("30s", "90s", "soon"),
    ],
)
def test_a_policy_that_does_not_fit(unfit: dict[str, str]) -> None:
    with pytest.raises(Refusal) as caught:
        thresholds.read(unfit)
    assert caught.value.code == "invalid_reachability_policy"


@pytest.mark.parametrize(
    "part", [{}, {"stale_after": "90s"}, {"heartbeat_interval": "30s", "stale_after": "90s"}]
)
def test_a_part_of_a_policy_is_refused_also_an_empty_one(part: dict[str, str]) -> None:
    with pytest.raises(Refusal) as refused:
        thresholds.read(part)
    assert refused.value.code == "invalid_reachability_policy"
