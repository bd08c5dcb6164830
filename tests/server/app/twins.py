"""Stand-ins that deny or allow everything, and the attacks which only the real ports withstand."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from reference_server.app import Ports
from reference_server.errors import Refusal
from reference_server.ports import (
    Appended,
    Bounds,
    Caller,
    Change,
    EventStream,
    Landed,
    Layer,
    Lease,
    LogAppender,
    NodeFacts,
    NonceStore,
    Outgoing,
    Sighting,
    SignatureVerifier,
    SignedBody,
    Tail,
)
from tests.server.app.asked import NOWHERE


class Nobody:
    """Knows no credential; is in no relation; finds no Node; believes no signature; has seen every nonce."""

    shared = False

    def __init__(self, layer: Layer = Layer.STREAM) -> None:
        self.layer = layer

    async def resolve(self, _authorization: Sequence[bytes]) -> Caller:
        raise Refusal("unauthenticated")

    async def check(self, *_: object) -> bool:
        return False

    async def find(self, _node_id: str) -> NodeFacts | None:
        return None

    async def verify(self, bodies: Sequence[SignedBody]) -> Sequence[str | None]:
        return ["denied"] * len(bodies)

    async def admit(self, sightings: Sequence[tuple[str, int]]) -> Sequence[Sighting]:
        return [Sighting.REPLAY] * len(sightings)

    async def admit_entries(self, appended: Sequence[Appended]) -> Collection[int]:
        return {at for piece in appended for at, _ in piece.entries}

    async def look_up(self, nonces: Sequence[str]) -> Sequence[int | None]:
        return [None] * len(nonces)

    async def look_up_node(self, _node_id: str, event_ids: Sequence[str]) -> Sequence[int | None]:
        return [None] * len(event_ids)

    async def forget_below(self, low: int) -> None:
        """Has nothing to forget."""


class Everybody(Nobody):
    """The opposite in everything."""

    async def resolve(self, _authorization: Sequence[bytes]) -> Caller:
        return Caller(operator="root")

    async def check(self, *_: object) -> bool:
        return True

    async def find(self, node_id: str) -> NodeFacts | None:
        return NodeFacts(node_id=node_id, domain_id=NOWHERE)

    async def verify(self, bodies: Sequence[SignedBody]) -> Sequence[str | None]:
        return [None] * len(bodies)

    async def admit(self, sightings: Sequence[tuple[str, int]]) -> Sequence[Sighting]:
        return [Sighting.FIRST] * len(sightings)

    async def admit_entries(self, appended: Sequence[Appended]) -> Collection[int]:
        return ()


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """A verifier with other verdicts; keys and their order stay those of the real one."""

    real: SignatureVerifier
    twin: Nobody

    async def verify(self, bodies: Sequence[SignedBody]) -> Sequence[str | None]:
        return await self.twin.verify(bodies)

    async def rung_of(self, domain_id: str, key_id: str) -> int | None:
        return await self.real.rung_of(domain_id, key_id)

    async def rung_at(self, node_id: str, domain_id: str, sequence: int) -> int:
        return await self.real.rung_at(node_id, domain_id, sequence)


@dataclass(frozen=True, kw_only=True)
class Sightings:
    """A nonce store with other answers; where a nonce stands is told by the real one (KEY-3)."""

    real: NonceStore
    twin: Nobody
    shared: bool = False

    @property
    def layer(self) -> Layer:
        return self.real.layer

    async def admit(self, sightings: Sequence[tuple[str, int]]) -> Sequence[Sighting]:
        await self.real.admit(sightings)
        return await self.twin.admit(sightings)

    async def admit_entries(self, appended: Sequence[Appended]) -> Collection[int]:
        await self.real.admit_entries(appended)
        return await self.twin.admit_entries(appended)

    async def look_up(self, nonces: Sequence[str]) -> Sequence[int | None]:
        return await self.real.look_up(nonces)

    async def look_up_node(self, node_id: str, event_ids: Sequence[str]) -> Sequence[int | None]:
        return await self.real.look_up_node(node_id, event_ids)

    async def forget_below(self, low: int) -> None:
        await self.real.forget_below(low)


# ---- what an attacker does, which the real port withstands


def honest(ports: Ports) -> Ports:
    return ports


@dataclass(frozen=True, kw_only=True)
class Forging:
    """A log that holds other signatures than the relay appended."""

    real: LogAppender

    def append(self, change: Change, outgoing: Sequence[Outgoing], lease: Lease) -> Landed:
        forged = [replace(each, body=_forged(each.body)) for each in outgoing]
        return self.real.append(change, forged, lease)


def _forged(body: SignedBody) -> SignedBody:
    at = body.wire.rindex(b'"signature":"') + len(b'"signature":"')
    other = b"B" if body.wire[at : at + 1] == b"A" else b"A"
    return replace(body, wire=body.wire[:at] + other + body.wire[at + 1 :])


def with_forged_log(ports: Ports) -> Ports:
    return replace(ports, log=Forging(real=ports.log))


class Replaying:
    """A log in which every later entry is the first one over again."""

    def __init__(self, real: EventStream) -> None:
        self._real = real
        self._first: SignedBody | None = None

    async def bounds(self) -> Bounds:
        return await self._real.bounds()

    async def read_tail(self, after: int) -> Tail:
        return self._again(await self._real.read_tail(after))

    async def read_node(self, node_id: str, after: int, up_to: int) -> Tail:
        return self._again(await self._real.read_node(node_id, after, up_to))

    def _again(self, tail: Tail) -> Tail:
        shown = []
        for piece in tail.appended:
            self._first = self._first or piece.body
            shown.append(Appended(body=self._first, entries=piece.entries))
        return replace(tail, appended=shown)


def with_replayed_log(ports: Ports) -> Ports:
    return replace(ports, event_stream=Replaying(ports.event_stream))


@dataclass(frozen=True, kw_only=True)
class Doubling:
    """A log that acknowledges every entry a second time, further on."""

    real: LogAppender

    def append(self, change: Change, outgoing: Sequence[Outgoing], lease: Lease) -> Landed:
        landed = self.real.append(change, outgoing, lease)
        twice = [
            replace(piece, entries=[*piece.entries, *((at + 1000, node) for at, node in piece.entries)])
            for piece in landed.appended
        ]
        return replace(landed, appended=twice)


def with_doubled_log(ports: Ports) -> Ports:
    return replace(ports, log=Doubling(real=ports.log))


def without_log(ports: Ports) -> Ports:
    return replace(ports, unwired=frozenset({"SnapshotProvider"}))
