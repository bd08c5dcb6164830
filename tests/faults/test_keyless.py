"""1,000 Domains, one without key: the others are as quick as ever, and its rows leave in order (OUT-5)."""

import statistics
from collections.abc import Callable
from functools import partial

import trio
from sqlalchemy import insert

from reference_server.envelope import signing
from reference_server.outbox import parked
from reference_server.ports import Change
from reference_server.store import tables
from tests.faults.test_order import _append, _lag, _relayed
from tests.real import bus
from tests.real.bus import RealBus
from tests.services import nats

_DOMAINS = 1_000
_WAITING = 300
_SAMPLES = 40
# For what is sure to come, on a machine that is busy with other things.
_PATIENCE = 120
# Both engines' disks sync now and then, for half a second where others write, too: so many samples may
# meet that. Whatever a parked Domain costs, it costs in every batch.
_SYNCS = 2
# What two cores that do other things, too, may add to a median of some milliseconds.
_NOISE = 0.05


async def _provisioned(real: RealBus) -> dict[str, str]:
    """Domains with keys, each with one Node, made in one transaction."""
    domains = {real.ids.uuid7(): real.ids.uuid7() for _ in range(_DOMAINS - 1)}
    seed = signing.new_seed()
    sealed, public = real.keyring.seal(seed), signing.key_pair(seed)[0]

    def work(change: Change) -> None:
        rows = [
            {"key_id": f"key-{domain}", "domain_id": domain, "rung": 0}
            | {"public_key": public, "sealed_seed": sealed, "created_at": change.now}
            for domain in domains
        ]
        change.connection.execute(insert(tables.signing_keys), rows)

    await real.store.change(list(domains), work)
    return domains


async def _all_at_once(real: RealBus, domains: dict[str, str]) -> None:
    """One event of every Domain, committed together."""

    def work(change: Change) -> None:
        for domain, node in domains.items():
            _append(change, domain, node)

    await real.store.change(list(domains), work)
    with trio.fail_after(_PATIENCE):
        while await real.pending():  # noqa: ASYNC110  # rows tell nobody when they are settled
            await trio.sleep(0.01)


async def test_one_domain_without_key_among_a_thousand_changes_nobodys_delay(
    fresh_database: Callable[[], str], nats_engine: nats.Nats
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real, trio.open_nursery() as nursery:
        domains = await _provisioned(real)
        keyless, mute = await real.domain(key=False), real.ids.uuid7()
        nursery.start_soon(_relayed, real)
        await _all_at_once(real, domains)  # and everything is warm
        some = list(domains.items())[:_SAMPLES]
        before = [await _lag(real, domain, node) for domain, node in some]
        waiting = await real.publish(keyless, [mute], _WAITING)
        during = []
        for domain, node in some:
            waiting += await real.publish(keyless, [mute])
            during.append(await _lag(real, domain, node))
        await _all_at_once(real, domains)
        assert statistics.median(during) < statistics.median(before) + _NOISE
        assert sorted(during)[-1 - _SYNCS] < max(before) + bus.TICK_SECONDS / 2
        assert await real.on_log(keyless, mute) == []
        rows = await real.store.read(partial(parked.list_parked, limit=2 * _WAITING))
        assert len(rows) == len(waiting)
        await real.provision(keyless)
        waiting += await real.publish(keyless, [mute], 5)
        with trio.fail_after(_PATIENCE):
            while await real.on_log(keyless, mute) != waiting:  # noqa: ASYNC110  # a log tells nobody
                await trio.sleep(0.02)
        for domain, node in some:
            assert len(await real.on_log(domain, node)) == 4
        nursery.cancel_scope.cancel()
