"""One open stream: where it stands, what it still has to be sent, and every move that it can make."""

from collections.abc import Mapping
from enum import Enum, StrEnum
from types import MappingProxyType

from reference_server.ports import Appended, Caller
from reference_server.stream.ready import Ready
from reference_server.wire import frames
from reference_server.wire.messages import Peer


class Stage(Enum):
    """Where a stream stands."""

    REPLAYING = "replaying"  # reads the log by itself; what the tail brings is not for it yet
    JOINING = "joining"  # reads what it takes for the last piece; what the tail brings is held
    LIVE = "live"  # fed by the tail
    ENDING = "ending"  # takes nothing more; its last bytes are being written
    FINISHED = "finished"  # all is said; the peer has yet to close
    OVER = "over"  # the connection is gone


class Move(Enum):
    """What can happen to a stream."""

    HOLD = "hold"
    FALL_BACK = "fall back"  # the piece was not the last one
    CATCH_UP = "catch up"
    END = "end"  # at a frame boundary (SSE-8)
    SAY_ALL = "say all"
    LOSE = "lose"  # the peer is gone, or is cut (SSE-9)


# Asked at every write.
_ENDING = Stage.ENDING

# An absent pair is an illegal move.
MOVES: Mapping[tuple[Stage, Move], Stage] = MappingProxyType(
    {
        (Stage.REPLAYING, Move.HOLD): Stage.JOINING,
        (Stage.JOINING, Move.FALL_BACK): Stage.REPLAYING,
        (Stage.JOINING, Move.CATCH_UP): Stage.LIVE,
        (Stage.REPLAYING, Move.END): Stage.ENDING,
        (Stage.JOINING, Move.END): Stage.ENDING,
        (Stage.LIVE, Move.END): Stage.ENDING,
        (Stage.ENDING, Move.SAY_ALL): Stage.FINISHED,
        (Stage.REPLAYING, Move.LOSE): Stage.OVER,
        (Stage.JOINING, Move.LOSE): Stage.OVER,
        (Stage.LIVE, Move.LOSE): Stage.OVER,
        (Stage.ENDING, Move.LOSE): Stage.OVER,
        (Stage.FINISHED, Move.LOSE): Stage.OVER,
    }
)


class IllegalMove(Exception):
    """A stream cannot make this move from where it stands: a defect of the hub."""


class End(StrEnum):
    """Why a stream came to its end."""

    PEER_LEFT = "peer_left"
    SLOW_READER = "slow_reader"
    DEAD_PEER = "dead_peer"
    NEWER_STREAM = "newer_stream"
    NOT_ADMITTED_ANY_MORE = "not_admitted_any_more"
    EVICTED = "evicted"
    BUS_AWAY = "bus_away"
    UNVERIFIABLE = "unverifiable"
    DROPPED = "dropped"
    STOPPING = "stopping"


class Session:
    """A stream of one Node. Only the hub and its flusher, replay and wheel touch one."""

    __slots__ = (
        "blocked",
        "caller",
        "chunked",
        "dirty",
        "domain_id",
        "end",
        "held",
        "held_bytes",
        "last",
        "last_taken",
        "last_write",
        "node_id",
        "peer",
        "pending",
        "pending_bytes",
        "rung",
        "stage",
        "unsent",
        "vouched",
    )

    def __init__(
        self,
        *,
        node_id: str,
        domain_id: str,
        caller: Caller,
        rung: int,
        after: int,
        peer: Peer,
        chunked: bool,
    ) -> None:
        self.node_id = node_id
        self.domain_id = domain_id
        self.caller = caller
        self.rung = rung  # of the key that signs what comes next (KEY-3)
        self.last = after  # sequence up to which nothing more is owed
        self.peer = peer
        self.chunked = chunked
        self.stage = Stage.REPLAYING
        self.end: End | None = None
        self.pending: list[bytes] = []  # pieces of whole frames
        self.pending_bytes = 0
        self.unsent: memoryview | None = None  # the rest of a write that the peer's window did not take
        self.held: list[tuple[int, Appended, Ready]] = []
        self.held_bytes = 0
        self.dirty = False  # waits for the flusher
        self.blocked = False  # waits for the peer; its own task writes
        self.last_taken = False  # the last chunk has been written or waits in `unsent`
        self.last_write = 0.0  # trio's clock
        self.vouched: int | None = None  # the Domain's version at which GATE-15 was last looked at

    def make(self, move: Move) -> None:
        """Change the stage. Raises IllegalMove."""
        try:
            self.stage = MOVES[self.stage, move]
        except KeyError:
            raise IllegalMove(f"a {self.stage.value} stream cannot {move.value}") from None

    def can(self, move: Move) -> bool:
        """Whether the move exists from here."""
        return (self.stage, move) in MOVES

    def say(self, piece: bytes) -> None:
        """Put bytes that stand between frames on the pending list."""
        self.pending.append(piece)
        self.pending_bytes += len(piece)

    def backlog(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self.pending_bytes + (len(self.unsent) if self.unsent is not None else 0)

    def deliver(self, sequence: int, ready: Ready) -> str | None:
        """Put the frame of an entry on the pending list, unless it was sent; or say why it must not go out.

        The body's Domain must be the Node's, and its key the one that this place of the stream calls for;
        the rotation itself is signed by the outgoing key, and the next one takes over behind it (KEY-3).
        """
        if sequence <= self.last:
            return None
        self.last = sequence
        if self.rung != ready.rung or self.domain_id != ready.domain_id:
            return "wrong_scope" if self.domain_id != ready.domain_id else "key_out_of_place"
        line = b"id: %d" % sequence
        self.pending += (line, ready.shared)
        self.pending_bytes += len(line) + ready.size
        if ready.rotates:
            self.rung += 1
        return None

    def hold(self, sequence: int, appended: Appended, ready: Ready) -> None:
        """Keep what the tail brought until the last piece of the replay is in."""
        self.held.append((sequence, appended, ready))
        self.held_bytes += ready.size

    def release(self) -> list[tuple[int, Appended, Ready]]:
        """What was held, no longer held."""
        held, self.held, self.held_bytes = self.held, [], 0
        return held

    def take(self) -> bytes:
        """All that is pending as the bytes to write; behind an ending stream's, once, the last chunk."""
        pieces, size = self.pending, self.pending_bytes
        self.pending, self.pending_bytes = [], 0
        if not self.chunked:
            return b"".join(pieces)
        data = frames.chunked(size, pieces) if size else b""
        if self.stage is _ENDING and not self.last_taken:
            self.last_taken = True
            return data + frames.LAST_CHUNK
        return data
