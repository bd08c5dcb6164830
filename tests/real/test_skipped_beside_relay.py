"""Rows are requeued and discarded while relays run: each row goes one way, once (OUT-4, OUT-6)."""

from collections.abc import Callable
from functools import partial

import trio

from reference_server.control import skipped
from reference_server.outbox import parked
from reference_server.ports import Change
from tests.real.bus import TICK_SECONDS, RealBus, opened
from tests.services.nats import Nats

_ROWS = 60
_PATIENCE = 60


async def test_a_row_leaves_by_the_relay_or_by_the_operator_never_by_both(
    fresh_database: Callable[[], str], nats_engine: Nats
) -> None:
    async with opened(fresh_database(), nats_engine.url) as bus:
        node = bus.ids.uuid7()
        domain = await bus.domain(key=False)
        events = await bus.publish(domain, [node], _ROWS)
        relay, other = (bus.relay(publishes=4) for _ in range(2))  # many small batches, so that all meet
        while await relay.carry_once():
            pass
        rows = [row.outbox_id for row in await bus.store.read(partial(parked.list_parked, limit=_ROWS))]
        assert len(rows) == _ROWS
        discarded: list[str] = []
        with trio.fail_after(_PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(relay.run)
                nursery.start_soon(other.run)
                await bus.provision(domain)
                relay.wake()
                other.wake()
                while not await bus.on_log(domain, node):  # the log tells nobody
                    await trio.lowlevel.checkpoint()
                for row in reversed(rows):
                    discarded += await _discarded(bus, domain, row)
                while await bus.pending() or await bus.store.read(parked.list_parked):  # noqa: ASYNC110
                    await trio.sleep(TICK_SECONDS / 10)
                nursery.cancel_scope.cancel()
        left = await bus.on_log(domain, node)
        assert left == [event for event in events if event not in discarded]
        assert discarded and left


async def _discarded(bus: RealBus, domain: str, row: int) -> list[str]:
    def work(change: Change) -> list[str]:
        return [skipped.discard(change, row, subject="test").event_id]

    try:
        return await bus.store.change([domain], work)
    except parked.NotParked:
        return []
