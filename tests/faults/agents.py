"""Agents that follow a Node's stream through whatever happens: they resume, and keep what they were told."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import h11
import trio

_PIECE = 64 * 1024
# Between two attempts of one agent.
_REST = 0.1
# Keep-alives come every 25 s by default; an agent that hears nothing for longer connects anew.
_SILENCE = 40.0


@dataclass(kw_only=True)
class Agent:
    """One Node's agent; `port` answers where it connects next."""

    node_id: str
    credential: str
    port: Callable[[], int]
    frames: list[tuple[int, bytes]] = field(default_factory=list)  # sequence and data, as they came
    refused: list[tuple[int, str | None]] = field(default_factory=list)  # status and Retry-After
    opened: int = 0
    is_open: bool = False

    @property
    def events(self) -> list[str]:
        """The ids of the envelopes, in the order in which they came."""
        return [json.loads(data)["id"] for _, data in self.frames]

    @property
    def cursor(self) -> int | None:
        """What it resumes from."""
        return self.frames[-1][0] if self.frames else None

    async def run(self) -> None:
        """Follow the stream until cancelled."""
        while True:
            try:
                await self._follow()
            except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError, trio.TooSlowError):
                pass
            finally:
                self.is_open = False
            await trio.sleep(_REST)

    async def _follow(self) -> None:
        """One connection, to its end."""
        wire = h11.Connection(h11.CLIENT)
        async with await trio.open_tcp_stream("127.0.0.1", self.port()) as stream:
            await stream.send_all(wire.send(self._request()) or b"")
            left = b""
            while True:
                event = wire.next_event()
                if event is h11.NEED_DATA:
                    with trio.fail_after(_SILENCE):
                        wire.receive_data(await stream.receive_some(_PIECE))
                elif isinstance(event, h11.Response):
                    if event.status_code != 200:
                        self._note_refusal(event)
                        return
                    self.opened += 1
                    self.is_open = True
                elif isinstance(event, h11.Data):
                    *whole, left = (left + bytes(event.data)).split(b"\n\n")
                    self._take(whole)
                else:
                    return

    def _request(self) -> h11.Request:
        headers = [("Host", "bus"), ("Authorization", f"Bearer {self.credential}")]
        headers.append(("Accept", "text/event-stream"))
        if self.cursor is not None:
            headers.append(("Last-Event-ID", str(self.cursor)))
        return h11.Request(method="GET", target=f"/v1/nodes/{self.node_id}/events", headers=headers)

    def _note_refusal(self, response: h11.Response) -> None:
        after = dict(response.headers).get(b"retry-after")
        self.refused.append((response.status_code, None if after is None else after.decode()))

    def _take(self, whole: Iterable[bytes]) -> None:
        for block in whole:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
            if b"data" in fields:
                self.frames.append((int(fields[b"id"]), fields[b"data"]))


async def until(wanted: Callable[[], bool], seconds: float, *, pause: float = 0.02) -> None:
    """Returns once `wanted` holds. Raises TooSlowError."""
    with trio.fail_after(seconds):
        while not wanted():  # noqa: ASYNC110  # what agents saw is looked at, they tell nobody
            await trio.sleep(pause)
