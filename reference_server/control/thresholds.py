"""The reachability policy of a Domain: three durations that must fit together (contract_facts 1.7, 7.5)."""

from collections.abc import Mapping
from dataclasses import dataclass

from reference_server.control import durations
from reference_server.errors import Refusal

# contract_facts 1.7: heartbeat 10s..1h, stale >= 3 x heartbeat, unreachable >= 2 x stale, both <= 1h.
_LOWEST_INTERVAL = 10 * durations.SECOND
_HIGHEST = 3600 * durations.SECOND
_STALE_FACTOR = 3
_UNREACHABLE_FACTOR = 2

_FIELDS = ("heartbeat_interval", "stale_after", "unreachable_after")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """One policy, in microseconds."""

    heartbeat_interval: int
    stale_after: int
    unreachable_after: int


# 30s, 90s, 300s.
DEFAULT = Thresholds(
    heartbeat_interval=30 * durations.SECOND,
    stale_after=90 * durations.SECOND,
    unreachable_after=300 * durations.SECOND,
)


def read(policy: Mapping[str, str]) -> Thresholds | None:
    """The policy as sent; None where each duration is empty or zero (A-40).

    Raises Refusal(`invalid_reachability_policy`) for a part of a policy and for durations that do not fit.
    """
    if not policy.keys() >= set(_FIELDS):
        raise Refusal("invalid_reachability_policy")
    try:
        values = [durations.parse(policy[name] or "0") for name in _FIELDS]
    except durations.NotADuration:
        raise Refusal("invalid_reachability_policy") from None
    if not any(values):
        return None
    interval, stale, unreachable = values
    fits = (
        _LOWEST_INTERVAL <= interval <= _HIGHEST
        and _STALE_FACTOR * interval <= stale <= _HIGHEST
        and _UNREACHABLE_FACTOR * stale <= unreachable <= _HIGHEST
    )
    if not fits:
        raise Refusal("invalid_reachability_policy")
    return Thresholds(heartbeat_interval=interval, stale_after=stale, unreachable_after=unreachable)


def render(thresholds: Thresholds) -> dict[str, str]:
    """DomainReachabilityPolicy."""
    return {name: durations.render(getattr(thresholds, name)) for name in _FIELDS}
