"""The build gate: whatever decides about security in `app.build` is asked, and its answer shows on the wire.

For each such port a twin that denies everything and one that allows everything stand in for it, and each must
change an answer. The ports are found by walking what `build` is given and hands on: a new one that is neither
here with its twins nor among those that decide nothing fails the first test.
"""

import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trio

from reference_server.api.admission import Admission
from reference_server.app import Ports
from reference_server.ports import Layer
from reference_server.settings import PORT_NAMES
from reference_server.stream.gates import Doors
from reference_server.stream.hub import Hub
from reference_server.stream.standing import Standing
from tests.server.app import asked, twins
from tests.server.app.asked import PATIENCE, Bus
from tests.server.app.twins import Everybody, Nobody, Sightings, Verdicts

# ---- the table

Ask = Callable[[Bus], Awaitable[object]]
Plant = Callable[[Ports], Ports]


@dataclass(frozen=True, kw_only=True)
class Twin:
    """One replacement: where it stands, what is asked, and what the real port and the twin answer."""

    port: str
    allows: bool
    ask: Ask
    answers: tuple[object, object]
    plant: Plant
    attack: Plant = twins.honest

    def __str__(self) -> str:
        return f"{self.port}-{'allows' if self.allows else 'denies'}"


def _put(port: str, twin: object) -> Plant:
    return lambda ports: replace(ports, **{port: twin})


def _verdicts(twin: Nobody) -> Plant:
    return lambda ports: replace(ports, signature_verifier=Verdicts(real=ports.signature_verifier, twin=twin))


def _sightings(port: str, twin: Nobody) -> Plant:
    return lambda ports: replace(ports, **{port: Sightings(real=getattr(ports, port), twin=twin)})


TWINS: tuple[Twin, ...] = (
    Twin(
        port="credential_resolver",
        allows=False,
        ask=asked.own_state,
        answers=(200, 401),
        plant=_put("credential_resolver", Nobody()),
    ),
    Twin(
        port="credential_resolver",
        allows=True,
        ask=asked.state_as_stranger,
        answers=(401, 200),
        plant=_put("credential_resolver", Everybody()),
    ),
    Twin(
        port="relation_checker",
        allows=False,
        ask=asked.own_state,
        answers=(200, 403),
        plant=_put("relation_checker", Nobody()),
    ),
    Twin(
        port="relation_checker",
        allows=True,
        ask=asked.state_of_another,
        answers=(403, 200),
        plant=_put("relation_checker", Everybody()),
    ),
    Twin(
        port="node_repo",
        allows=False,
        ask=asked.own_state,
        answers=(200, 404),
        plant=_put("node_repo", Nobody()),
    ),
    Twin(
        port="node_repo",
        allows=True,
        ask=asked.events_of_nobody,
        answers=(404, 200),
        plant=_put("node_repo", Everybody()),
    ),
    Twin(
        port="signature_verifier",
        allows=False,
        ask=asked.first_event,
        answers=("delivered", "withheld"),
        plant=_verdicts(Nobody()),
    ),
    Twin(
        port="signature_verifier",
        allows=True,
        ask=asked.first_event,
        answers=("withheld", "delivered"),
        plant=_verdicts(Everybody()),
        attack=twins.with_forged_log,
    ),
    Twin(
        port="stream_nonces",
        allows=False,
        ask=asked.first_event,
        answers=("delivered", "withheld"),
        plant=_sightings("stream_nonces", Nobody()),
    ),
    Twin(
        port="stream_nonces",
        allows=True,
        ask=asked.second_event,
        answers=("withheld", "delivered"),
        plant=_sightings("stream_nonces", Everybody()),
        attack=twins.with_replayed_log,
    ),
    Twin(
        port="relay_nonces",
        allows=False,
        ask=asked.relayed_twice,
        answers=("not counted", "counted"),
        plant=_sightings("relay_nonces", Nobody(Layer.RELAY)),
    ),
    Twin(
        port="relay_nonces",
        allows=True,
        ask=asked.relayed_twice,
        answers=("counted", "not counted"),
        plant=_sightings("relay_nonces", Everybody(Layer.RELAY)),
        attack=twins.with_doubled_log,
    ),
    Twin(
        port="unwired",
        allows=False,
        ask=asked.own_state,
        answers=(200, 501),
        plant=_put("unwired", frozenset(PORT_NAMES)),
    ),
    Twin(
        port="unwired",
        allows=True,
        ask=asked.own_state,
        answers=(501, 200),
        plant=_put("unwired", frozenset()),
        attack=twins.without_log,
    ),
)

# Ports that decide nothing about who may do what, or what may be believed, each with what it does instead.
DECIDE_NOTHING: Mapping[str, str] = {
    "clock": "tells the time",
    "ids": "makes ids",
    "keyring": "seals and signs; what it signed is judged by signature_verifier",
    "operators": "data of credential_resolver and relation_checker, which are made over it",
    "metrics": "counts",
    "store": "keeps",
    "relay_store": "the same store, as the relay sees it",
    "on_outbox_written": "wakes the relay",
    "event_stream": "the log as read; what it shows is judged by signature_verifier and stream_nonces",
    "log": "the log as written",
    "evict": "a lever of the fault channel",
    "signed_here": "saves signature_verifier, which is made over it, work on what was signed in this process",
    "head": "where the reader of the log is",
    "snapshot_provider": "gives the state to whom the gates let through",
    "heard": "has a cached pull read anew",
    "audit_sink": "is told what was decided",
    "relays": "whether this process relays",
    "parts": "levers of the fault channel",
    "background": "keeps running",
}

# Who asks: each of their parts comes from a port, or is no port at all.
ASKERS: Mapping[Callable[..., object], Mapping[str, str]] = {
    Doors: {
        "is_wired": "unwired",
        "credentials": "credential_resolver",
        "relations": "relation_checker",
        "nodes": "node_repo",
        "window": "event_stream",
        "audit": "audit_sink",
        "clock": "clock",
    },
    Admission: {"credentials": "credential_resolver", "relations": "relation_checker"},
    Standing: {"store": "store", "relations": "relation_checker", "clock": "clock"},
    Hub: {
        "log": "event_stream",
        "nonces": "stream_nonces",
        "verifier": "signature_verifier",
        "standing": "relation_checker",
        "tell_withheld": "store",
        "limits": "settings",
        "metrics": "metrics",
    },
}


def test_every_port_that_build_is_given_has_its_twins_or_decides_nothing() -> None:
    held = {field.name for field in dataclasses.fields(Ports)}
    twinned = {twin.port for twin in TWINS}
    assert twinned | DECIDE_NOTHING.keys() == held
    assert not twinned & DECIDE_NOTHING.keys()
    assert {(twin.port, twin.allows) for twin in TWINS} == {(p, a) for p in twinned for a in (True, False)}


@pytest.mark.parametrize("asker", ASKERS, ids=lambda asker: asker.__name__)
def test_whoever_decides_on_the_way_asks_known_ports_alone(asker: Callable[..., object]) -> None:
    """A part that is wired past Ports would be a port that the first test does not see."""
    assert ASKERS[asker].keys() == inspect.signature(asker).parameters.keys()
    known = {field.name for field in dataclasses.fields(Ports)} | {"settings"}
    assert set(ASKERS[asker].values()) <= known


@pytest.mark.parametrize("twin", TWINS, ids=str)
async def test_a_twin_changes_an_answer(twin: Twin, tmp_path: Path) -> None:
    told = []
    for plant in (twin.attack, lambda ports: twin.plant(twin.attack(ports))):
        with trio.fail_after(PATIENCE):
            async with asked.running(tmp_path / "seed.toml", plant) as bus:
                told.append(await twin.ask(bus))
    assert tuple(told) == twin.answers
