"""A relay that dies at any step, over real engines: all is on the log once, in order (OUT-1…6, LOG-3)."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio
from sqlalchemy import text

from reference_server.log import publishing
from reference_server.ports import Change, Landed, Lease, Outgoing, Unavailable
from reference_server.relay import batch, claims, decide, settling
from tests.real import bus
from tests.real.bus import RealBus
from tests.services import nats

Fresh = Callable[[], str]


class Died(Exception):
    """The relay's process ended here."""


def dies_before(owner: Any, name: str, patch: pytest.MonkeyPatch) -> None:
    """Have the step fail the first time that it is reached."""
    real = getattr(owner, name)
    reached = []

    def step(*args: Any, **named: Any) -> Any:
        if not reached:
            reached.append(name)
            raise Died(name)
        return real(*args, **named)

    patch.setattr(owner, name, step)


# Every step of a batch, in order; before the commit is after the cursor has moved.
STEPS = (
    (settling, "make_cursor"),
    (settling, "hold_cursor"),
    (claims, "pending"),
    (batch.Batch, "_keys"),
    (decide, "decide"),
    (batch, "_body"),
    (publishing, "publish"),
    (settling, "settle"),
    (settling, "move_cursor"),
)


async def drained(real: RealBus, relay: Any = None) -> None:
    """Relay with what a fresh process knows until nothing waits."""
    relay = relay or real.relay()
    while await real.pending():
        try:
            await relay.carry_once()
        except Unavailable:
            continue


@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[name for _, name in STEPS])
async def test_a_relay_that_dies_before_a_step_loses_and_doubles_nothing(
    owner: Any, name: str, fresh_database: Fresh, nats_engine: nats.Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real:
        domain, nodes = await real.domain(), [real.ids.uuid7() for _ in range(5)]
        told = [*await real.publish(domain, nodes, 2), *await real.publish(domain, nodes[:1], 3)]
        dies_before(owner, name, monkeypatch)
        with pytest.raises(Died):
            await real.relay().carry_once()
        later = await real.publish(domain, nodes, 1)
        await drained(real)
        assert await real.on_log(domain, nodes[0]) == [*told, *later]
        for node in nodes[1:]:
            assert await real.on_log(domain, node) == [*told[:2], *later]


async def test_a_death_after_the_publish_is_noticed_beyond_the_duplicate_window(
    fresh_database: Fresh, nats_engine: nats.Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url, window=1) as real:
        domain, nodes = await real.domain(), [real.ids.uuid7() for _ in range(3)]
        told = await real.publish(domain, nodes, 4)
        dies_before(settling, "settle", monkeypatch)
        with pytest.raises(Died):
            await real.relay().carry_once()
        await trio.sleep(1.5)  # the log's own memory of message ids has to pass
        await drained(real)
        for node in nodes:
            assert await real.on_log(domain, node) == told


class Stutters:
    """A log that acknowledges only some Nodes, as one that is killed in the middle of a batch."""

    def __init__(self, real: RealBus, deaf: Sequence[str]) -> None:
        self._real = real
        self._deaf = set(deaf)

    def append(self, change: Change, outgoing: Sequence[Outgoing], lease: Lease) -> Landed:
        """Pass on what is not for the deaf; they are owed the rest."""
        heard = [
            Outgoing(body=out.body, node_ids=[node for node in out.node_ids if node not in self._deaf])
            for out in outgoing
        ]
        landed = self._real.log.append(change, heard, lease)
        owed = {out.body.event_id: [node for node in out.node_ids if node in self._deaf] for out in outgoing}
        return Landed(appended=landed.appended, owed={event: nodes for event, nodes in owed.items() if nodes})


async def test_a_failed_publish_holds_back_the_later_rows_of_its_node_alone(
    fresh_database: Fresh, nats_engine: nats.Nats
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real:
        domain, nodes = await real.domain(), [real.ids.uuid7() for _ in range(4)]
        told = await real.publish(domain, nodes, 3)
        with pytest.raises(Unavailable):
            await real.relay(Stutters(real, nodes[:1])).carry_once()
        assert await real.on_log(domain, nodes[0]) == []
        assert await real.on_log(domain, nodes[1]) == told
        assert await real.pending() == 3  # each row keeps the Node that it is owed to
        await drained(real)
        for node in nodes:
            assert await real.on_log(domain, node) == told


async def test_a_lease_that_is_over_publishes_nothing_more(
    fresh_database: Fresh, nats_engine: nats.Nats
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real:
        domain, node = await real.domain(), real.ids.uuid7()
        told = await real.publish(domain, [node], 2)

        class Late:
            def append(self, change: Change, outgoing: Sequence[Outgoing], _lease: Lease) -> Landed:
                return real.log.append(change, outgoing, Lease(until=bus.lease_deadline(-1), sure=True))

        with pytest.raises(Unavailable):
            await real.relay(Late()).carry_once()
        assert await real.on_log(domain, node) == []
        await drained(real)
        assert await real.on_log(domain, node) == told


async def test_a_smaller_row_id_that_commits_later_is_not_passed_over(
    fresh_database: Fresh, nats_engine: nats.Nats
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real:
        slow, quick = await real.domain(), await real.domain()
        node, other = real.ids.uuid7(), real.ids.uuid7()
        inserted, may_commit = trio.Event(), threading.Event()
        token = trio.lowlevel.current_trio_token()
        told: list[str] = []

        def work(change: Change) -> None:
            told.append(
                bus.append.append(
                    change,
                    domain_id=slow,
                    source=bus.SOURCE,
                    recipients=[node],
                    payload=b'{"node_id":"%s"}' % node.encode(),
                )
            )
            token.run_sync_soon(inserted.set)
            may_commit.wait(10)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.store.change, [slow], work)
            await inserted.wait()
            later = await real.publish(quick, [other])
            relay = real.relay()
            await relay.carry_once()
            assert await real.on_log(quick, other) == later  # nor does the open transaction hold anybody up
            may_commit.set()
        await drained(real, relay)
        assert await real.on_log(slow, node) == told


async def test_a_domain_without_key_holds_up_nobody_and_its_rows_leave_in_order(
    fresh_database: Fresh, nats_engine: nats.Nats
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real:
        keyless, keyed = await real.domain(key=False), await real.domain()
        node, other = real.ids.uuid7(), real.ids.uuid7()
        waiting = await real.publish(keyless, [node], 3)
        told = await real.publish(keyed, [other], 2)
        relay = real.relay()
        await drained(real, relay)
        assert await real.on_log(keyed, other) == told
        assert await real.on_log(keyless, node) == []
        waiting += await real.publish(keyless, [node], 1)
        await real.provision(keyless)
        waiting += await real.publish(keyless, [node], 1)
        with trio.fail_after(20):
            while await real.on_log(keyless, node) != waiting:
                await relay.carry_once()


async def test_one_relay_at_a_time_and_the_next_one_takes_over(
    fresh_database: Fresh, nats_engine: nats.Nats
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real:
        domain, node = await real.domain(), real.ids.uuid7()
        told = await real.publish(domain, [node], 2)
        inside, may_end = trio.Event(), threading.Event()
        token = trio.lowlevel.current_trio_token()

        class Hangs:
            def append(self, change: Change, outgoing: Sequence[Outgoing], lease: Lease) -> Landed:
                token.run_sync_soon(inside.set)
                may_end.wait(10)
                return real.log.append(change, outgoing, lease)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.relay(Hangs()).carry_once)
            await inside.wait()
            assert await real.relay().carry_once() is False  # it skips its turn
            assert await real.on_log(domain, node) == []
            may_end.set()
        assert await real.on_log(domain, node) == told


async def test_a_stopped_leader_is_ended_by_the_database(
    fresh_database: Fresh, nats_engine: nats.Nats
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real:

        def stands_still(change: Change) -> None:
            change.connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '200ms'"))
            threading.Event().wait(1.0)
            change.connection.execute(text("SELECT 1"))

        with pytest.raises(Unavailable):
            await real.store.change((), stands_still)
        assert await real.pending() == 0  # the next call has a line of its own
