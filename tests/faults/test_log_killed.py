"""The log or the relay killed in the middle of a pipelined batch: no Node's order changes (LOG-3, OUT-3)."""

import random
from collections.abc import Callable
from pathlib import Path

import trio

from tests.faults import scale
from tests.faults.relays import Relayed, high, relayed
from tests.services import nats
from tests.services.ports import free_port

_KILLS = scale.of(2, 8)
_WINDOW = 1.0
_BROADCAST = 1_000
_EVENTS = 10  # a second of publishing: a machine that looks late is still in the middle
_CUTS = scale.of(1, 3)
# A kill that falls between two broadcasts is tried again.
_ATTEMPTS = 4 * _CUTS
_PAUSE = 0.002


async def _past(on: Relayed, sequence: int) -> None:
    with trio.fail_after(30):
        while await high(on.real) < sequence:  # noqa: ASYNC110  # a log tells nobody
            await trio.sleep(_PAUSE)


async def test_no_order_changes_when_the_log_dies_in_a_pipelined_batch(
    fresh_database: Callable[[], str], tmp_path: Path
) -> None:
    dice = random.Random()
    (tmp_path / "nats").mkdir()
    with nats.running(tmp_path / "nats", free_port()) as engine:
        async with relayed(fresh_database(), engine.url, tmp_path, relays=1) as on:
            domain, nodes = await on.real.domain(), [on.real.ids.uuid7() for _ in range(200)]
            await on.members[0].start()
            for _ in range(_KILLS):
                before = await high(on.real)
                for node in nodes:
                    on.sent.setdefault(node, [])
                await on.publish(domain, nodes, 10)  # ten on each subject, 200 subjects side by side
                await _past(on, before + dice.randrange(1, 1_500))
                engine.kill()
                assert await on.real.pending()  # it was in the middle
                await on.publish(domain, nodes, 1)
                engine.start()
                await on.settled()
            await on.assert_exact(domain)


async def test_a_broadcast_cut_in_the_middle_is_completed_beyond_the_duplicate_window(
    fresh_database: Callable[[], str], nats_engine: nats.Nats, tmp_path: Path
) -> None:
    dice = random.Random()
    url = nats_engine.url
    async with relayed(fresh_database(), url, tmp_path, relays=1, window=_WINDOW) as on:
        domain, nodes = await on.real.domain(), [on.real.ids.uuid7() for _ in range(_BROADCAST)]
        [relay] = on.members
        cut = 0
        for _ in range(_ATTEMPTS):
            await on.publish(domain, nodes, _EVENTS)
            before = await high(on.real)
            await relay.start()
            await _past(on, before + dice.randrange(_BROADCAST, 2 * _BROADCAST))
            relay.kill()
            cut += await high(on.real) % _BROADCAST > 0  # or it was between two broadcasts
            await trio.sleep(_WINDOW * 1.5)  # the log's own memory of message ids has to pass
            await relay.start()
            await on.settled()
            relay.kill()
            if cut == _CUTS:
                break
        assert cut == _CUTS
        await on.publish(domain, nodes, 1)
        await relay.start()
        await on.settled()
        await on.assert_exact(domain)
