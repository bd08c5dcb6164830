"""Has each fault verb the effect that its driver says? Tried while nothing else is asked of the target.

A target may be wrong in its own way, and that is no lie of its driver: a verb lies only if what it took away
is there still, whole.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import trio

from conformance.probe import honesty
from conformance.probe.frames import Frame
from conformance.probe.obstacle import CannotAct
from conformance.probe.stage import Stage

# As honesty.SEEN_SECONDS: an event follows its commit within a second (SSE-7).
SEEN_SECONDS = 3.0

# `Date` counts seconds; half of this is far more than two requests take.
ADVANCE_SECONDS = 30.0

# A log that was started is there soon; OUT-8 sets no time, ten seconds are patient.
RETURNS, RETURN_PAUSE = 40, 0.25

# GATE-1 and GATE-2.
PORTS = (
    "EventStream",
    "SnapshotProvider",
    "NodeRepo",
    "RelationChecker",
    "NonceStore",
    "SignatureVerifier",
)

_KEY = "busproof-honesty"
_TRANSITION_SECONDS = 3600


async def examine(stage: Stage) -> None:
    """Uses each fault verb that is offered, and notes whether anything came of it. Raises CannotAct."""
    await stage.fresh_domain("own")  # a target on which nothing can be made shows nothing
    for verb, exam in _EXAMS:
        if stage.driver.offers(verb):
            try:
                await exam(stage)
            except CannotAct as lacking:
                stage.mark("honesty.unexamined", verb=verb, reason=str(lacking))


# ---- advance_clock -------------------------------------------------------------------------------------


async def _clock(stage: Stage) -> None:
    before = await _date(stage, "clock: before")
    await stage.driver.advance_clock(ADVANCE_SECONDS)
    after = await _date(stage, "clock: after")
    if before is not None and after is not None:
        moved = (after - before).total_seconds()
        missing = f"Date moved by {moved:g} s and not by {ADVANCE_SECONDS:g}"
        honesty.effect(stage, "advance_clock", seen=moved >= ADVANCE_SECONDS / 2, missing=missing)


async def _date(stage: Stage, label: str) -> datetime | None:
    answer = await stage.request(label, "GET", "/v1/health")
    values = () if answer.head is None else answer.head.values("Date")
    try:
        return parsedate_to_datetime(values[0]) if values else None
    except ValueError:
        return None


# ---- evict ---------------------------------------------------------------------------------------------


async def _eviction(stage: Stage) -> None:
    node = await stage.fresh_node("evicted")
    async with stage.stream("evict: before", identity="evicted") as witness:
        await witness.head(SEEN_SECONDS)
        await stage.put_entry(node, _KEY, "first")
        first = await witness.until(_told, SEEN_SECONDS)
        await stage.put_entry(node, _KEY, "second")
        second = await witness.until(lambda frame: _told(frame) and frame is not first, SEEN_SECONDS)
    if first is None or first.id is None or second is None:
        return
    await stage.driver.evict()
    async with stage.stream("evict: again", identity="evicted", cursor=first.id) as again:
        head = await again.head(SEEN_SECONDS)
        came = None
        if head is not None and head.status == HTTPStatus.OK:
            await stage.put_entry(node, _KEY, "third")
            came = await again.until(_told, SEEN_SECONDS)
    gone = came is None or came.envelope.get("id") != second.envelope.get("id")
    honesty.effect(stage, "evict", seen=gone, missing=f"{second.id} was still replayed after {first.id}")


# ---- stop and start ------------------------------------------------------------------------------------


async def _outage(stage: Stage) -> None:
    node = await stage.fresh_node("cut_off")
    await stage.driver.stop("log")
    try:
        async with stage.stream("stop: meanwhile", identity="cut_off") as probe:
            head = await probe.head(SEEN_SECONDS)
            came = None
            if head is not None and head.status == HTTPStatus.OK:
                await stage.put_entry(node, _KEY, "meanwhile")
                came = await probe.until(_told, SEEN_SECONDS)
        missing = "a stream was opened and an event came through the log"
        honesty.effect(stage, "stop", seen=came is None, missing=missing)
    finally:
        await stage.driver.start("log")
    honesty.effect(stage, "start", seen=await _returned(stage), missing="the log is still said to be away")


async def _returned(stage: Stage) -> bool:
    for turn in range(1, RETURNS + 1):
        async with stage.stream(f"start: return {turn}", identity="cut_off") as probe:
            head = await probe.head(SEEN_SECONDS)
            if head is None or head.status != HTTPStatus.SERVICE_UNAVAILABLE:
                return True
        await trio.sleep(RETURN_PAUSE)
    return False


# ---- wire ----------------------------------------------------------------------------------------------


async def _wiring(stage: Stage) -> None:
    node = await stage.fresh_node("unwired")
    before = await _statuses(stage, node.id, "all wired")
    now = before
    for port in PORTS:
        await stage.driver.wire(port, wired=False)
        try:
            now = await _statuses(stage, node.id, port)
        finally:
            await stage.driver.wire(port, wired=True)
        if now != before:
            break
    honesty.effect(stage, "wire", seen=now != before, missing="no port that was taken away was missed")
    again = await _statuses(stage, node.id, "wired again")
    honesty.effect(stage, "wire", seen=again == before, missing="a port that was put back was still missed")


async def _statuses(stage: Stage, node_id: str, when: str) -> tuple[int, int]:
    async with stage.stream(f"wire: events, {when}", identity="unwired") as probe:
        head = await probe.head(SEEN_SECONDS)
    state = await stage.request(
        f"wire: state, {when}", "GET", f"/v1/nodes/{node_id}/state", identity="unwired", timeout=SEEN_SECONDS
    )
    return 0 if head is None else head.status, 0 if state.head is None else state.head.status


# ---- signing_key ---------------------------------------------------------------------------------------


async def _keys(stage: Stage) -> None:
    node = await stage.fresh_node("turned", "keys")
    async with stage.stream("signing_key: turned", identity="turned") as witness:
        await witness.head(SEEN_SECONDS)
        await stage.request(
            "signing_key: rotated by its door",
            "POST",
            f"/v1/domains/{node.domain_id}/signing-keys/rotate",
            identity="operator",
            json={"transition_seconds": _TRANSITION_SECONDS},
        )
        twin = await witness.until(_rotation, SEEN_SECONDS)
        if twin is None:
            return
        await stage.driver.signing_key(node.domain_id, "rotate")
        second = await witness.until(lambda frame: _rotation(frame) and frame is not twin, SEEN_SECONDS)
        honesty.effect(stage, "signing_key", seen=second is not None, missing="no rotation was announced")
        other = await stage.fresh_node("marker")
        async with stage.stream("signing_key: marker", identity="marker") as marker:
            await marker.head(SEEN_SECONDS)
            await stage.driver.signing_key(node.domain_id, "withhold")
            try:
                await stage.put_entry(node, _KEY, "unsigned")
                await stage.put_entry(other, _KEY, "marker")
                passed = await marker.until(_told, SEEN_SECONDS)
                signed = any(_told(frame) for frame in witness.events)
            finally:
                await stage.driver.signing_key(node.domain_id, "provision")
    if passed is not None:
        missing = "an event of the Domain without a key was signed"
        honesty.effect(stage, "signing_key", seen=not signed, missing=missing)


def _told(frame: Frame) -> bool:
    return frame.event == "node_state_updated"


def _rotation(frame: Frame) -> bool:
    return frame.event == "signing_key_rotated"


_EXAMS: tuple[tuple[str, Callable[[Stage], Awaitable[None]]], ...] = (
    ("advance_clock", _clock),
    ("evict", _eviction),
    ("stop", _outage),
    ("wire", _wiring),
    ("signing_key", _keys),
)
