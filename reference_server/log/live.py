"""The one live consumer of a replica: an ordered push of the whole log, not acknowledged (LOG-7)."""

from collections import deque
from contextlib import suppress

import trio
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError

from reference_server.log import messages, subjects
from reference_server.log.messages import Message
from reference_server.log.nats_link import NatsLink
from reference_server.ports import Unavailable

# The server says so often that nothing is new; after three such spans without a word the consumer is lost.
_HEARTBEAT_SECONDS = 1.0
_SILENCE_SECONDS = 3.5

# A consumer whose replica went away is removed by the server after so long.
_ABANDONED_SECONDS = 30.0

# What waits for the reader; past it the server is not told to go on.
_WAITING_BYTES = 16 * 1024 * 1024

_STATUS, _CONTROL = "Status", "100"
_TOKENS, _SEQUENCE_AT = 9, 5
_LAST_CONSUMER, _STALLED = "Nats-Last-Consumer", "Nats-Consumer-Stalled"


class LiveTail:
    """Messages after a place, in order, until one is missing or nothing is heard: then it is `lost`."""

    def __init__(self, link: NatsLink, after: int) -> None:
        self.taken_to = after  # everything up to here has been handed out
        self._link = link
        self._token = trio.lowlevel.current_trio_token()
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._arrived = trio.lowlevel.ParkingLot()
        self._taken = 0
        self._heard_at = trio.current_time()
        self._lost = False
        # ---- of the asyncio thread
        self._crossing: list[Message] = []
        self._delivered = 0
        self._owed_reply = ""
        self._name = ""

    async def start(self) -> None:
        """Have the server push. Raises Unavailable."""
        try:
            await self._link.call(self._subscribe)
        except APIError as refusal:
            raise Unavailable("the log has no consumer for this replica") from refusal

    async def take(self, limit: int) -> list[Message]:
        """Up to `limit` messages, waiting for the first; none where a moment has brought nothing.

        Raises Unavailable once messages were lost: a new consumer has to begin behind `taken_to`.
        """
        if not self._waiting:
            with trio.move_on_after(_HEARTBEAT_SECONDS):
                await self._arrived.park()
        if not self._waiting and (self._lost or self._silent()):
            raise Unavailable("the log's live consumer is lost")
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        if taken:
            self.taken_to = taken[-1][0]
            self._taken += len(taken)
            self._bytes -= sum(len(message[3]) for message in taken)
            if self._bytes < _WAITING_BYTES and self._owed_reply:
                self._go_on()
        return taken

    async def is_drained(self) -> bool:
        """Whether nothing is left to push, and all that was pushed is taken. Raises Unavailable."""
        try:
            info = await self._link.call(lambda: self._link.stream.consumer_info(subjects.STREAM, self._name))
        except APIError as refusal:
            raise Unavailable("the log's live consumer is gone") from refusal
        pushed = 0 if info.delivered is None else info.delivered.consumer_seq
        return not info.num_pending and pushed == self._taken

    async def stop(self) -> None:
        """Have the server forget the consumer; what cannot be told it forgets by itself."""
        self._link.on_lost.discard(self._on_lost)
        with trio.CancelScope(shield=True), suppress(Unavailable, APIError):
            await self._link.call(self._unsubscribe)

    def _silent(self) -> bool:
        return trio.current_time() - self._heard_at > _SILENCE_SECONDS

    def _go_on(self) -> None:
        """Answer the flow control that was held back."""
        reply, self._owed_reply = self._owed_reply, ""
        with suppress(Unavailable):
            self._link.begin(lambda: self._link.client.publish(reply))

    # ---- in trio, told by the asyncio thread

    def _take_in(self, batch: list[Message], lost: bool, owed_reply: str) -> None:
        self._heard_at = trio.current_time()
        self._waiting.extend(batch)
        self._bytes += sum(len(message[3]) for message in batch)
        self._lost = self._lost or lost
        if owed_reply:
            self._owed_reply = owed_reply
            if self._bytes < _WAITING_BYTES:
                self._go_on()
        if batch or lost:
            self._arrived.unpark_all()

    # ---- in the asyncio thread

    async def _subscribe(self) -> None:
        client = self._link.client
        self._link.on_lost.add(self._on_lost)
        inbox = client.new_inbox()
        self._subscription = await client.subscribe(inbox, cb=self._on_message, pending_bytes_limit=-1)
        config = ConsumerConfig(
            deliver_subject=inbox,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self.taken_to + 1,
            ack_policy=AckPolicy.NONE,
            max_deliver=1,
            flow_control=True,
            idle_heartbeat=_HEARTBEAT_SECONDS,
            inactive_threshold=_ABANDONED_SECONDS,
            mem_storage=True,
            num_replicas=1,
        )
        self._name = (await self._link.stream.add_consumer(subjects.STREAM, config)).name

    async def _unsubscribe(self) -> None:
        await self._subscription.unsubscribe()
        await self._link.stream.delete_consumer(subjects.STREAM, self._name)

    def _on_lost(self) -> None:
        """The server may forget a consumer that nobody listens to, and does so when it restarts."""
        self._cross(lost=True)

    async def _on_message(self, message: Msg) -> None:
        headers = message.headers or {}
        if headers.get(_STATUS) == _CONTROL:
            self._controlled(message, headers)
            return
        sequence, delivered = _places(message.reply)
        if delivered != self._delivered + 1:
            self._cross(lost=True)
            return
        self._delivered += 1
        self._crossing.append((sequence, message.subject, messages.message_id_of(headers), message.data))
        if len(self._crossing) == 1:
            self._link.soon(self._cross)

    def _controlled(self, message: Msg, headers: dict[str, str]) -> None:
        said = headers.get(_LAST_CONSUMER)
        missed = said is not None and int(said) > self._delivered
        self._cross(lost=missed, owed_reply=message.reply or headers.get(_STALLED, ""))

    def _cross(self, lost: bool = False, owed_reply: str = "") -> None:
        batch, self._crossing = self._crossing, []
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._take_in, batch, lost, owed_reply)


def _places(reply: str) -> tuple[int, int]:
    """The message's sequence on the log and at its consumer, as the subject for its acknowledgement has them.

    $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer's>.<time>.<pending>, and with a domain and
    an account hash before the stream where the server has domains.
    """
    tokens = reply.split(".")
    at = _SEQUENCE_AT if len(tokens) == _TOKENS else _SEQUENCE_AT + 2
    return int(tokens[at]), int(tokens[at + 1])
