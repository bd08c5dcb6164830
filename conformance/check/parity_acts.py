"""Acts a history: an agent that streams, hangs up, comes back and recovers while a Domain changes under it.

Nothing here folds or judges: what is compared later is marked, with the labels of the recorded exchanges.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import MappingProxyType

import trio

from conformance.check import acts, reading
from conformance.check.parity_steps import History, Kind, Silence, Step, walked
from conformance.probe.frames import Frame
from conformance.probe.node import NodeHandle
from conformance.probe.obstacle import CannotAct
from conformance.probe.stage import Stage, fresh_public_key
from conformance.probe.stream import StreamProbe
from conformance.probe.transcript import Exchange

# The marks: a history, a stream of it, its end, and a comparison.
HISTORY, OPENED, LEFT, COMPARED = "history", "opened", "left", "compared"
# Marks of what its Node's reachability follows from, and of endpoints that others reported.
BEAT, CLOCK, REPORTED = "beat", "clock", "reported"
FIRST, RESUMED, RECOVERED = "first", "resumed", "recovered"

MARKER_EVENT = "peer_key_rotated"

# How pulls are called that no fold is fed from.
ONLY_COMPARED = "pulled to compare"

# SSE-7: an event is on the wire within 1 s of its commit; three leave room for a busy machine.
PATIENCE_SECONDS = 3.0

# PROD-2 sets the evaluator no time; it has moved Nodes within this once the clock was moved.
SETTLED_SECONDS = 4.0
_SETTLE_PAUSE = 0.05

_KEYS = ("colour", "size", "place.of-it", "note")
_BUCKETS = ("metadata", "data")
_CHECKSUM = "A" * 43 + "="
_ENDPOINTS_FROM = 20_000
_TRANSITION_SECONDS = 3_600


class Lost(Exception):
    """The marker did not come: the history ends here."""


class Walk:
    """One history while it is acted; its name is its Domain's and begins each of its labels."""

    def __init__(self, stage: Stage, history: History) -> None:
        self._stage = stage
        self._history = history
        self._name = history.name
        self._rng = random.Random(f"walk:{history.seed}")  # noqa: S311  # to be repeatable
        self._count = 0
        self._node: NodeHandle
        self._beacon: NodeHandle
        self._peers: list[NodeHandle] = []
        self._entries: set[tuple[str, str]] = set()
        self._stream: AsyncExitStack | None = None
        self._probe: StreamProbe
        self._witness: StreamProbe
        self._cursor: str | None = None
        self._how = FIRST
        self._silence = Silence(state="")
        self._now = datetime.now(UTC)

    async def walk(self) -> None:
        """Acts the history and compares, until its end or until a marker is lost. Raises CannotAct."""
        told = [str(step) for step in self._history.steps]
        self._stage.mark(HISTORY, history=self._name, seed=self._history.seed, steps=told)
        await self._settle_in()
        async with AsyncExitStack() as stack:
            try:
                await self._open()
                await self._bring_witness(stack)
                await self._compare(0)
                for number, (step, compared) in enumerate(walked(self._history.steps), start=1):
                    await _TAKES[step.kind](self, step)
                    if compared:
                        await self._compare(number)
            except Lost:
                return
            finally:
                await self._leave()

    async def _settle_in(self) -> None:
        await self._stage.fresh_domain(self._name)
        self._node = await acts.own_node(self._stage, f"{self._name}_node", self._name)
        self._beacon = await acts.own_node(self._stage, f"{self._name}_beacon", self._name)
        self._peers.append(await acts.own_node(self._stage, f"{self._name}_peer0", self._name))

    # ---- the agent -------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """With a cursor the stream goes on; without one keys and snapshot are pulled behind it (CUR-8)."""
        label = self._label("stream")
        stack = AsyncExitStack()
        probe = await stack.enter_async_context(
            self._stage.stream(label, identity=self._node.identity, cursor=self._cursor)
        )
        head = await probe.head()
        if head is not None and head.status == HTTPStatus.GONE and self._cursor is not None:
            await stack.aclose()
            self._cursor, self._how = None, RECOVERED
            await self._open()
            return
        if head is None or head.status != HTTPStatus.OK:
            await stack.aclose()
            raise CannotAct(f"{label} was answered {'nothing' if head is None else head.status}")
        self._stream, self._probe = stack, probe
        base = keys = ""
        if self._cursor is None:
            keys = (await self._get("keys", "/signing-keys")).label
            base = (await self._pull("pulled to begin")).label
        self._stage.mark(OPENED, history=self._name, stream=label, how=self._how, base=base, keys=keys)

    async def _bring_witness(self, stack: AsyncExitStack) -> None:
        label = f"{self._name}: witness"
        self._witness = await stack.enter_async_context(
            self._stage.stream(label, identity=self._node.identity)
        )
        await self._witness.head()

    async def _leave(self) -> None:
        if self._stream is None:
            return
        await self._stream.aclose()
        self._stream = None
        self._cursor = self._probe.last_id or self._cursor
        self._how = RECOVERED if self._cursor is None else RESUMED
        self._stage.mark(LEFT, history=self._name)

    async def _compare(self, after: int) -> None:
        """A marker that heals no difference, and a pull once it has come: then nothing is in flight."""
        if self._stream is None:
            await self._open()
        key = await self._rekeyed(self._beacon)

        def marks(frame: Frame) -> bool:
            return frame.event == MARKER_EVENT and key in frame.data

        heard = await self._probe.until(marks, PATIENCE_SECONDS)
        await self._witness.until(marks, PATIENCE_SECONDS)
        pulled = await self._pull(ONLY_COMPARED)
        self._stage.mark(COMPARED, history=self._name, after=after, key=key, pull=pulled.label)
        if heard is None:
            raise Lost

    async def _pull(self, what: str) -> Exchange:
        return await self._get(what, "/state", HTTPStatus.OK)

    async def _get(self, what: str, below: str, status: int = 0) -> Exchange:
        path = f"/v1/nodes/{self._node.id}{below}"
        return await self._send(what, "GET", path, identity=self._node.identity, status=status)

    async def _send(
        self, what: str, method: str, path: str, *, identity: str, status: int = 0, json: object = None
    ) -> Exchange:
        """Sends; raises CannotAct for another status than that, if one is given."""
        label = self._label(what)
        exchange = await self._stage.request(label, method, path, identity=identity, json=json)
        told = reading.status_of(exchange)
        if status and told != status:
            raise CannotAct(f"{label} was answered {told or exchange.ending.value}")
        dates = () if exchange.head is None else exchange.head.values("Date")
        if dates:
            self._now = _instant(dates[0]) or self._now
        return exchange

    def _label(self, what: str) -> str:
        self._count += 1
        return f"{self._name}: {self._count} {what}"

    def _fresh(self) -> int:
        self._count += 1
        return self._count

    # ---- what happens ----------------------------------------------------------------------------------

    async def enrol(self, step: Step) -> None:
        name = f"{self._name}_peer{self._fresh()}"
        self._peers.append(await acts.own_node(self._stage, name, self._name))

    async def leave(self, step: Step) -> None:
        if self._peers:
            gone = self._peers.pop(step.pick % len(self._peers))
            path = f"/v1/nodes/{gone.id}"
            await self._send("leave", "DELETE", path, identity="operator", status=HTTPStatus.NO_CONTENT)

    async def rekey(self, step: Step) -> None:
        await self._rekeyed(self._any(step))

    async def endpoint(self, step: Step) -> None:
        others = [self._beacon, *self._peers]
        for node in (self._node, others[step.pick % len(others)]):
            await self._report(node)

    async def _report(self, node: NodeHandle) -> None:
        endpoint = f"198.51.100.7:{_ENDPOINTS_FROM + self._fresh()}"
        body = {"endpoint": endpoint, "nat_type": "full_cone", "reported_at": self._spelled_now()}
        path = f"/v1/nodes/{node.id}/endpoint"
        await self._send("endpoint", "PUT", path, identity=node.identity, status=HTTPStatus.OK, json=body)
        if node is not self._node:
            self._stage.mark(REPORTED, history=self._name, endpoint=endpoint)

    async def put(self, step: Step) -> None:
        bucket, key = _BUCKETS[step.pick % 2], _KEYS[step.pick // 2 % len(_KEYS)]
        self._entries.add((bucket, key))
        value = f"<{self._fresh()}> \u2028 é"
        label = self._label(f"put {bucket} {key}")
        await self._stage.put_entry(self._node, key, value, label=label, bucket=bucket)

    async def delete(self, step: Step) -> None:
        if self._entries:
            bucket, key = sorted(self._entries)[step.pick % len(self._entries)]
            self._entries.discard((bucket, key))
            path = f"/v1/nodes/{self._node.id}/state/{bucket}/{key}"
            await self._send("delete", "DELETE", path, identity="operator", status=HTTPStatus.NO_CONTENT)

    async def beat(self, step: Step) -> None:
        body = {
            "client_now": self._spelled_now(),
            "binary_checksum": _CHECKSUM,
            "binary_version": "1.0.0",
            "nat_summary": {},
        }
        path = f"/v1/nodes/{self._node.id}/heartbeat"
        identity = self._node.identity
        await self._send("heartbeat", "POST", path, identity=identity, status=HTTPStatus.OK, json=body)
        self._silence, told = self._silence.beaten()
        self._stage.mark(BEAT, history=self._name)
        await self._settle(told)

    async def away(self, step: Step) -> None:
        await self._leave()

    async def sign(self, step: Step) -> None:
        path = f"/v1/domains/{self._node.domain_id}/signing-keys/rotate"
        body = {"transition_seconds": _TRANSITION_SECONDS}
        await self._send("signing key", "POST", path, identity="operator", json=body)

    async def clock(self, step: Step) -> None:
        await self._stage.driver.advance_clock(step.pick)
        self._stage.mark(CLOCK, history=self._name, seconds=step.pick)
        self._silence, told = self._silence.passed(step.pick)
        await self._settle(told)

    async def evict(self, step: Step) -> None:
        await self._stage.driver.evict()

    async def _settle(self, told: tuple[str, ...]) -> None:
        """Returns once the evaluator has moved the Node: only then is nothing in flight."""
        with trio.move_on_after(SETTLED_SECONDS):
            while True:
                pulled = await self._pull(f"{ONLY_COMPARED} until settled")
                if not told or f'"state":"{told[-1]}"'.encode() in pulled.body:
                    return
                await trio.sleep(_SETTLE_PAUSE)

    def _any(self, step: Step) -> NodeHandle:
        nodes = [self._node, *self._peers]
        return nodes[step.pick % len(nodes)]

    async def _rekeyed(self, node: NodeHandle) -> str:
        """Another mesh key of that Node, asked for by the operator and carried out by the Node."""
        path = f"/v1/nodes/{node.id}/keys/rotate"
        await self._send("rotation asked for", "POST", path, identity="operator", status=HTTPStatus.OK)
        key = fresh_public_key(self._rng)
        await self._send(
            "rotation carried out",
            "POST",
            "/v1/keys/rotate",
            identity=node.identity,
            status=HTTPStatus.OK,
            json={"new_public_key": key},
        )
        return key

    def _spelled_now(self) -> str:
        """The server's time as its last answer told it: doors take no other (contract, 1.7)."""
        return self._now.strftime("%Y-%m-%dT%H:%M:%SZ")


_TAKES: Mapping[Kind, Callable[[Walk, Step], Awaitable[None]]] = MappingProxyType(
    {
        Kind.ENROL: Walk.enrol,
        Kind.LEAVE: Walk.leave,
        Kind.REKEY: Walk.rekey,
        Kind.ENDPOINT: Walk.endpoint,
        Kind.PUT: Walk.put,
        Kind.DELETE: Walk.delete,
        Kind.BEAT: Walk.beat,
        Kind.AWAY: Walk.away,
        Kind.SIGN: Walk.sign,
        Kind.CLOCK: Walk.clock,
        Kind.EVICT: Walk.evict,
    }
)


def _instant(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (TypeError, ValueError):
        return None
