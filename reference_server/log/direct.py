"""Batches read straight from the stream (JetStream direct get): no consumer for each replay (LOG-7)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeout

from reference_server.log import messages, subjects
from reference_server.log.messages import Message
from reference_server.log.nats_link import ANSWER_SECONDS, NatsLink

_REQUEST = "$JS.API.DIRECT.GET."
_STATUS, _PENDING = "Status", "Nats-Num-Pending"
_SEQUENCE, _SUBJECT = "Nats-Sequence", "Nats-Subject"
_END, _NOTHING = "204", "404"

# A server answers for at most so many subjects at once.
LAST_AT_ONCE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Messages in order, and how many more the filter matches behind them."""

    messages: Sequence[Message]
    pending: int


async def next_of(
    link: NatsLink, subject: str, start: int, *, entries: int, size: int, stream: str = subjects.STREAM
) -> Batch:
    """Messages of a subject filter from `start` on, bounded in number and bytes. Raises nats-py's errors."""
    asked = {"seq": start, "next_by_subj": subject, "batch": entries, "max_bytes": size}
    return await _ask(link, stream, asked)


async def last_of(link: NatsLink, wanted: Sequence[str], *, stream: str = subjects.STREAM) -> list[Message]:
    """The newest message of each subject that has one, in the order of the log. Raises nats-py's errors."""
    found: list[Message] = []
    for at in range(0, len(wanted), LAST_AT_ONCE):
        some = wanted[at : at + LAST_AT_ONCE]
        found += (await _ask(link, stream, {"multi_last": list(some), "batch": len(some)})).messages
    return found


async def _ask(link: NatsLink, stream: str, asked: object) -> Batch:
    client = link.client
    answer = _Answer()
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, cb=answer.take)
    try:
        await client.publish(_REQUEST + stream, msgspec.json.encode(asked), reply=inbox)
        return await asyncio.wait_for(answer.whole, ANSWER_SECONDS)
    finally:
        # The server ends the batch by itself; a read that was cut short must not leave its inbox open.
        await asyncio.shield(subscription.unsubscribe())


class _Answer:
    """Gathers the messages of a batch as they come; a task for each would cost more than the message."""

    def __init__(self) -> None:
        self.whole: asyncio.Future[Batch] = asyncio.get_running_loop().create_future()
        self._found: list[Message] = []

    async def take(self, message: Msg) -> None:
        """One more message, or the end."""
        headers = message.headers or {}
        status = headers.get(_STATUS)
        if status is None and _SEQUENCE in headers:
            self._found.append(_message(message, headers))
        elif not self.whole.done():
            if status in (_END, _NOTHING):
                self.whole.set_result(Batch(messages=self._found, pending=int(headers.get(_PENDING, 0))))
            else:
                self.whole.set_exception(NatsTimeout())  # no stream, or nobody to answer: as good as none


def _message(message: Msg, headers: dict[str, str]) -> Message:
    return (
        int(headers[_SEQUENCE]),
        headers[_SUBJECT],
        messages.message_id_of(headers),
        message.data,
    )
