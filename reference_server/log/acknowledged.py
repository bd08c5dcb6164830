"""Publishes that JetStream acknowledges, as many side by side as may be; all of it in the asyncio thread."""

import itertools
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionReconnectingError


class Fault(msgspec.Struct, frozen=True):
    """Why JetStream did not take a message."""

    err_code: int = 0
    description: str = ""


class Ack(msgspec.Struct, frozen=True):
    """Where a message stands, also where it stood there before; or the fault."""

    seq: int = 0
    error: Fault | None = None


Heard: TypeAlias = Callable[[Ack], None]

_NOBODY = Ack(error=Fault(description="nobody answers"))
_DECODER = msgspec.json.Decoder(Ack)


class Publisher:
    """One inbox for the acknowledgements of a connection: a message costs no task and no future."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = ""
        self._numbers = itertools.count(1)
        self._waiting: dict[str, Heard] = {}

    async def publish(self, subject: str, body: bytes, headers: Mapping[str, str], heard: Heard) -> str:
        """Send, and have `heard` called once it is answered; answers what `forget` takes.

        Raises nats-py's errors where it cannot be sent.
        """
        if not self._client.is_connected:
            raise ConnectionReconnectingError  # what is kept until then nobody waits for any more
        if not self._inbox:
            self._inbox = inbox = self._client.new_inbox()
            await self._client.subscribe(f"{inbox}.*", cb=self._answered)
        token = str(next(self._numbers))
        self._waiting[token] = heard
        try:
            await self._client.publish(subject, body, f"{self._inbox}.{token}", dict(headers))
        except BaseException:
            self.forget(token)
            raise
        return token

    def forget(self, token: str) -> None:
        """Wait for this answer no longer."""
        self._waiting.pop(token, None)

    def lose(self) -> None:
        """Tell everybody who waits that nobody will answer: the connection broke, and its answers with it."""
        waiting, self._waiting = self._waiting, {}
        for heard in waiting.values():
            heard(_NOBODY)

    async def _answered(self, message: Msg) -> None:
        heard = self._waiting.pop(message.subject.rpartition(".")[2], None)
        if heard is None:
            return
        try:
            ack = _DECODER.decode(message.data)
        except msgspec.DecodeError:
            ack = _NOBODY
        heard(ack)
