"""The grammar of the stream, strict: blocks with their raw bytes, fields in order, and what each one breaks.

Section 2 of the protocol. The lenient reading that the WHATWG standard asks of agents is `eventsource.py`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from conformance.agent.envelope import Violation

EVENT_FIELDS = ("id", "event", "data")
KEEP_ALIVE = b":keep-alive\n\n"
BOM = b"\xef\xbb\xbf"

_SEQUENCE = re.compile(rb"[1-9][0-9]*")

# The log's sequence is an unsigned 64-bit number (GATE-9).
MAX_SEQUENCE = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One line of a block, without its end; `name` is empty for a comment."""

    name: str
    value: bytes
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One block up to and including its empty line; `start` is the offset of its first byte in the body."""

    start: int
    raw: bytes
    lines: tuple[Field, ...]
    violations: tuple[Violation, ...] = ()

    @property
    def is_event(self) -> bool:
        """True if a field stands in it: else it holds comments, or nothing."""
        return any(line.name for line in self.lines)

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.start + len(self.raw)

    def value(self, name: str) -> bytes | None:
        """The value of the first field of that name."""
        return next((line.value for line in self.lines if line.name == name), None)

    @property
    def sequence(self) -> int | None:
        """The id as a log sequence, None unless it is one in the one spelling (SSE-3)."""
        value = self.value("id") or b""
        return int(value) if _SEQUENCE.fullmatch(value) and int(value) <= MAX_SEQUENCE else None

    @property
    def event(self) -> str:
        """The event field, empty without one."""
        return (self.value("event") or b"").decode("utf-8", "replace")

    @property
    def data(self) -> bytes:
        """The data field's bytes."""
        return self.value("data") or b""


class Grammar:
    """Cuts a body into frames; the same bytes give the same frames, in whatever pieces they arrive."""

    __slots__ = ("_buffer", "_start", "last")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0
        self.last: int | None = None

    def feed(self, piece: bytes) -> list[Frame]:
        """The frames that this piece brings to their end."""
        searched = max(len(self._buffer) - 1, 0)
        self._buffer += piece
        whole: list[Frame] = []
        while (cut := self._cut(searched)) is not None:
            whole.append(self._taken(cut))
            searched = 0
        return whole

    @property
    def rest(self) -> bytes:
        """The bytes of a block that has not ended: none at a frame boundary (SSE-8)."""
        return bytes(self._buffer)

    def _cut(self, searched: int) -> int | None:
        if self._buffer[:1] == b"\n":
            return 1
        found = self._buffer.find(b"\n\n", searched)
        return None if found < 0 else found + 2

    def _taken(self, cut: int) -> Frame:
        raw = bytes(self._buffer[:cut])
        del self._buffer[:cut]
        frame = Frame(start=self._start, raw=raw, lines=_lines(raw))
        self._start += cut
        broken = tuple(_broken(frame, self.last))
        self.last = frame.sequence or self.last
        return replace(frame, violations=broken)


def frames(body: bytes) -> tuple[list[Frame], bytes]:
    """The frames of a whole body and what is left behind the last one."""
    grammar = Grammar()
    return grammar.feed(body), grammar.rest


def render(sequence: int, event: str, data: bytes) -> bytes:
    """An event frame as SSE-2 has it."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (sequence, event.encode(), data)


def _lines(raw: bytes) -> tuple[Field, ...]:
    return tuple(_field(line) for line in raw.removeprefix(BOM).rstrip(b"\n").split(b"\n") if line)


def _field(line: bytes) -> Field:
    name, _, value = line.partition(b":")
    return Field(name=name.decode("utf-8", "replace"), value=value.removeprefix(b" "), raw=line)


def _broken(frame: Frame, last: int | None) -> Iterator[Violation]:
    yield from _characters(frame)
    if frame.is_event:
        yield from _shape(frame)
        yield from _order(frame, last)
    elif not frame.lines:
        yield Violation(clause="SSE-2", at=frame.start, seen="an empty line that ends no frame")


def _characters(frame: Frame) -> Iterator[Violation]:
    if frame.raw.startswith(BOM):
        yield Violation(clause="SSE-5", at=frame.start, seen="a byte order mark")
    for forbidden, name in ((b"\r", "CR"), (b"\0", "NUL")):
        if forbidden in frame.raw:
            at = frame.start + frame.raw.index(forbidden)
            yield Violation(clause="SSE-5", at=at, seen=name)
    try:
        frame.raw.decode("utf-8")
    except UnicodeDecodeError as wrong:
        yield Violation(clause="SSE-5", at=frame.start + wrong.start, seen="bytes that are no UTF-8")


def _shape(frame: Frame) -> Iterator[Violation]:
    names = [line.name for line in frame.lines]
    if names != list(EVENT_FIELDS):
        shown = ", ".join(name or "a comment" for name in names)
        yield Violation(clause="SSE-2", at=frame.start, seen=f"an event frame of {shown}")
    for line in frame.lines:
        if line.name and not line.raw.startswith(line.name.encode() + b": "):
            yield Violation(clause="SSE-2", at=frame.start, seen=f"the line {line.raw[:80]!r}")


def _order(frame: Frame, last: int | None) -> Iterator[Violation]:
    sequence = frame.sequence
    if sequence is None:
        yield Violation(clause="SSE-3", at=frame.start, seen=f"id {frame.value('id')!r}")
    elif last is not None and sequence <= last:
        yield Violation(clause="SSE-3", at=frame.start, seen=f"id {sequence} after {last}")


def keep_alives(found: Sequence[Frame]) -> list[Frame]:
    """The frames that are a keep-alive, byte for byte (SSE-4)."""
    return [frame for frame in found if frame.raw == KEEP_ALIVE]
