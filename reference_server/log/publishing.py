"""Publishing to JetStream: subjects side by side, on each subject one message after the other (LOG-3)."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nats.errors import Error as NatsError

from reference_server.log import messages, subjects
from reference_server.log.acknowledged import Ack, Publisher
from reference_server.ports import Outgoing, SignedBody

# A publish that is not acknowledged by then may stand on the log or not; its Node's later ones wait for that.
ACK_SECONDS = 1.0

# More than this side by side only wait for each other in the server.
AT_ONCE = 1024

_EXPECTED_STREAM = "Nats-Expected-Stream"


@dataclass(slots=True, kw_only=True)
class Acknowledged:
    """Where each message stands, by body (its place in the batch) and Node; and whether any has failed."""

    places: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    failed: bool = False


@dataclass(slots=True, kw_only=True)
class _Chain:
    """What a Node gets, one after the other."""

    node_id: str
    left: deque[tuple[int, SignedBody]]


async def publish(publisher: Publisher, outgoing: Sequence[Outgoing], *, until: float) -> Acknowledged:
    """Publish each body for each of its Nodes, none after `until` (time of the event loop) (OUT-4).

    A failed publish holds back the later ones of its Node alone.
    """
    batch = _Batch(publisher, _chains(outgoing))
    try:
        await batch.run(until)
    finally:
        batch.forget()
    return batch.done


def _chains(outgoing: Sequence[Outgoing]) -> deque[_Chain]:
    chains: dict[str, deque[tuple[int, SignedBody]]] = defaultdict(deque)
    for number, out in enumerate(outgoing):
        for node_id in out.node_ids:
            chains[node_id].append((number, out.body))
    return deque(_Chain(node_id=node_id, left=left) for node_id, left in chains.items())


class _Batch:
    """The chains of a batch: those that may send, and those whose message is on its way, oldest first."""

    def __init__(self, publisher: Publisher, chains: deque[_Chain]) -> None:
        self.done = Acknowledged()
        self._publisher = publisher
        self._ready = chains
        self._sent: dict[str, tuple[str, float]] = {}  # by Node: what to forget it by, and when it was sent
        self._heard = asyncio.Event()

    async def run(self, until: float) -> None:
        """Returns when everything is acknowledged or given up."""
        now = asyncio.get_running_loop().time
        while self._ready or self._sent:
            while self._ready and len(self._sent) < AT_ONCE and now() < until:
                await self._send(self._ready.popleft(), now())
            if not self._sent:
                break
            # Nor is an acknowledgement awaited longer: the database would give the batch up meanwhile.
            limit = min(next(iter(self._sent.values()))[1] + ACK_SECONDS, until)
            await self._wait(limit - now())
            self._give_up(now() if now() < until else float("inf"))
        self.done.failed = self.done.failed or bool(self._ready)

    def forget(self) -> None:
        """Wait for nothing any more."""
        for token, _ in self._sent.values():
            self._publisher.forget(token)

    async def _send(self, chain: _Chain, now: float) -> None:
        number, body = chain.left.popleft()

        def heard(ack: Ack) -> None:
            self._heard.set()
            self._sent.pop(chain.node_id, None)
            if ack.error is not None:
                self.done.failed = True
                return
            self.done.places[number].append((ack.seq, chain.node_id))
            if chain.left:
                self._ready.append(chain)

        self._sent[chain.node_id] = ("", now)
        subject = subjects.of_node(body.domain_id, chain.node_id)
        try:
            token = await self._publisher.publish(subject, body.wire, _headers(body, chain.node_id), heard)
        except (NatsError, OSError):
            self._sent.pop(chain.node_id, None)
            self.done.failed = True
            return
        if chain.node_id in self._sent:
            self._sent[chain.node_id] = (token, now)

    async def _wait(self, seconds: float) -> None:
        """Returns when something was acknowledged, or the time is over."""
        self._heard.clear()
        try:
            await asyncio.wait_for(self._heard.wait(), max(seconds, 0))
        except TimeoutError:
            return

    def _give_up(self, now: float) -> None:
        late = [node_id for node_id, (_, since) in self._sent.items() if since + ACK_SECONDS <= now]
        for node_id in late:
            self._publisher.forget(self._sent.pop(node_id)[0])
            self.done.failed = True


def _headers(body: SignedBody, node_id: str) -> Mapping[str, str]:
    return {
        messages.MESSAGE_ID: subjects.message_id(body.event_id, node_id),
        _EXPECTED_STREAM: subjects.STREAM,
    }
