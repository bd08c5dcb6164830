"""The recorder: one scenario's transcript while it grows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from conformance.probe.clock import RunClock
from conformance.probe.decoder import ResponseDecoder
from conformance.probe.transcript import Ending, Exchange, Head, Mark, Received, Transcript
from conformance.probe.vault import Vault

# More than any scenario needs; a peer that floods us is cut there instead of filling the memory.
MAX_EXCHANGE_BYTES = 64 * 1024 * 1024


class Flooded(Exception):
    """The peer sent more than MAX_EXCHANGE_BYTES in one exchange."""


@dataclass(slots=True, kw_only=True)
class Tape:
    """One exchange while it runs. The network backend writes into it, whoever drives the request."""

    id: int
    label: str
    identity: str
    sent_at: int
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    raw: bytes
    decoder: ResponseDecoder
    now: Callable[[], int]
    pieces: list[Received] = field(default_factory=list)
    size: int = 0
    ended_at: int | None = None
    ending: Ending | None = None
    closed_by_peer: bool = False
    on_piece: Callable[[Received], None] | None = None
    before_read: Callable[[], Awaitable[None]] | None = None

    def received(self, raw: bytes) -> None:
        """Takes what one read brought; empty means that the peer closed."""
        piece = self.decoder.feed(self.now(), raw)
        self.closed_by_peer = self.closed_by_peer or not raw
        self.size += len(raw)
        self.pieces.append(piece)
        if self.on_piece is not None:
            self.on_piece(piece)
        if self.size > MAX_EXCHANGE_BYTES:
            raise Flooded(f"more than {MAX_EXCHANGE_BYTES} bytes in one exchange")

    @property
    def head(self) -> Head | None:
        return self.decoder.head

    def end(self, ending: Ending) -> None:
        """Closes the tape once; the bytes have the last word about how it ended."""
        if self.ending is not None:
            return
        self.ended_at = self.now()
        if self.decoder.complete:
            self.ending = Ending.COMPLETE
        elif self.decoder.malformed:
            self.ending = Ending.MALFORMED
        else:
            self.ending = ending


class Recorder:
    """Collects tapes and marks of one scenario and yields its transcript, redacted."""

    __slots__ = ("_clock", "_labels", "_marks", "_tapes", "_vault", "scenario")

    def __init__(self, scenario: str, clock: RunClock, vault: Vault) -> None:
        self.scenario = scenario
        self._clock = clock
        self._vault = vault
        self._tapes: list[Tape] = []
        self._marks: list[Mark] = []
        self._labels: set[str] = set()

    def open(
        self,
        label: str,
        *,
        identity: str,
        method: str,
        target: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        raw: bytes = b"",
    ) -> Tape:
        """A new tape; the label must be unique within the scenario."""
        if label in self._labels:
            raise ValueError(f"the label {label!r} stands twice in scenario {self.scenario!r}")
        self._labels.add(label)
        tape = Tape(
            id=len(self._tapes) + 1,
            label=label,
            identity=identity,
            sent_at=self._clock.now(),
            method=method,
            target=target,
            headers=headers,
            body=body,
            raw=raw,
            decoder=ResponseDecoder(method),
            now=self._clock.now,
        )
        self._tapes.append(tape)
        return tape

    def mark(self, name: str, facts: Mapping[str, object]) -> None:
        """Notes what the scenario knows, at this time."""
        self._marks.append(Mark(at=self._clock.now(), name=name, facts=dict(facts)))

    def exchange(self, tape: Tape) -> Exchange:
        """The tape as it stands, with its secrets: for the scenario's own eyes, never for a file."""
        return Exchange(
            id=tape.id,
            label=tape.label,
            identity=tape.identity,
            sent_at=tape.sent_at,
            method=tape.method,
            target=tape.target,
            request_headers=tape.headers,
            request_body=tape.body,
            request_raw=tape.raw,
            head=tape.head,
            received=tuple(tape.pieces),
            ended_at=self._clock.now() if tape.ended_at is None else tape.ended_at,
            ending=tape.ending or Ending.LEFT,
        )

    def transcript(self) -> Transcript:
        """Everything so far, redacted; exchanges in the order in which they were sent."""
        return Transcript(
            scenario=self.scenario,
            started_wall=self._clock.started_wall,
            exchanges=tuple(_redacted(self.exchange(tape), self._vault) for tape in self._tapes),
            marks=(*(_redacted_mark(mark, self._vault) for mark in self._marks), *self._echoes()),
        )

    def excerpt(self, beginning: str) -> Transcript:
        """The exchanges whose label begins so and every mark, with secrets: for the scenario's own eyes."""
        return Transcript(
            scenario=self.scenario,
            started_wall=self._clock.started_wall,
            exchanges=tuple(self.exchange(tape) for tape in self._tapes if tape.label.startswith(beginning)),
            marks=tuple(self._marks),
        )

    def _echoes(self) -> list[Mark]:
        """One mark per answer that carries a credential (CRED-4): redaction hides it from the checks."""
        marks = []
        for tape in self._tapes:
            sent = self._vault.leaks(repr((tape.headers, tape.target)).encode() + tape.body + tape.raw)
            came = self._vault.leaks(b"".join(piece.raw for piece in tape.pieces))
            if echoed := sorted(set(sent) & set(came)):
                facts: dict[str, object] = {"exchange": tape.label, "secrets": echoed}
                marks.append(Mark(at=tape.sent_at, name="credential_echoed", facts=facts))
        return marks


def _redacted(exchange: Exchange, vault: Vault) -> Exchange:
    return replace(
        exchange,
        target=vault.named(exchange.target),
        request_headers=tuple((name, vault.named(value)) for name, value in exchange.request_headers),
        request_body=vault.mask(exchange.request_body),
        request_raw=vault.mask(exchange.request_raw),
        head=None if exchange.head is None else _redacted_head(exchange.head, vault),
        received=_redacted_pieces(exchange.received, vault),
    )


def _redacted_head(head: Head, vault: Vault) -> Head:
    headers = tuple((name, vault.named(value)) for name, value in head.headers)
    return Head(at=head.at, http_version=head.http_version, status=head.status, headers=headers)


def _redacted_pieces(pieces: Sequence[Received], vault: Vault) -> tuple[Received, ...]:
    """Masked over the joined bytes, since a secret may lie across two reads."""
    raw = vault.mask(b"".join(piece.raw for piece in pieces))
    body = vault.mask(b"".join(piece.body for piece in pieces))
    redacted: list[Received] = []
    raw_at = body_at = 0
    for piece in pieces:
        raw_to, body_to = raw_at + len(piece.raw), body_at + len(piece.body)
        redacted.append(Received(at=piece.at, raw=raw[raw_at:raw_to], body=body[body_at:body_to]))
        raw_at, body_at = raw_to, body_to
    return tuple(redacted)


def _redacted_mark(mark: Mark, vault: Vault) -> Mark:
    return Mark(
        at=mark.at, name=mark.name, facts={key: _plain(value, vault) for key, value in mark.facts.items()}
    )


def _plain(value: object, vault: Vault) -> object:
    """A fact as JSON would hold it, so that a stored transcript reads back equal."""
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {str(key): _plain(each, vault) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(each, vault) for each in value]
        case bytes():
            return vault.named(value.decode("latin-1"))
        case _:
            return vault.named(str(value))
