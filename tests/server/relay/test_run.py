"""The relay over the real store and log (OUT-2…8, OUT-10, OUT-11, KEY-2, KEY-3, PROD-6)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
import trio.testing
from sqlalchemy import Connection, insert, select, update
from structlog.testing import capture_logs

from reference_server.envelope import canonical, model
from reference_server.outbox import append, parked
from reference_server.ports import Change, Unavailable
from reference_server.relay import settling
from reference_server.store import node_bytes, tables
from tests.server.bus import SOURCE, Bus, flat, opened, payload_for

_outbox = tables.outbox_events
_TEN_SECONDS = 10


async def _events(bus: Bus) -> list[str]:
    return [event for _, _, event in await bus.whole_log()]


async def _seed(bus: Bus, key_id: str) -> bytes | None:
    keys = tables.signing_keys.c
    return await bus.store.read(
        lambda connection: connection.execute(
            select(keys.sealed_seed).where(keys.key_id == key_id)
        ).scalar_one()
    )


async def test_a_broadcast_is_signed_once_and_stands_once_for_each_node() -> None:
    async with opened() as bus:
        domain, nodes = bus.ids.uuid7(), [bus.ids.uuid7() for _ in range(3)]
        key_id = await bus.provision(domain)
        [event] = await bus.publish(domain, nodes)
        await bus.drain()
        found = flat((await bus.log.read_tail(0)).appended)
        assert [(at, node) for at, node, _ in found] == list(enumerate(nodes, 1))
        assert len({id(body) for _, _, body in found}) == 1
        body = found[0][2]
        envelope = model.parse(body.wire)
        assert envelope.verified_by(await bus.public_key(key_id))
        assert (envelope.id, envelope.type, envelope.scope) == (
            event,
            "peer_deregistered",
            f"domain:{domain}",
        )
        assert (envelope.key_id, envelope.payload) == (key_id, canonical.compact(payload_for(nodes[0])))
        assert body.wire in bus.signed_here
        assert await bus.nonces.look_up([f"{event}.{node}" for node in nodes]) == [1, 2, 3]
        assert await bus.statuses() == {event: "published"}


async def test_rows_leave_in_commit_order_over_all_domains() -> None:
    async with opened(publishes=7) as bus:
        domains = [bus.ids.uuid7() for _ in range(3)]
        for domain in domains:
            await bus.provision(domain)
        nodes = {domain: [bus.ids.uuid7(), bus.ids.uuid7()] for domain in domains}
        events: list[str] = []
        for turn in range(30):
            domain = domains[turn % 3]
            events += await bus.publish(domain, nodes[domain][: 1 + turn % 2], 1 + turn % 4)
        await bus.drain()
        assert list(dict.fromkeys(await _events(bus))) == events


async def test_a_batch_is_bounded_but_takes_a_broadcast_whole() -> None:
    async with opened(publishes=10) as bus:
        domain, nodes = bus.ids.uuid7(), [bus.ids.uuid7() for _ in range(4)]
        await bus.provision(domain)
        await bus.publish(domain, nodes, 5)
        assert await bus.relay.carry_once()
        assert (await bus.log.bounds()).high == 8
        await bus.drain()
        assert (await bus.log.bounds()).high == 20
        await bus.publish(domain, nodes * 5)
        await bus.relay.carry_once()
        assert (await bus.log.bounds()).high == 40


async def test_a_domain_without_key_holds_up_nobody_and_loses_nothing() -> None:
    async with opened() as bus:
        silent, other = bus.ids.uuid7(), bus.ids.uuid7()
        node = bus.ids.uuid7()
        await bus.provision(other)
        waiting = await bus.publish(silent, [node], 3)
        going = await bus.publish(other, [node], 2)
        with capture_logs() as lines:
            await bus.drain()
            waiting += await bus.publish(silent, [node], 2)
            await bus.drain()
        assert await _events(bus) == going
        statuses = await bus.statuses()
        assert {statuses[event] for event in waiting} == {"parked"}
        warned = [line for line in lines if line["event"] == "domain_without_signing_key"]
        assert [line["domain_id"] for line in warned] == [silent]
        counted = bus.metrics.registry.get_sample_value
        assert counted("sse_relay_skip_total", {"reason": "no_signing_key"}) == 5
        key_id = await bus.provision(silent)
        waiting += await bus.publish(silent, [node], 2)
        await bus.drain()
        assert await _events(bus) == going + waiting
        assert set((await bus.statuses()).values()) == {"published"}
        assert await bus.store.read(parked.list_parked) == []
        tail = await bus.log.read_tail(2)
        assert {model.parse(body.wire).key_id for _, _, body in flat(tail.appended)} == {key_id}


async def test_many_waiting_rows_leave_in_order_over_several_batches() -> None:
    async with opened(publishes=10) as bus:
        domain, other, node = bus.ids.uuid7(), bus.ids.uuid7(), bus.ids.uuid7()
        await bus.provision(other)
        waiting = await bus.publish(domain, [node], 23)
        await bus.drain()
        await bus.provision(domain)
        waiting += await bus.publish(domain, [node], 4)
        going = await bus.publish(other, [node], 3)
        assert await bus.relay.carry_once()
        assert going[0] in await _events(bus)
        await bus.drain()
        assert [event for event in await _events(bus) if event not in going] == waiting


async def test_rows_without_wire_type_are_settled_key_or_no_key() -> None:
    async with opened() as bus:
        domain = bus.ids.uuid7()
        event = await bus.store.change(
            [domain],
            lambda change: append.append(
                change, domain_id=domain, source="DomainCreated", recipients=[], payload=b"{}"
            ),
        )
        await bus.drain()
        assert await bus.statuses() == {event: "settled"}
        assert (await bus.log.bounds()).high == 0


async def test_a_bad_row_found_late_is_parked_alone_and_handled_by_an_operator() -> None:
    async with opened() as bus:
        domain, node = bus.ids.uuid7(), bus.ids.uuid7()
        await bus.provision(domain)
        bad, spoilt, good = await bus.publish(domain, [node], 3)

        def spoil(change: Change) -> None:
            for event, values in ((bad, {"source": "Mystery"}), (spoilt, {"payload": b"{ }"})):
                statement = update(_outbox).where(_outbox.c.event_id == event).values(values)
                change.connection.execute(statement)

        await bus.store.change([domain], spoil)
        await bus.drain()
        assert await _events(bus) == [good]
        listed = await bus.store.read(parked.list_parked)
        assert [(row.event_id, row.reason) for row in listed] == [
            (bad, "unknown_type"),
            (spoilt, "bad_payload"),
        ]
        given_up = await bus.store.change(
            [domain], lambda change: parked.discard(change, listed[0].outbox_id)
        )
        assert given_up.node_ids == (node,)
        renewed = await bus.store.change(
            [domain],
            lambda change: parked.requeue(change, listed[1].outbox_id, payload=payload_for(node)),
        )
        await bus.drain()
        assert await _events(bus) == [good, renewed]
        statuses = await bus.statuses()
        assert (statuses[bad], statuses[spoilt]) == ("discarded", "settled")
        with pytest.raises(parked.NotParked):
            await bus.store.change([domain], lambda change: parked.discard(change, listed[0].outbox_id))


async def test_a_redriven_row_shows_once() -> None:
    async with opened() as bus:
        domain, nodes = bus.ids.uuid7(), [bus.ids.uuid7(), bus.ids.uuid7()]
        await bus.provision(domain)
        await bus.publish(domain, nodes)
        await bus.drain()
        again = update(_outbox).values(status="pending", recipients=node_bytes.pack(nodes))
        await bus.store.change([domain], lambda change: change.connection.execute(again) and None)
        await bus.drain()
        assert (await bus.log.bounds()).high == 2
        assert set((await bus.statuses()).values()) == {"published"}


async def test_the_key_at_append_signs_and_its_private_part_goes_with_its_last_row() -> None:
    async with opened() as bus:
        domain, node = bus.ids.uuid7(), bus.ids.uuid7()
        old = await bus.provision(domain)
        before = await bus.publish(domain, [node])
        await bus.rotate(domain, [node], old, "key-1")
        after = await bus.publish(domain, [node])
        assert await bus.store.change((), settling.destroy_private_parts) == []
        assert await _seed(bus, old) is not None
        await bus.drain()
        envelopes = [model.parse(body.wire) for _, _, body in flat((await bus.log.read_tail(0)).appended)]
        assert [envelope.key_id for envelope in envelopes] == [old, old, "key-1"]
        assert [envelopes[0].id, envelopes[2].id] == before + after
        for envelope in envelopes:
            assert envelope.verified_by(await bus.public_key(envelope.key_id))
        bus.relay._next_round = 0.0
        await bus.drain()
        assert await _seed(bus, old) is None
        assert await _seed(bus, "key-1") is not None


async def test_a_parked_row_keeps_the_private_part_that_it_names() -> None:
    async with opened() as bus:
        domain, node = bus.ids.uuid7(), bus.ids.uuid7()
        old = await bus.provision(domain)
        [event] = await bus.publish(domain, [node])
        spoilt = update(_outbox).values(payload=b"{ }")
        await bus.store.change([domain], lambda change: change.connection.execute(spoilt) and None)
        await bus.drain()
        await bus.rotate(domain, [node], old, "key-1")
        await bus.drain()
        assert await bus.store.change((), settling.destroy_private_parts) == []
        [row] = await bus.store.read(parked.list_parked)
        assert row.event_id == event
        await bus.store.change([domain], lambda change: parked.discard(change, row.outbox_id))
        assert await bus.store.change((), settling.destroy_private_parts) == [old]


async def test_a_row_whose_key_is_gone_is_parked_alone() -> None:
    async with opened() as bus:
        domain, node = bus.ids.uuid7(), bus.ids.uuid7()
        await bus.provision(domain)
        await bus.publish(domain, [node])
        gone = update(tables.signing_keys).values(sealed_seed=None)
        await bus.store.change([domain], lambda change: change.connection.execute(gone) and None)
        await bus.drain()
        [row] = await bus.store.read(parked.list_parked)
        assert row.reason == "signing_key_destroyed"


async def test_a_row_that_commits_late_is_not_passed_over(tmp_path: Path) -> None:
    """A smaller id that becomes visible later is taken all the same, whatever the cursor says (OUT-2)."""
    async with opened(str(tmp_path / "store.db")) as bus:
        domain, node = bus.ids.uuid7(), bus.ids.uuid7()
        await bus.provision(domain)
        await bus.publish(domain, [node], 3)
        await bus.drain()

        def late(change: Change) -> None:
            columns = {c.name: None for c in _outbox.columns} | {
                "id": -5,
                "event_id": "late",
                "domain_id": domain,
                "source": SOURCE,
                "recipients": node_bytes.pack([node]),
                "payload": canonical.compact(payload_for(node)),
                "key_id": f"key-0-{domain}",
                "status": "pending",
                "transaction_id": change.transaction_id,
                "created_at": change.now,
            }
            change.connection.execute(insert(_outbox), columns)

        await bus.store.change([domain], late)
        await bus.drain()
        assert (await _events(bus))[-1] == "late"


async def test_the_cursor_moves_with_the_rows() -> None:
    async with opened() as bus:
        domain, node = bus.ids.uuid7(), bus.ids.uuid7()
        await bus.provision(domain)
        await bus.publish(domain, [node], 3)
        await bus.drain()
        cursor = await bus.store.read(
            lambda connection: connection.execute(select(tables.sse_relay_cursor)).one()
        )
        assert (cursor.stream, cursor.last_outbox_id, cursor.last_sequence) == (
            "PLEXSPHERE_NODE_EVENTS",
            3,
            3,
        )


async def test_commits_wake_the_relay_at_once(nursery: trio.Nursery) -> None:
    async with opened(tick_seconds=3600) as bus:
        nursery.start_soon(bus.relay.run)
        domain, node = bus.ids.uuid7(), bus.ids.uuid7()
        await bus.provision(domain)
        for turn in range(20):
            await bus.publish(domain, [node])
            with trio.fail_after(_TEN_SECONDS):
                assert (await bus.log.read_tail(turn)).read_to == turn + 1
        nursery.cancel_scope.cancel()


async def test_a_wake_in_the_middle_of_a_batch_that_parks_is_heard_behind_it(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tick_seconds=3600) as bus:
        keyed, keyless, node = bus.ids.uuid7(), bus.ids.uuid7(), bus.ids.uuid7()
        await bus.provision(keyed)
        whole = settling.settle

        def settle(change: Change, decisions: Any, *more: Any) -> None:
            if any(decision.row.domain_id == keyless for decision in decisions):
                trio.from_thread.run_sync(nursery.start_soon, bus.publish, keyed, [node])
                trio.from_thread.run_sync(bus.relay.wake)
            whole(change, decisions, *more)

        monkeypatch.setattr(settling, "settle", settle)
        nursery.start_soon(bus.relay.run)
        for turn in range(20):
            await bus.publish(keyless, [node])
            with trio.fail_after(_TEN_SECONDS):
                assert (await bus.log.read_tail(turn)).read_to == turn + 1
        nursery.cancel_scope.cancel()


class _Outage:
    """A store that is away until it is told to come back."""

    def __init__(self) -> None:
        self.inner: Any = None
        self.away = True
        self.refused = 0
        self.refused_thrice = trio.Event()

    async def change(self, domains: Sequence[str], work: Callable[[Change], Any], **named: Any) -> Any:
        if self.away:
            self.refused += 1
            if self.refused == 3:
                self.refused_thrice.set()
            raise Unavailable("away for the test")
        return await self.inner.change(domains, work, **named)

    async def read(self, work: Callable[[Connection], Any]) -> Any:
        return await self.inner.read(work)

    shared = False

    def counted(self, _connection: Connection, domain_id: str) -> int:
        return self.version(domain_id)

    def version(self, domain_id: str) -> int:
        return int(self.inner.version(domain_id))


async def test_the_relay_backs_off_says_so_once_and_resumes_by_itself(nursery: trio.Nursery) -> None:
    outage = _Outage()
    structlog.reset_defaults()
    async with opened(relay_store=outage, tick_seconds=0.05) as bus:
        outage.inner = bus.store
        domain, node = bus.ids.uuid7(), bus.ids.uuid7()
        await bus.provision(domain)
        await bus.publish(domain, [node], 3)
        with capture_logs() as lines, trio.fail_after(_TEN_SECONDS):
            nursery.start_soon(bus.relay.run)
            await outage.refused_thrice.wait()
            outage.away = False
            assert (await bus.log.read_tail(0)).read_to == 3
            await bus.publish(domain, [node])
            assert (await bus.log.read_tail(3)).read_to == 4
        told = [line["event"] for line in lines]
        assert (told.count("relay_paused"), told.count("relay_resumed")) == (1, 1)
        nursery.cancel_scope.cancel()


async def test_forgotten_entries_leave_the_relays_nonces(nursery: trio.Nursery) -> None:
    async with opened() as bus:
        domain, node = bus.ids.uuid7(), bus.ids.uuid7()
        await bus.provision(domain)
        events = await bus.publish(domain, [node], 3)
        await bus.drain()
        await bus.log.evict(2)
        bus.relay._next_round = 0.0
        await bus.drain()
        nonces = [f"{event}.{node}" for event in events]
        assert await bus.nonces.look_up(nonces) == [None, None, 3]
