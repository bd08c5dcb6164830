"""Bodies whose check is complete, with their frames' shared part rendered: once per process (LOG-4)."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from reference_server.ports import SignatureVerifier, SignedBody
from reference_server.wire import frames

# 40,000 ordinary frames: what W4 resumes with, many times over.
_CAPACITY = 32 * 1024 * 1024

# The one event after which the next key signs (KEY-2, KEY-3).
_ROTATION = "signing_key_rotated"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ready:
    """A verified body as sessions need it."""

    shared: bytes  # see frames.shared
    size: int  # of `shared`
    domain_id: str
    rung: int  # place of its key in the Domain's chain
    rotates: bool


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Refused:
    """A body that failed a completed check, and why."""

    reason: str


class Readied:
    """A bounded cache from wire forms to what they are: the bytes themselves are the key.

    Only what passed is kept: a refusal is found anew each time, so that a key that arrives late is seen.
    """

    __slots__ = ("_bytes", "_capacity", "_ready", "_under_way", "_verifier")

    def __init__(self, verifier: SignatureVerifier, capacity: int = _CAPACITY) -> None:
        self._verifier = verifier
        self._capacity = capacity
        self._ready: OrderedDict[bytes, Ready] = OrderedDict()
        self._bytes = 0
        self._under_way: dict[bytes, trio.Event] = {}  # what somebody is having checked

    @property
    def known(self) -> Mapping[bytes, Ready]:
        """What is here now, by wire form; for loops that cannot afford a call each."""
        return self._ready

    async def prepare(self, bodies: Sequence[SignedBody]) -> Mapping[bytes, Ready | Refused]:
        """Check bodies that are not known; what passes is known from now on. Raises Unavailable.

        Agents resume by the thousand with the same entries: what one is having checked, the others wait for,
        once. What did not pass there, for whatever reason, each has checked for itself and at once.
        """
        wanted = {body.wire: body for body in bodies}
        awaited = {self._under_way[wire] for wire in wanted if wire in self._under_way}
        answers = await self._check([body for wire, body in wanted.items() if wire not in self._under_way])
        for check in awaited:
            await check.wait()
        answers |= {wire: ready for wire in wanted if (ready := self._ready.get(wire)) is not None}
        left = [body for wire, body in wanted.items() if wire not in answers]
        return answers | await self._judge(left)

    async def _check(self, bodies: Sequence[SignedBody]) -> dict[bytes, Ready | Refused]:
        """Check bodies while others may wait for them."""
        done = trio.Event()
        self._under_way |= dict.fromkeys((body.wire for body in bodies), done)
        try:
            return await self._judge(bodies)
        finally:
            for body in bodies:
                del self._under_way[body.wire]
            done.set()

    async def _judge(self, bodies: Sequence[SignedBody]) -> dict[bytes, Ready | Refused]:
        if not bodies:
            return {}
        reasons = await self._verifier.verify(bodies)
        pairs = zip(bodies, reasons, strict=True)
        return {body.wire: await self._judged(body, reason) for body, reason in pairs}

    async def _judged(self, body: SignedBody, reason: str | None) -> Ready | Refused:
        if reason is not None:
            return Refused(reason=reason)
        rung = await self._verifier.rung_of(body.domain_id, body.key_id)
        if rung is None:
            return Refused(reason="unknown_key")
        shared = frames.shared(body.event_type, body.wire)
        ready = Ready(
            shared=shared,
            size=len(shared),
            domain_id=body.domain_id,
            rung=rung,
            rotates=body.event_type == _ROTATION,
        )
        self._keep(body.wire, ready)
        return ready

    def _keep(self, wire: bytes, ready: Ready) -> None:
        if wire in self._ready:
            return
        self._ready[wire] = ready
        self._bytes += len(wire) + ready.size
        while self._bytes > self._capacity:
            oldest, dropped = self._ready.popitem(last=False)
            self._bytes -= len(oldest) + dropped.size
