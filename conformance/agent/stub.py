"""The stub agent: streams, verifies, reconnects, recovers after 410, folds, and compares with a pull.

async with agent_of(...).running() as agent:
    await agent.wait_for(lambda event: event.type == "peer_registered")
    assert await agent.differences() == ()
"""

import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

import trio

from conformance.agent import fold, grammar, keys
from conformance.agent.envelope import Violation
from conformance.agent.link import Answer, Link, OpenStream, Unreachable

# Enough to look back on in a test or a live display; what is older was applied and is forgotten.
KEPT = 4096

# Back-off between attempts (SSE-12, GATE-11 ask an agent to come back): doubled up to the cap, with jitter.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

# Refusals that time does not heal.
_FINAL = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
)


class Refused(Exception):
    """The server refuses this agent for good; `status` is its answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server answered {status}")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event frame as the agent judged it."""

    sequence: int | None
    type: str
    standing: keys.Standing
    data: bytes
    payload: bytes
    violations: tuple[Violation, ...]


@dataclass(slots=True, kw_only=True)
class Tally:
    """What happened so far."""

    connections: int = 0
    recoveries: int = 0
    rebases: int = 0
    keep_alives: int = 0


class Agent:
    """One Node's agent. `chain`, `state`, `events`, `violations` and `tally` may be read at any time."""

    def __init__(self, *, link: Link, node_id: str, chain: keys.Chain, rng: random.Random) -> None:
        self._link = link
        self._path = f"/v1/nodes/{node_id}"
        self._rng = rng
        self._changed = trio.Event()
        self._pause = FIRST_PAUSE
        self.chain = chain
        self.cursor: int | None = None
        self.state: fold.Fold | None = None
        self.events: deque[Event] = deque(maxlen=KEPT)
        self.violations: deque[Violation] = deque(maxlen=KEPT)
        self.tally = Tally()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """The agent, working in the background until the block ends; raises Refused out of it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run)
            try:
                yield self
            finally:
                nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await self._link.aclose()

    async def run(self) -> None:
        """Streams for ever, coming back after every end; raises Refused."""
        while True:
            with suppress(Unreachable):
                await self._connect()
            await trio.sleep(self._pause * self._rng.uniform(0.5, 1.0))
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def wait_for(self, wanted: Callable[[Event], bool]) -> Event:
        """The first event, past or to come, that satisfies `wanted`."""
        while True:
            found = next((event for event in self.events if wanted(event)), None)
            if found is not None:
                return found
            await self.wait_change()

    async def wait_change(self) -> None:
        """Returns once another event came or a recovery was made."""
        await self._changed.wait()

    async def wait_ready(self) -> None:
        """Returns once a first pull has been folded."""
        while self.state is None:
            await self.wait_change()

    async def pull(self) -> bytes:
        """A snapshot that comes from no cache (PULL-5, CUR-8); raises Refused."""
        while True:
            answer = await self._answer("/state")
            if answer.status == HTTPStatus.OK and "Age" not in answer.headers:
                return answer.body
            await trio.sleep(FIRST_PAUSE)

    async def differences(self) -> tuple[fold.Difference, ...]:
        """The blocks in which the fold differs from a pull made now, with nothing in flight."""
        await self.wait_ready()
        assert self.state is not None  # noqa: S101  # wait_ready just said so
        return fold.differences(self.state, await self.pull())

    async def _connect(self) -> None:
        async with self._link.stream(f"{self._path}/events", self.cursor) as stream:
            self.tally.connections += 1
            if stream.status == HTTPStatus.GONE:
                self.cursor = None
            elif stream.status in _FINAL:
                raise Refused(stream.status)
            elif stream.status == HTTPStatus.OK:
                await self._stay(stream)

    async def _stay(self, stream: OpenStream) -> None:
        """Reads to the end; a stream without a cursor begins with the recovery of CUR-8."""
        self._pause = FIRST_PAUSE
        if self.cursor is None:
            await self._recover()
        parser = grammar.Grammar()
        async for piece in stream.pieces:
            for frame in parser.feed(piece):
                await self._take(frame)

    async def _recover(self) -> None:
        """With the stream open: bring the keys up to date, then pull; the stream is applied after."""
        self.tally.recoveries += 1
        answer = await self._answer("/signing-keys")
        if answer.status == HTTPStatus.OK:
            self.chain, broken = keys.catch_up(self.chain, answer.body)
            self.violations.extend(broken)
        self.state = fold.start(await self.pull())
        self._wake()

    async def _take(self, frame: grammar.Frame) -> None:
        self.violations.extend(frame.violations)
        if not frame.is_event:
            self.tally.keep_alives += frame.raw == grammar.KEEP_ALIVE
            return
        step = keys.follow(self.chain, frame.data)
        self.chain = step.chain
        self.violations.extend(step.violations)
        if step.standing is keys.Standing.TRUSTED and step.envelope is not None:
            await self._fold(step.envelope.type, step.envelope.payload)
        self.cursor = frame.sequence or self.cursor
        self.events.append(
            Event(
                sequence=frame.sequence,
                type=frame.event,
                standing=step.standing,
                data=frame.data,
                payload=b"" if step.envelope is None else step.envelope.payload,
                violations=(*frame.violations, *step.violations),
            )
        )
        self._wake()

    async def _fold(self, event_type: str, payload: bytes) -> None:
        if self.state is None:
            return
        self.state = fold.apply(self.state, event_type, payload)
        if self.state.needs_pull:
            self.tally.rebases += 1
            self.state = fold.rebase(self.state, await self.pull())

    async def _answer(self, below: str) -> Answer:
        answer = await self._link.get(self._path + below)
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise Refused(answer.status)
        return answer

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def agent_of(
    *,
    base_url: str,
    node_id: str,
    domain_id: str,
    credential: str,
    signing_key_id: str = "",
    signing_public_key: str = "",
    seed: int = 0,
) -> Agent:
    """An agent that pins the key of its registration, or the first one that KEY-6 names without one."""
    return Agent(
        link=Link(base_url, credential),
        node_id=node_id,
        chain=keys.pinned(domain_id, signing_key_id, signing_public_key),
        rng=random.Random(seed),  # noqa: S311  # jitter of the back-off, repeatable
    )
