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
    """Fed bytes in any pieces, dispatches messages and ignores what it does not know (SSE-11).

    `last_id` is what a reconnection sends: the id of the last block that ended, never of one that was torn.
    """

    __slots__ = ("_after_cr", "_buffer", "_data", "_event", "_first", "_id", "last_id")

    def __init__(self) -> None:
        self._buffer = b""
        self._after_cr = False
        self._first = True
        self._event = ""
        self._data: list[str] = []
        self._id = ""
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
        """The next line; a LF behind the CR that ended the last one belongs to that end."""
        if self._after_cr and self._buffer:
            self._buffer = self._buffer.removeprefix(b"\n")
            self._after_cr = False
        ends = [at for end in (b"\n", b"\r") if (at := self._buffer.find(end)) >= 0]
        if not ends:
            return None
        at = min(ends)
        self._after_cr = self._buffer[at : at + 1] == b"\r"
        line, self._buffer = self._buffer[:at], self._buffer[at + 1 :]
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
            self._id = value
        return None

    def _dispatch(self) -> Message | None:
        event, data = self._event or "message", self._data
        self._event, self._data, self.last_id = "", [], self._id
        return Message(last_id=self.last_id, event=event, data="\n".join(data)) if data else None
