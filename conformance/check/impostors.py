"""Credentials that are almost right, what an operator's token opens, and the third door of a Node."""

import base64
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

from conformance.check import acts, gates, reading
from conformance.check.acts import EVENTS, STATE
from conformance.check.model import CannotJudge, Check, Effect, Finding, Grade, Scenario
from conformance.probe.node import NodeHandle
from conformance.probe.stage import Stage
from conformance.probe.transcript import Transcript

OWN, PEER, AGENT, MANAGER = "impostor_own", "impostor_peer", "operator_agent", "operator"
BEFORE, AFTER, OPENED = "pull before", "pull after", "stream before"
NEAR, ODD, DOOR = "near miss: ", "odd header: ", "keys: "
AGENT_EVENTS, AGENT_STATE, MANAGER_EVENTS, MANAGER_STATE = (
    f"{who}: {surface}" for who in ("agent", "manager") for surface in (EVENTS, STATE)
)

# How GATE-5 answers a malformed header; behind a scheme that is right it may also be an unparsable `nsk_…`.
_NOBODY = ("401 unauthenticated",)
BEHIND = "something behind"
ODD_ANSWERS: Mapping[str, tuple[str, ...]] = MappingProxyType({BEHIND: (*_NOBODY, "401 nsk_invalid")})

# CRED-1: 16 bytes of Node id, 32 of NSK.
ID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """A request at the door of a Node's keys, and how the ladder of the state answers it."""

    label: str
    status: int
    code: str
    identity: str
    node: str = gates.OWN


KNOCKS = (
    Knock(label="no credential", status=401, code="unauthenticated", identity="none"),
    Knock(label="unknown NSK", status=401, code="nsk_invalid", identity="impostor_unknown"),
    Knock(label="malformed id", status=400, code="invalid_node_id", identity=OWN, node=gates.MALFORMED),
    Knock(label="another Node's NSK", status=403, code="node_id_mismatch", identity=PEER),
    Knock(
        label="another NSK, unknown Node",
        status=403,
        code="node_id_mismatch",
        identity=PEER,
        node=gates.UNKNOWN,
    ),
    Knock(label="no node-agent", status=403, code="insufficient_relation", identity=MANAGER),
    Knock(label="unknown Node", status=404, code="node_not_found", identity=AGENT, node=gates.UNKNOWN),
    Knock(
        label="nobody, malformed id",
        status=401,
        code="unauthenticated",
        identity="none",
        node=gates.MALFORMED,
    ),
)


async def act(stage: Stage) -> None:
    own = await acts.own_node(stage, OWN)
    peer = await acts.own_node(stage, PEER)
    stage.present("impostor_unknown", stage.canary)
    state = f"/v1/nodes/{own.id}/state"
    async with stage.stream(OPENED, identity=OWN) as probe:
        await probe.head()
    await stage.request(BEFORE, "GET", state, identity=OWN)
    for name, credential in near_misses(own, peer).items():
        identity = stage.present(f"impostor {name}", credential)
        await acts.knock(stage, f"{NEAR}{name}", own.id, surface=STATE, identity=identity)
    for name, headers in _odd_headers(stage.bearer(OWN)).items():
        await acts.knock(stage, f"{ODD}{name}", own.id, surface=STATE, headers=headers)
    await _operators(stage, own.id)
    await stage.request(f"{DOOR}twin", "GET", f"/v1/nodes/{own.id}/signing-keys", identity=OWN)
    ids = {**gates.PATH_IDS, gates.OWN: own.id}
    for knock in KNOCKS:
        if knock.identity == "none" or stage.has(knock.identity):
            label, node_id = DOOR + knock.label, ids[knock.node]
            await acts.knock(stage, label, node_id, surface="signing-keys", identity=knock.identity)
    await stage.request(AFTER, "GET", state, identity=OWN)


async def _operators(stage: Stage, node_id: str) -> None:
    asked = (
        (AGENT, AGENT_EVENTS, AGENT_STATE),
        (MANAGER, MANAGER_EVENTS, MANAGER_STATE),
    )
    for identity, events, state in asked:
        if stage.has(identity):
            await acts.knock(stage, events, node_id, identity=identity)
            await acts.knock(stage, state, node_id, surface=STATE, identity=identity)


def near_misses(own: NodeHandle, peer: NodeHandle) -> Mapping[str, str]:
    """Credentials one step away from the Node's own, by what is wrong with them."""
    whole = raw(own.credential)
    environment = own.credential.split("_", 2)[1]
    packed = own.credential.split("_", 2)[2]
    foreign = uuid.UUID(peer.id).bytes
    return {
        "last byte changed": _composed(environment, whole[:-1] + bytes([whole[-1] ^ 1])),
        "first secret byte changed": _composed(
            environment, whole[:ID_BYTES] + bytes([whole[ID_BYTES] ^ 128]) + whole[ID_BYTES + 1 :]
        ),
        "another Node's id": _composed(environment, foreign + whole[ID_BYTES:]),
        "another Node's secret": _composed(environment, whole[:ID_BYTES] + raw(peer.credential)[ID_BYTES:]),
        "no secret": _composed(environment, whole[:ID_BYTES]),
        "a byte less": _composed(environment, whole[:-1]),
        "a byte more": _composed(environment, whole + b"\0"),
        "padded": f"nsk_{environment}_{packed}=",
        "upper-case environment": f"nsk_{environment.upper()}_{packed}",
        "environment with a digit": f"nsk_{environment}1_{packed}",
        "empty environment": f"nsk__{packed}",
        "no environment": f"nsk_{packed}",
        "nothing but the prefix": "nsk_test_",
    }


def raw(credential: str) -> bytes:
    """The Node id and the secret of a composed credential (CRED-1)."""
    packed = credential.split("_", 2)[2]
    return base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))


def _composed(environment: str, raw: bytes) -> str:
    return f"nsk_{environment}_{base64.urlsafe_b64encode(raw).decode().rstrip('=')}"


def _odd_headers(bearer: str) -> Mapping[str, tuple[tuple[str, str], ...]]:
    token = bearer.partition(" ")[2]
    return {
        "no scheme": (("Authorization", token),),
        "another scheme": (("Authorization", f"Token {token}"),),
        "scheme alone": (("Authorization", "Bearer"),),
        BEHIND: (("Authorization", f"{bearer} more"),),
        "given twice": (("Authorization", bearer), ("Authorization", bearer)),
        "a header of another name": (("X-Authorization", bearer), ("Cookie", f"token={token}")),
    }


def _unchanged(transcript: Transcript) -> None:
    """Raises CannotJudge unless the rightful caller was let in, on both surfaces."""
    reading.answered(transcript, OPENED)
    reading.answered(transcript, BEFORE)


def judge_near_misses(transcript: Transcript) -> Iterator[Finding]:
    _unchanged(transcript)
    for exchange in transcript.labelled(NEAR):
        told = reading.answer_text(exchange)
        what = f"{exchange.label.removeprefix(NEAR)}: 401 nsk_invalid"
        yield reading.finding("CRED-1", told == "401 nsk_invalid", what, told, exchange)
    after = reading.needed(transcript, AFTER)
    yield reading.same("CRED-1", 200, reading.status_of(after), "the rightful credential afterwards", after)


def judge_headers(transcript: Transcript) -> Iterator[Finding]:
    _unchanged(transcript)
    for exchange in transcript.labelled(ODD):
        name, told = exchange.label.removeprefix(ODD), reading.answer_text(exchange)
        allowed = ODD_ANSWERS.get(name, _NOBODY)
        yield reading.finding("GATE-5", told in allowed, f"{name}: {' or '.join(allowed)}", told, exchange)


def judge_operators(transcript: Transcript) -> Iterator[Finding]:
    _unchanged(transcript)
    if transcript.exchange(AGENT_EVENTS) is None or transcript.exchange(MANAGER_EVENTS) is None:
        raise CannotJudge("an operator with node-agent and one without are needed")
    for label in (AGENT_EVENTS, AGENT_STATE):
        exchange = reading.needed(transcript, label)
        yield reading.same("CRED-3", 200, reading.status_of(exchange), f"node-agent on *, {label}", exchange)
    for label in (MANAGER_EVENTS, MANAGER_STATE):
        exchange = reading.needed(transcript, label)
        yield reading.same("CRED-3", 403, reading.status_of(exchange), f"manage alone, {label}", exchange)


def judge_key_door(transcript: Transcript) -> Iterator[Finding]:
    _unchanged(transcript)
    twin = reading.needed(transcript, f"{DOOR}twin")
    if reading.status_of(twin) != HTTPStatus.OK:
        yield reading.same("KEY-6", 200, reading.status_of(twin), "the chain for a Node", twin)
        return
    for knock in KNOCKS:
        exchange = transcript.exchange(DOOR + knock.label)
        if exchange is not None:
            told, expected = reading.answer_text(exchange), f"{knock.status} {knock.code}"
            yield reading.finding("KEY-6", told == expected, f"{knock.label}: {expected}", told, exchange)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="impostors",
        grade=Grade.G2,
        effect=Effect.WRITE_OWN,
        budget_seconds=24,
        budget_reason="some forty answers, each at once; a stream opened by mistake is left after 3 s",
        act=act,
        requests=100,
    ),
)

_ROWS = (
    ("CRED-011", "Credentials that are almost right are refused", "CRED-1", "stream", judge_near_misses),
    ("GATE-046", "A credential stands in one header, in one way", "GATE-5", "stream", judge_headers),
    ("CRED-003", "Only node-agent opens a Node to an operator", "CRED-3", "stream", judge_operators),
    ("KEY-041", "A Node's keys are behind the ladder of its state", "KEY-6", "keys", judge_key_door),
)

CHECKS: tuple[Check, ...] = tuple(
    Check(id=name, title=title, clauses=(clause,), profile=profile, scenario="impostors", judge=judge)
    for name, title, clause, profile, judge in _ROWS
)
