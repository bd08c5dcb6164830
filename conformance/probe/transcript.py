"""The transcript: everything a scenario sent and received, with times, so that it can be judged again.

A transcript is plain data. It is written as NDJSON (one record a line) and read back to equal records.
Times are nanoseconds on one monotonic clock that starts at 0 with the run; `wall` anchors it once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Ending(StrEnum):
    """How an exchange came to its end."""

    COMPLETE = "complete"  # the message was whole
    CLOSED = "closed"  # the peer closed before the message was whole
    RESET = "reset"
    TIMEOUT = "timeout"  # nothing came within the budget
    LEFT = "left"  # we hung up on purpose
    REFUSED = "refused"  # no connection
    MALFORMED = "malformed"  # the bytes are no HTTP response


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """Bytes as they arrived: `raw` before de-chunking, `body` what they add to the message body."""

    at: int
    raw: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A response head. Header names keep their case and order."""

    at: int
    http_version: str
    status: int
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> tuple[str, ...]:
        """All values of a header, without regard to case."""
        wanted = name.lower()
        return tuple(value for key, value in self.headers if key.lower() == wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and all that came back, redacted of credentials.

    `request_raw` holds the bytes of a request that was sent by hand, and is empty otherwise.
    """

    id: int
    label: str  # what the scenario calls it, unique within the scenario
    identity: str  # which credential: "node_a", "operator", "none", …
    sent_at: int
    method: str
    target: str
    request_headers: tuple[tuple[str, str], ...]
    request_body: bytes
    head: Head | None
    received: tuple[Received, ...]
    ended_at: int
    ending: Ending
    request_raw: bytes = b""

    @property
    def body(self) -> bytes:
        """The message body so far."""
        return b"".join(part.body for part in self.received)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something the scenario knows: an act of the driver, an expectation, a fact, at a time."""

    at: int
    name: str
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One scenario's record. `started_wall` is seconds since 1970 of the run's time 0 (UTC)."""

    scenario: str
    started_wall: float
    exchanges: Sequence[Exchange]
    marks: Sequence[Mark]

    def exchange(self, label: str) -> Exchange | None:
        """The exchange of that label, or None if the scenario never got so far."""
        return next((each for each in self.exchanges if each.label == label), None)

    def labelled(self, prefix: str) -> tuple[Exchange, ...]:
        """The exchanges whose label starts with `prefix`, in order."""
        return tuple(each for each in self.exchanges if each.label.startswith(prefix))

    def marked(self, name: str) -> tuple[Mark, ...]:
        """The marks of that name, in order."""
        return tuple(mark for mark in self.marks if mark.name == name)
