"""Bodies whose check is complete, with their frames' shared part rendered: once per process (LOG-4)."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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

    __slots__ = ("_bytes", "_capacity", "_ready", "_verifier")

    def __init__(self, verifier: SignatureVerifier, capacity: int = _CAPACITY) -> None:
        self._verifier = verifier
        self._capacity = capacity
        self._ready: OrderedDict[bytes, Ready] = OrderedDict()
        self._bytes = 0

    @property
    def known(self) -> Mapping[bytes, Ready]:
        """What is here now, by wire form; for loops that cannot afford a call each."""
        return self._ready

    async def prepare(self, bodies: Sequence[SignedBody]) -> Mapping[bytes, Ready | Refused]:
        """Check bodies that are not known; what passes is known from now on. Raises Unavailable."""
        if not bodies:
            return {}
        answers: dict[bytes, Ready | Refused] = {}
        reasons = await self._verifier.verify(bodies)
        for body, reason in zip(bodies, reasons, strict=True):
            answers[body.wire] = await self._judged(body, reason)
        return answers

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
