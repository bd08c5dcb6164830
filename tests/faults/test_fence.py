"""The database gives up a relay that stands still for two ticks, whatever producers are allowed (OUT-4)."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import text

from reference_server.ports import Change, Unavailable
from reference_server.relay import settling
from tests.real import bus
from tests.services import nats

_TICKS = 0.2


async def test_a_relay_that_stands_still_is_given_up_after_two_ticks(
    fresh_database: Callable[[], str], nats_engine: nats.Nats
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real:

        def stands_still(change: Change) -> None:
            settling.make_cursor(change)
            assert settling.hold_cursor(change, 2 * _TICKS) is not None
            threading.Event().wait(3 * _TICKS)
            change.connection.execute(text("SELECT 1"))

        began = time.monotonic()
        with pytest.raises(Unavailable):
            await real.store.change((), stands_still)
        assert time.monotonic() - began < 10 * _TICKS


async def test_the_fence_ends_with_its_batch(
    fresh_database: Callable[[], str], nats_engine: nats.Nats
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real:
        shown = text("SHOW idle_in_transaction_session_timeout")
        before = await real.store.read(lambda connection: connection.execute(shown).scalar())
        await real.store.change((), settling.make_cursor)
        await real.store.change((), lambda change: settling.hold_cursor(change, 2 * _TICKS))
        assert await real.store.read(lambda connection: connection.execute(shown).scalar()) == before
