"""The seams of the server: what each room promises the others, and nothing of how.

Names follow the roadmap. Every Protocol has an embedded adapter today; Postgres and JetStream implement
the same ones. `app.build` alone chooses; a port that it gets as None is unwired and answers 501.
UUIDs are lower-case texts. Sequences are positive integers of the log. Instants are aware UTC datetimes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


# ---- time, randomness, ids -------------------------------------------------------------------------


class Clock(Protocol):
    """Wall clock of the server; the fault channel may move it forward, never back."""

    def now(self) -> datetime: ...


class Ids(Protocol):
    """Fresh identifiers."""

    def uuid7(self) -> str: ...


# ---- store -----------------------------------------------------------------------------------------


class Unavailable(Exception):
    """An outside part (database, log, nonce store) cannot be reached now; try again later."""


@dataclass(slots=True, kw_only=True)
class Change:
    """One open writing transaction, given to the work that `Store.change` runs in its thread."""

    connection: Connection
    transaction_id: str  # UUIDv7, stored in outbox and audit rows (OUT-1)
    now: int  # microseconds since 1970, read once for the whole transaction
    correlation_id: str | None
    ids: Ids
    domains: frozenset[str]  # whose locks are held (OUT-1)
    outbox_written: bool = False  # set by outbox.append: the commit wakes the relay (OUT-7)
    after_commit: list[Callable[[], None]] = field(default_factory=list)  # run in the event loop, in order


class Store(Protocol):
    """Transactions: one call is one transaction in one thread hop (OUT-1)."""

    async def change(
        self, domains: Sequence[str], work: Callable[[Change], T], *, correlation_id: str | None = None
    ) -> T:
        """Run `work` in a writing transaction that holds the lock of each Domain in `domains`.

        Locks are taken in ascending order before the first read or write. Commits when `work` returns,
        rolls back when it raises, and re-raises. After a commit the Domains' versions have moved and, where
        outbox rows were written, the relay has been woken. Raises Unavailable.
        """
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a consistent view. Raises Unavailable."""
        ...

    @property
    def shared(self) -> bool:
        """Whether other processes commit here too, so that `version` may be a moment behind them."""
        ...

    def version(self, domain_id: str) -> int:
        """A number that moves with every committed change of the Domain (for caches)."""
        ...

    def counted(self, connection: Connection, domain_id: str) -> int:
        """The Domain's version in the view of `read` that `connection` belongs to, or an earlier one."""
        ...


# ---- log -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`low`: lowest retained sequence; `high`: highest ever assigned; empty: low = high + 1 (CUR-4)."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SignedBody:
    """One signed envelope as it goes on the wire (ENV-3), shared by all its recipients."""

    event_id: str
    event_type: str
    domain_id: str  # of the subject that it was appended under
    key_id: str
    wire: bytes


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Appended:
    """A body and where it stands: `entries` are (sequence, node id), ascending."""

    body: SignedBody
    entries: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """What the log holds after a sequence: `read_to` is the sequence up to which it is complete."""

    appended: Sequence[Appended]
    read_to: int


class EventStream(Protocol):
    """The log as the streaming side reads it (CUR-1…5, LOG-7). Every method raises Unavailable."""

    async def bounds(self) -> Bounds: ...

    async def read_tail(self, after: int) -> Tail:
        """Entries of all Nodes after `after`, in sequence order, a bounded number; waits for the first."""
        ...

    async def read_node(self, node_id: str, after: int, up_to: int) -> Tail:
        """Entries of one Node with after < sequence <= up_to, bounded in bytes; never waits.

        `read_to` is the last sequence the answer is complete to (`up_to` when nothing is left).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What the relay appends: a body for some Nodes of its Domain, in this order."""

    body: SignedBody
    node_ids: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """What became of a batch: where new entries stand, and whom a body has yet to reach, by event id."""

    appended: Sequence[Appended]
    owed: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """How far a relay may trust itself: nothing is published after `until`, and `sure` says that what is on
    the log is known, since no other relay and no failure came between this batch and the last one (OUT-3)."""

    until: float  # time.monotonic
    sure: bool


class LogAppender(Protocol):
    """The log as the relay writes it (LOG-1, LOG-3)."""

    def append(self, change: Change, outgoing: Sequence[Outgoing], lease: Lease) -> Landed:
        """Append bodies in order, inside the relay's transaction and thread.

        What the log already holds (same event id, same Node) is not appended again and not answered (PROD-6).
        Where a Node could not be reached it is owed that body and every later one. Readers see the entries
        once the transaction has committed, or sooner. Raises Unavailable where nothing was appended.
        """
        ...


# ---- stream side -----------------------------------------------------------------------------------


class Layer(StrEnum):
    """The two consumers of nonces; each has a store of its own (LOG-6)."""

    RELAY = "relay"
    STREAM = "stream"


class Sighting(StrEnum):
    """The answer to a nonce (LOG-5)."""

    FIRST = "first"
    SAME = "same"
    REPLAY = "replay"


class NonceStore(Protocol):
    """Which sequence first carried a nonce, `<event id>.<node id>`; the lowest wins (LOG-5)."""

    layer: Layer

    @property
    def shared(self) -> bool:
        """Whether every replica sees the same nonces (LOG-6)."""
        ...

    async def admit(self, sightings: Sequence[tuple[str, int]]) -> Sequence[Sighting]:
        """Record (nonce, sequence) pairs and say what each is. Raises Unavailable."""
        ...

    async def admit_entries(self, appended: Sequence[Appended]) -> Collection[int]:
        """As `admit`, of every entry of some bodies; answers the sequences that only repeat a nonce."""
        ...

    async def look_up(self, nonces: Sequence[str]) -> Sequence[int | None]:
        """The recorded sequences. Raises Unavailable."""
        ...

    async def look_up_node(self, node_id: str, event_ids: Sequence[str]) -> Sequence[int | None]:
        """As `look_up`, of one Node's nonces by their events."""
        ...

    async def forget_below(self, low: int) -> None:
        """Drop what the log no longer retains."""
        ...


class SignatureVerifier(Protocol):
    """Checks envelopes against the keys of their Domain (LOG-4, KEY-3)."""

    async def verify(self, bodies: Sequence[SignedBody]) -> Sequence[str | None]:
        """Per body None where signature and scope hold, else the reason. Raises Unavailable: cannot tell."""
        ...

    async def rung_of(self, domain_id: str, key_id: str) -> int | None:
        """The place of a key in its Domain's signature chain, looked up afresh when unknown."""
        ...

    async def rung_at(self, node_id: str, domain_id: str, sequence: int) -> int:
        """How many rotations this Node's stream has passed once `sequence` is behind it (KEY-3)."""
        ...


# ---- admission -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who speaks: a Node by its NSK, or an operator by its token. Exactly one of the two ids is set."""

    node_id: str | None = None
    operator: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What the gates know of a Node."""

    node_id: str
    domain_id: str


class CredentialResolver(Protocol):
    """Turns an Authorization header into a Caller (GATE-5, CRED-1…3)."""

    async def resolve(self, authorization: Sequence[bytes]) -> Caller:
        """Raises Refusal (401 with its code) or Unavailable. The argument holds every such header line."""
        ...


class RelationChecker(Protocol):
    """Whether a Caller stands in a relation to an object (GATE-6, CRED-3)."""

    async def check(self, caller: Caller, relation: str, object_kind: str, object_id: str) -> bool:
        """Raises Unavailable when it cannot be decided. Says nothing about whether the object exists."""
        ...


class NodeRepo(Protocol):
    """Existence of Nodes."""

    async def find(self, node_id: str) -> NodeFacts | None:
        """None: no such Node, or deregistered. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The pull's body; `age_seconds` is set only when it comes from a cache during an outage (PULL-5)."""

    body: bytes
    age_seconds: int | None = None


class SnapshotProvider(Protocol):
    """The Node's desired state (section 10)."""

    async def snapshot(self, node_id: str) -> Snapshot | None:
        """None: no such Node. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One admission decision, for the platform chain (GATE-14)."""

    occurred_at: datetime
    caller: Caller | None
    relation: str
    object_id: str  # as asked
    status: int
    reason: str
    correlation_id: str


class AuditSink(Protocol):
    """Takes admission decisions without ever delaying an answer (GATE-14)."""

    def record_nowait(self, decision: Decision) -> None: ...
