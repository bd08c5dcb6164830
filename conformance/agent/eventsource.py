"""The lenient reading of a stream, as the WHATWG standard asks of an agent: what an EventSource would see."""

from dataclasses import dataclass

_BOM = "\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One dispatched event: `last_id` is the last event id at that moment."""

    last_id: str
    event: str
    data: str


class EventSource:
    """Fed bytes in any pieces, dispatches messages and ignores what it does not know (SSE-11)."""

    __slots__ = ("_buffer", "_data", "_event", "_first", "last_id")

    def __init__(self) -> None:
        self._buffer = b""
        self._first = True
        self._event = ""
        self._data: list[str] = []
        self.last_id = ""

    def feed(self, piece: bytes) -> list[Message]:
        """The messages that this piece completes."""
        self._buffer += piece
        out: list[Message] = []
        while (line := self._line()) is not None:
            message = self._take(line)
            if message is not None:
                out.append(message)
        return out

    def _line(self) -> str | None:
        ends = [at for end in (b"\n", b"\r") if (at := self._buffer.find(end)) >= 0]
        if not ends:
            return None
        at = min(ends)
        width = 2 if self._buffer[at : at + 2] == b"\r\n" else 1
        if self._buffer[at : at + 1] == b"\r" and at + 1 == len(self._buffer):
            return None  # a LF may still follow
        line, self._buffer = self._buffer[:at], self._buffer[at + width :]
        text = line.decode("utf-8", "replace")
        if self._first:
            self._first = False
            return text.removeprefix(_BOM)
        return text

    def _take(self, line: str) -> Message | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self.last_id = value
        return None

    def _dispatch(self) -> Message | None:
        event, data = self._event or "message", self._data
        self._event, self._data = "", []
        return Message(last_id=self.last_id, event=event, data="\n".join(data)) if data else None
