"""The health probe: asks database and log anew for each question (contract_facts 4.7)."""

from collections.abc import Awaitable, Callable, Sequence

import trio
from sqlalchemy import text

from reference_server.api.meta import HealthCheck, Standing
from reference_server.ports import EventStream, Store, Unavailable

# A load balancer asks every few seconds and gives up within two.
_PATIENCE_SECONDS = 1.5


class Probe:
    """Without the database nothing can change: down. Without the log nothing is streamed: degraded."""

    def __init__(self, *, store: Store, stream: EventStream) -> None:
        self._store = store
        self._stream = stream

    async def __call__(self) -> Sequence[HealthCheck]:
        """One check for each dependency, side by side: an answer takes no longer than one of them."""
        done: dict[str, HealthCheck] = {}

        async def check(name: str, otherwise: Standing, ask: Callable[[], Awaitable[None]]) -> None:
            done[name] = await self._check(name, otherwise, ask)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(check, "database", Standing.DOWN, self._ask_store)
            nursery.start_soon(check, "event_stream", Standing.DEGRADED, self._ask_stream)
        return done["database"], done["event_stream"]

    async def _ask_store(self) -> None:
        await self._store.read(lambda connection: connection.execute(text("SELECT 1")))

    async def _ask_stream(self) -> None:
        await self._stream.bounds()

    async def _check(self, name: str, otherwise: Standing, ask: Callable[[], Awaitable[None]]) -> HealthCheck:
        with trio.move_on_after(_PATIENCE_SECONDS):
            try:
                await ask()
            except Unavailable:
                return HealthCheck(name=name, status=otherwise, detail="It cannot be reached.")
            return HealthCheck(name=name, status=Standing.OK, detail="It answers.")
        return HealthCheck(name=name, status=otherwise, detail="It does not answer in time.")
