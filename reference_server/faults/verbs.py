"""The verbs of the fault channel: one row each, acting on ports alone (suite.md, "Target and driver").

Nothing is admitted that the contract refuses: `publish` goes through the ordinary outbox, `answer` can only
refuse or delay, and every other verb takes something away or brings it back.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, TypeVar

import msgspec

from reference_server.envelope import instant
from reference_server.faults import publishing, requests
from reference_server.faults.levers import Levers
from reference_server.faults.refused import FaultRefused
from reference_server.faults.script import MAX_DELAY_SECONDS, MAX_PLANNED, Planned

NAME = "busproof reference server"
GRADE = "G3"
# Ten years: far past every deadline of the server, and no overflow of its instants.
MAX_ADVANCE_SECONDS = 10 * 366 * 86_400
# The lowest status that refuses (RFC 9110 section 15.5).
_FIRST_REFUSAL = 400

T = TypeVar("T")
Result = Mapping[str, object]


class Part(StrEnum):
    """What can be stopped and started."""

    LOG = "log"
    DATABASE = "database"


class KeyAction(StrEnum):
    """What `signing_key` does to a Domain."""

    PROVISION = "provision"
    WITHHOLD = "withhold"
    ROTATE = "rotate"


class _Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No parameters."""


class Restart(_Parameters, frozen=True):
    kill: bool = False


class StopOrStart(_Parameters, frozen=True):
    what: Part


class Evict(_Parameters, frozen=True):
    through: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Advance(_Parameters, frozen=True):
    seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_ADVANCE_SECONDS)]


class Wire(_Parameters, frozen=True):
    port: str
    wired: bool


class SigningKey(_Parameters, frozen=True):
    domain_id: str
    action: KeyAction


class DropStreams(_Parameters, frozen=True):
    node_id: str | None = None


class Requests(_Parameters, frozen=True):
    operation_id: str | None = None
    node_id: str | None = None
    status: int | None = None
    since: int | str | None = None


class Answer(_Parameters, frozen=True):
    operation_id: str
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_PLANNED)] = 1
    status: int | None = None
    code: str | None = None
    delay_seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_DELAY_SECONDS)] = 0.0


async def _hello(_levers: Levers, _given: _Parameters) -> Result:
    return {"name": NAME, "grade": GRADE, "verbs": list(VERBS), "kills": True}


async def _publish(levers: Levers, given: publishing.Publish) -> Result:
    return {"event_id": await publishing.publish(levers.store, given)}


async def _restart(levers: Levers, given: Restart) -> Result:
    """Only asks: the process that follows this one answers, on the same connection."""
    levers.restart(given.kill)
    return {}


async def _stop(levers: Levers, given: StopOrStart) -> Result:
    levers.parts[given.what].stop()
    return {"what": given.what, "running": False}


async def _start(levers: Levers, given: StopOrStart) -> Result:
    levers.parts[given.what].start()
    levers.wake()
    return {"what": given.what, "running": True}


async def _evict(levers: Levers, given: Evict) -> Result:
    bounds = await levers.evict(given.through)
    return {"low": bounds.low, "high": bounds.high}


async def _advance_clock(levers: Levers, given: Advance) -> Result:
    levers.clock.advance(given.seconds)
    levers.wake()
    return {"now": instant.render(levers.clock.now())}


async def _wire(levers: Levers, given: Wire) -> Result:
    levers.wiring.set(given.port, wired=given.wired)
    return {"port": given.port, "wired": given.wired}


async def _signing_key(levers: Levers, given: SigningKey) -> Result:
    return await levers.keys.act(given.domain_id, given.action)


async def _drop_streams(levers: Levers, given: DropStreams) -> Result:
    return {"dropped": levers.drop_streams(given.node_id)}


async def _requests(levers: Levers, given: Requests) -> Result:
    found = levers.ring.select(
        operation_id=given.operation_id,
        node_id=given.node_id,
        status=given.status,
        since=_since(given.since),
    )
    return {"count": len(found), "requests": [requests.plain(record) for record in found]}


def _since(given: int | str | None) -> int | datetime | None:
    try:
        return instant.parse(given) if isinstance(given, str) else given
    except ValueError:
        raise FaultRefused("invalid_parameters", "since is a serial or an RFC 3339 instant") from None


async def _answer(levers: Levers, given: Answer) -> Result:
    if given.operation_id not in levers.operation_ids:
        raise FaultRefused("unknown_operation", f"there is no operation {given.operation_id!r}")
    planned = Planned(delay_seconds=given.delay_seconds, code=given.code, status=given.status)
    _check_answer(planned)
    try:
        levers.script.plan(given.operation_id, planned, given.count)
    except ValueError as refusal:
        raise FaultRefused("too_many_answers", str(refusal)) from None
    return {"planned": given.count}


def _check_answer(planned: Planned) -> None:
    if planned.code is None and planned.status is None:
        if not planned.delay_seconds:
            raise FaultRefused("invalid_parameters", "give a status, a code or delay_seconds")
        return
    try:
        refusal = planned.refusal()
    except KeyError:
        raise FaultRefused("unknown_refusal", "the contract has no such code or status") from None
    if refusal is None or refusal.status < _FIRST_REFUSAL or planned.status not in (None, refusal.status):
        raise FaultRefused("unknown_refusal", "the contract answers this code with another status")


@dataclass(frozen=True, slots=True)
class Verb:
    """The form of a verb's parameters, and what it does."""

    parameters: type[msgspec.Struct]
    act: Callable[[Levers, msgspec.Struct], Awaitable[Result]]


def _verb(parameters: type[T], act: Callable[[Levers, T], Awaitable[Result]]) -> Verb:
    return Verb(parameters, act)  # type: ignore[arg-type]  # perform decodes to exactly this type


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "hello": _verb(_Parameters, _hello),
        "publish": _verb(publishing.Publish, _publish),
        "restart": _verb(Restart, _restart),
        "stop": _verb(StopOrStart, _stop),
        "start": _verb(StopOrStart, _start),
        "evict": _verb(Evict, _evict),
        "advance_clock": _verb(Advance, _advance_clock),
        "wire": _verb(Wire, _wire),
        "signing_key": _verb(SigningKey, _signing_key),
        "drop_streams": _verb(DropStreams, _drop_streams),
        "requests": _verb(Requests, _requests),
        "answer": _verb(Answer, _answer),
    }
)


async def perform(levers: Levers, verb: str, parameters: bytes) -> Result:
    """Carry out one verb with its JSON parameters. Raises FaultRefused."""
    row = VERBS.get(verb)
    if row is None:
        raise FaultRefused("unknown_verb", f"{verb!r} is none of {', '.join(VERBS)}")
    try:
        given = msgspec.json.decode(parameters, type=row.parameters)
    except (msgspec.ValidationError, msgspec.DecodeError) as refusal:
        raise FaultRefused("invalid_parameters", str(refusal)) from None
    return await row.act(levers, given)
