"""Small stand-ins for the ports around the hub, each with one character."""

from collections.abc import Sequence
from datetime import UTC, datetime

import trio

from reference_server.errors import Refusal
from reference_server.metrics import Metrics, create
from reference_server.ports import (
    Appended,
    Bounds,
    Caller,
    Decision,
    Layer,
    NodeFacts,
    SignedBody,
    Snapshot,
    Tail,
    Unavailable,
)
from reference_server.stream.hub import Admitted, Hub
from reference_server.stream.limits import Limits
from reference_server.stream.nonce import MemoryNonces
from reference_server.stream.standing import Fallen
from reference_server.stream.withheld import Withheld

DOMAIN = "0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a1"
OTHER_DOMAIN = "0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a2"
NODE = "0190a8b8-a0c0-7000-8000-000000000001"
OTHER_NODE = "0190a8b8-a0c0-7000-8000-000000000002"
NOWHERE = "0190a8b8-a0c0-7000-8000-00000000ffff"


class ListLog:
    """An EventStream that keeps everything in a list and forgets only what it is told to."""

    def __init__(self, *, tail_entries: int = 1000, node_entries: int = 100) -> None:
        self.entries: list[tuple[int, str, SignedBody]] = []
        self.low, self.high = 1, 0
        self.away = False
        self._tail_entries, self._node_entries = tail_entries, node_entries
        self._grown = trio.Event()

    def put(self, body: SignedBody, *node_ids: str) -> list[int]:
        """Append at once; answers the sequences."""
        first = self.high + 1
        for node_id in node_ids:
            self.high += 1
            self.entries.append((self.high, node_id, body))
        self._wake()
        return list(range(first, self.high + 1))

    def skip(self, sequences: int) -> None:
        """Let sequences go by that nobody gets."""
        self.high += sequences

    def evict(self, through: int) -> None:
        """Forget entries up to a sequence."""
        self.entries = [entry for entry in self.entries if entry[0] > through]
        self.low = min(through, self.high) + 1

    def stop(self) -> None:
        """Be away from now on."""
        self.away = True
        self._wake()

    def start(self) -> None:
        """Be back."""
        self.away = False

    async def bounds(self) -> Bounds:
        self._check()
        return Bounds(low=self.low, high=self.high)

    async def read_tail(self, after: int) -> Tail:
        while True:
            self._check()
            found = [entry for entry in self.entries if entry[0] > after][: self._tail_entries]
            if found:
                return Tail(appended=_grouped(found), read_to=found[-1][0])
            await self._grown.wait()

    async def read_node(self, node_id: str, after: int, up_to: int) -> Tail:
        self._check()
        await trio.lowlevel.checkpoint()
        found = [e for e in self.entries if after < e[0] <= up_to and e[1] == node_id]
        whole = len(found) <= self._node_entries
        found = found[: self._node_entries]
        return Tail(appended=_grouped(found), read_to=up_to if whole else found[-1][0])

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the log is stopped")

    def _wake(self) -> None:
        self._grown.set()
        self._grown = trio.Event()


def _grouped(entries: Sequence[tuple[int, str, SignedBody]]) -> list[Appended]:
    grouped: list[Appended] = []
    for sequence, node_id, body in entries:
        if grouped and grouped[-1].body is body:
            grouped[-1] = Appended(body=body, entries=(*grouped[-1].entries, (sequence, node_id)))
        else:
            grouped.append(Appended(body=body, entries=((sequence, node_id),)))
    return grouped


class Believer:
    """A SignatureVerifier that believes all but the bodies it is told about; key `k-N` stands at rung N."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}  # event id -> reason
        self.away: set[str] = set()  # event ids whose check cannot be completed
        self.checked: list[str] = []

    async def verify(self, bodies: Sequence[SignedBody]) -> Sequence[str | None]:
        await trio.lowlevel.checkpoint()
        if any(body.event_id in self.away for body in bodies):
            raise Unavailable("the keys cannot be read")
        self.checked += [body.event_id for body in bodies]
        return [self.faults.get(body.event_id) for body in bodies]

    async def rung_of(self, domain_id: str, key_id: str) -> int | None:
        return int(key_id.removeprefix("k-"))

    async def rung_at(self, node_id: str, domain_id: str, sequence: int) -> int:
        return 0


class Steady:
    """A Vouching in which nobody falls unless told."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()
        self.versions: dict[str, int] = {}
        self.looks = 0

    def version(self, domain_id: str) -> int:
        return self.versions.get(domain_id, 0)

    def revoke(self, node_id: str, domain_id: str = DOMAIN) -> None:
        """Take a Node's credential away."""
        self.revoked.add(node_id)
        self.versions[domain_id] = self.version(domain_id) + 1

    async def fallen(self) -> Fallen:
        self.looks += 1
        return Fallen(revoked=frozenset(self.revoked), deregistered=frozenset())

    async def holds(self, fallen: Fallen, caller: Caller, node_id: str) -> bool:
        return node_id not in fallen.revoked


class Pipe:
    """A Peer that writes into memory, as much as its window lets through."""

    def __init__(self, window: int | None = None) -> None:
        self.got = bytearray()
        self.window = window
        self.state = "open"
        self._room = trio.lowlevel.ParkingLot()
        self._gone = trio.Event()
        self._news = trio.lowlevel.ParkingLot()

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self.state in ("closed", "aborted"):
            raise BrokenPipeError
        size = len(data) if self.window is None else min(len(data), self.window)
        self.got += data[:size]
        if self.window is not None:
            self.window -= size
        self._news.unpark_all()
        return size

    def open_window(self, window: int | None) -> None:
        """Take so many bytes more (None: all)."""
        self.window = window
        self._room.unpark_all()

    async def wait_writable(self) -> None:
        while self.window == 0:
            await self._room.park()
            if self.state in ("closed", "aborted"):
                raise trio.ClosedResourceError
        await trio.lowlevel.checkpoint()

    async def wait_gone(self) -> None:
        await self._gone.wait()

    async def wait_for(self, needle: bytes, count: int = 1) -> None:
        """Returns once the bytes have come so often."""
        while self.got.count(needle) < count:
            await self._news.park()

    def leave(self) -> None:
        """Close from the far end."""
        self._gone.set()

    def finish(self) -> None:
        self.state = "finished"
        self._news.unpark_all()

    def close(self) -> None:
        self._end("closed")

    def abort(self) -> None:
        self._end("aborted")

    def _end(self, state: str) -> None:
        self.state = state
        self._gone.set()
        self._room.unpark_all()
        self._news.unpark_all()

    async def wait_over(self) -> None:
        """Returns once the server has said all, or let go."""
        while self.state == "open":
            await self._news.park()


class Bench:
    """A hub with fakes all around it; `start` it inside a nursery."""

    def __init__(self, limits: Limits | None = None, **log: int) -> None:
        self.log = ListLog(**log)
        self.nonces = MemoryNonces(Layer.STREAM)
        self.verifier = Believer()
        self.standing = Steady()
        self.withheld: list[Withheld] = []
        self.metrics: Metrics = create()
        self.hub = Hub(
            log=self.log,
            nonces=self.nonces,
            verifier=self.verifier,
            standing=self.standing,
            tell_withheld=self.withheld.append,
            limits=limits or Limits(),
            metrics=self.metrics,
        )

    async def start(self, nursery: trio.Nursery) -> None:
        """Run the hub and wait until streams can be served."""
        nursery.start_soon(self.hub.run)
        await self.hub.reader.wait_current()

    def open(
        self,
        nursery: trio.Nursery,
        node_id: str = NODE,
        *,
        after: int | None = None,
        rung: int = 0,
        window: int | None = None,
        chunked: bool = False,
    ) -> Pipe:
        """A stream of a Node, unchunked so that its bytes are its frames."""
        pipe = Pipe(window)
        admitted = Admitted(
            node_id=node_id,
            domain_id=DOMAIN,
            caller=Caller(node_id=node_id),
            after=self.log.high if after is None else after,
            rung=rung,
        )
        nursery.start_soon(self.hub.serve, admitted, pipe, chunked)
        return pipe


def body(
    number: int, *, key: int = 0, domain_id: str = DOMAIN, kind: str = "node_state_updated", size: int = 0
) -> SignedBody:
    """A body that looks signed; its wire form tells its number."""
    return SignedBody(
        event_id=f"0190a8b8-a0c0-7000-9000-{number:012x}",
        event_type=kind,
        domain_id=domain_id,
        key_id=f"k-{key}",
        wire=b'{"number":%d,"fill":"%b"}' % (number, b"x" * size),
    )


def frame(sequence: int, of: SignedBody) -> bytes:
    """The frame that a body makes at a sequence."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (sequence, of.event_type.encode(), of.wire)


class FixedClock:
    """A Clock that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


class KnownCallers:
    """A CredentialResolver with three callers by name, and the two NSK refusals."""

    async def resolve(self, authorization: Sequence[bytes]) -> Caller:
        text = authorization[0].decode() if authorization else ""
        if text == "Bearer away":
            raise Unavailable("the store is away")
        if text.startswith("Bearer node:"):
            return Caller(node_id=text.removeprefix("Bearer node:"))
        if text.startswith("Bearer operator:"):
            return Caller(operator=text.removeprefix("Bearer operator:"))
        raise Refusal("nsk_revoked" if text == "Bearer revoked" else "unauthenticated")


class OwnNode:
    """A RelationChecker: a Node is its own agent, the operator `all` everybody's."""

    def __init__(self) -> None:
        self.away = False
        self.asked: list[str] = []

    async def check(self, caller: Caller, relation: str, object_kind: str, object_id: str) -> bool:
        if self.away:
            raise Unavailable("the store is away")
        self.asked.append(object_id)
        return caller.operator == "all" or caller.node_id == object_id


class TwoNodes:
    """A NodeRepo that knows two Nodes of one Domain."""

    def __init__(self) -> None:
        self.away = False
        self.asked: list[str] = []

    async def find(self, node_id: str) -> NodeFacts | None:
        if self.away:
            raise Unavailable("the store is away")
        self.asked.append(node_id)
        return NodeFacts(node_id=node_id, domain_id=DOMAIN) if node_id in (NODE, OTHER_NODE) else None


class Minutes:
    """An AuditSink that keeps what it is told."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def record_nowait(self, decision: Decision) -> None:
        self.decisions.append(decision)


class OneSnapshot:
    """A SnapshotProvider with one answer for everybody."""

    def __init__(self) -> None:
        self.answer: Snapshot | None = Snapshot(body=b"{}")
        self.away = False

    async def snapshot(self, node_id: str) -> Snapshot | None:
        if self.away:
            raise Unavailable("the store is away")
        return self.answer
