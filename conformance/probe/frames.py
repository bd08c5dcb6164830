"""A forgiving splitter of SSE bytes: enough to know when to go on. Judging the grammar is a check's work."""

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One block of a stream as it came: `start` is its offset into the body, `at` when its end arrived."""

    at: int
    start: int
    raw: bytes
    fields: tuple[tuple[str, str], ...]

    @property
    def comment(self) -> bool:
        """True if the block holds nothing but comments."""
        return not self.fields

    @property
    def id(self) -> str:
        return self._first("id")

    @property
    def event(self) -> str:
        return self._first("event")

    @property
    def data(self) -> str:
        return "\n".join(value for name, value in self.fields if name == "data")

    @property
    def envelope(self) -> dict[str, object]:
        """The data as a JSON object, empty if it is none. For waiting only: never verify with it."""
        try:
            parsed = json.loads(self.data)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    def _first(self, wanted: str) -> str:
        return next((value for name, value in self.fields if name == wanted), "")


class FrameSplitter:
    """Cuts a growing body into blocks at empty lines."""

    __slots__ = ("_buffer", "_start")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0

    def feed(self, at: int, body: bytes) -> list[Frame]:
        """The blocks that this piece brings to their end."""
        self._buffer += body
        whole: list[Frame] = []
        while (cut := self._block_end()) is not None:
            raw = bytes(self._buffer[:cut])
            del self._buffer[:cut]
            whole.append(Frame(at=at, start=self._start, raw=raw, fields=_fields(raw)))
            self._start += cut
        return whole

    def _block_end(self) -> int | None:
        ends = [
            found + len(gap)
            for gap in (b"\n\n", b"\r\n\r\n", b"\r\r")
            if (found := self._buffer.find(gap)) >= 0
        ]
        return min(ends, default=None)


def _fields(raw: bytes) -> tuple[tuple[str, str], ...]:
    lines = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    split = (line.partition(":") for line in lines if line and not line.startswith(":"))
    return tuple((name, value.removeprefix(" ")) for name, _, value in split)
