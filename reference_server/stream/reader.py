"""The one reader of the log's tail: feeds the nonces, has bodies checked, hands entries on (LOG-5, LOG-7)."""

from collections.abc import Collection, Mapping
from typing import Protocol

import structlog
import trio

from reference_server.ports import (
    Appended,
    Bounds,
    EventStream,
    NonceStore,
    SignedBody,
    Tail,
    Unavailable,
)
from reference_server.stream.ready import Readied, Ready, Refused
from reference_server.stream.session import End

# Attempts to reach a log or a nonce store that is away: soon at first, then as often as OUT-8's relay.
_FIRST_REST = 0.05
_LONGEST_REST = 1.0

# Entries taken before others get their turn, some 2 ms; what comes together is written together.
_ENTRIES_PER_TURN = 2048

Judged = Mapping[bytes, Ready | Refused]


class Audience(Protocol):
    """Whom the reader reads for."""

    def wants(self, appended: Appended) -> bool:
        """Whether a stream is open for any of its Nodes."""
        ...

    def dispatch(self, tail: Tail, judged: Judged, replayed: Collection[int]) -> None:
        """Hand the entries to their streams; a body that is not judged has none."""
        ...

    async def wait_room(self) -> None:
        """Returns once the streams can take more."""
        ...

    def end_all(self, reason: End) -> None: ...

    def end_of_body(self, appended: Appended, reason: End) -> None:
        """End the streams of the Nodes that it addresses."""
        ...


class Reader:
    """Reads from the log's low once, to know the nonces of everything retained, and is live from then on."""

    def __init__(self, *, log: EventStream, nonces: NonceStore, readied: Readied, audience: Audience) -> None:
        self._log = log
        self._nonces = nonces
        self._readied = readied
        self._audience = audience
        self._started = False
        self._moved = trio.lowlevel.ParkingLot()
        self.read_to = 0  # every entry up to here has been fed to the nonces and dispatched
        self.current = False  # the log and the nonces answer, and the reader has come to the head

    async def run(self) -> None:
        """Read until cancelled; whatever is away is tried again, and no stream outlives it."""
        rest = _FIRST_REST
        while True:
            try:
                await self._follow()
            except Unavailable:
                if self.current:
                    structlog.get_logger().warning("event_bus_away")
                    rest = _FIRST_REST
                self.current = False
                self._audience.end_all(End.BUS_AWAY)
                self._moved.unpark_all()
            await trio.sleep(rest)
            rest = min(rest * 2, _LONGEST_REST)

    async def window(self) -> Bounds:
        """The log's Bounds, while streams can be served at all. Raises Unavailable."""
        if not self.current:
            raise Unavailable("the reader of the log is not at its head")
        return await self._log.bounds()

    async def wait_current(self) -> None:
        """Returns once streams can be served."""
        while not self.current:
            await self._moved.park()

    async def wait_head(self) -> None:
        """Returns once all that the log holds now was fed to the nonces. Raises Unavailable."""
        high = (await self._log.bounds()).high
        while self.read_to < high:
            if not self.current:
                raise Unavailable("the reader of the log is not at its head")
            await self._moved.park()

    async def _follow(self) -> None:
        bounds = await self._log.bounds()
        if not self._started or not bounds.low - 1 <= self.read_to <= bounds.high:
            self.read_to = bounds.low - 1
            self._started = True
        taken = 0
        while True:
            if not self.current and self.read_to >= bounds.high:
                self.current = True
                self._moved.unpark_all()
            tail = await self._log.read_tail(self.read_to)
            await self._take(tail)
            taken += sum(len(appended.entries) for appended in tail.appended)
            if taken > _ENTRIES_PER_TURN:
                await trio.lowlevel.checkpoint()
                taken = 0

    async def _take(self, tail: Tail) -> None:
        await self._check_continuous(tail)
        replayed = await self._nonces.admit_entries(tail.appended)
        judged = await self._judge(tail)
        self._audience.dispatch(tail, judged, replayed)
        self.read_to = tail.read_to  # in one breath with the dispatch: a replay joins at this place
        self._moved.unpark_all()
        await self._audience.wait_room()

    async def _check_continuous(self, tail: Tail) -> None:
        """Entries that went before they were read leave a gap on every open stream: those end (CUR-2)."""
        first = tail.appended[0].entries[0][0] if tail.appended else tail.read_to + 1
        if first > self.read_to + 1 and (await self._log.bounds()).low - 1 > self.read_to:
            self._audience.end_all(End.EVICTED)

    async def _judge(self, tail: Tail) -> Judged:
        """Check every body that an open stream waits for; streams may open while others are checked."""
        judged: dict[bytes, Ready | Refused] = {}
        while missing := self._missing(tail, judged):
            await self._check(missing, judged)
        return judged

    def _missing(self, tail: Tail, judged: dict[bytes, Ready | Refused]) -> list[Appended]:
        missing = []
        for appended in tail.appended:
            wire = appended.body.wire
            if wire in judged or not self._audience.wants(appended):
                continue
            ready = self._readied.known.get(wire)
            if ready is None:
                missing.append(appended)
            else:
                judged[wire] = ready
        return missing

    async def _check(self, missing: list[Appended], judged: dict[bytes, Ready | Refused]) -> None:
        try:
            judged.update(await self._readied.prepare([appended.body for appended in missing]))
        except Unavailable:
            for appended in missing:
                await self._check_alone(appended, judged)

    async def _check_alone(self, appended: Appended, judged: dict[bytes, Ready | Refused]) -> None:
        body: SignedBody = appended.body
        try:
            judged.update(await self._readied.prepare([body]))
        except Unavailable:
            self._audience.end_of_body(appended, End.UNVERIFIABLE)
