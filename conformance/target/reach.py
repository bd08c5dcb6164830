"""How far a target lets itself be moved, and what a run may do to it: grades and effects, and why."""

import ipaddress
from collections.abc import Collection, Mapping, Set
from types import MappingProxyType
from urllib.parse import urlsplit

from conformance.target.grade import Effect, Grade
from conformance.target.model import Target

# The powers that together make G3 (suite.md, "Target and driver"): what any server can be made to do.
FAULT_POWERS = frozenset({"stop log", "evict", "advance_clock", "wire", "signing_key", "drop_streams"})

# Powers that presuppose something kept outside the process, and the MUSTs that only they can show whole. A
# scenario names those that it needs, and belongs to the profile `durability`; a report names what a driver
# without them leaves untested.
BEYOND: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "restart": ("SSE-8", "CUR-7"),
        "restart by kill": ("OUT-3",),
        "stop database": ("GATE-11", "PULL-5", "OUT-8"),
        "second base URL": ("CUR-7", "ENV-10a", "GATE-15"),
    }
)

# What a server may rightly have none of, as it is one process. A check that needs it does not apply then, and
# is named as untested all the same.
PARTS = frozenset({"second base URL"})
_REPLICAS = 2

ALL_POWERS = FAULT_POWERS | (BEYOND.keys() - PARTS) | {"publish"}

# A deployment that somebody uses gets GETs, on few connections, and not many of them (suite.md, "Safe on a
# live deployment"); what we may write on takes what the checks need.
LIVE_REQUESTS, LIVE_CONNECTIONS = 2_000, 4
READING = frozenset({Effect.READ})
OWN_REQUESTS, OWN_CONNECTIONS = 1_000_000, 64

ALLOW_WRITE = "write"
ALLOW_DISRUPTIVE = "disruptive"


def loopback(target: Target) -> bool:
    """True if the target can only be on this machine."""
    host = urlsplit(target.base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def effects(target: Target, allowed: Collection[str]) -> frozenset[Effect]:
    """Reading always; writing our own on loopback or if allowed; disrupting if flag and file say so."""
    found = {Effect.READ}
    if loopback(target) or ALLOW_WRITE in allowed or ALLOW_DISRUPTIVE in allowed:
        found.add(Effect.WRITE_OWN)
    if target.may_disrupt and (ALLOW_DISRUPTIVE in allowed or target.ephemeral):
        found.add(Effect.DISRUPTIVE)
    return frozenset(found)


def limits(target: Target, may: Set[Effect]) -> tuple[int, int]:
    """How many requests a run may send to the target, and on how many connections at once."""
    if Effect.WRITE_OWN in may and loopback(target):
        return OWN_REQUESTS, OWN_CONNECTIONS
    return LIVE_REQUESTS, OWN_CONNECTIONS if Effect.WRITE_OWN in may else LIVE_CONNECTIONS


def connections(asked: int | None, usual: int, may: Set[Effect]) -> int:
    """How many connections at once: as asked, but where only reading is allowed never more than usual."""
    if asked is None:
        return usual
    return asked if Effect.WRITE_OWN in may else min(asked, usual)


def parts(target: Target) -> frozenset[str]:
    """What the target file itself shows that there is."""
    return frozenset({"second base URL"} if len(target.base_urls) >= _REPLICAS else ())


def lacks(powers: Set[str]) -> frozenset[str]:
    """The powers beyond G3 that a target with its driver does not have."""
    return frozenset(BEYOND.keys() - powers)


def grade(target: Target, powers: Set[str], may: Set[Effect]) -> tuple[Grade, tuple[str, ...]]:
    """The grade, and for each grade below G3 what it lacks."""
    operator = target.identity("operator") is not None
    writing = operator and Effect.WRITE_OWN in may
    nodes = any(each.node_id for each in target.identities.values())
    lacking = sorted(FAULT_POWERS - powers)
    steps = (
        (
            Grade.G1,
            writing or "publish" in powers,
            "no operator that may write, and no driver that can publish",
        ),
        (Grade.G2, writing or nodes, "no Node whose snapshot could be read"),
        (Grade.G3, not lacking, f"the driver lacks {', '.join(lacking)}"),
    )
    for step, reached, lack in steps:
        if not reached:
            return Grade(step - 1), (f"{step.name}: {lack}",)
    return Grade.G3, ()
