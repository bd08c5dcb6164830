"""The queue of admission decisions: never in the way, bounded, on the platform's chain."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from prometheus_client import Counter
from sqlalchemy import select

from reference_server.control import audit, audit_chain
from reference_server.control.audit_sink import QueuedAudit
from reference_server.ports import Caller, Decision, Unavailable
from reference_server.store import tables
from tests.server import tenancy


class Watched:
    """A store that can be away, and tells when it has written."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.away = 0
        self.written = trio.Event()

    async def change(self, domains: Sequence[str], work: Any, **more: Any) -> Any:
        if self.away:
            self.away -= 1
            raise Unavailable("away for the test")
        result = await self._inner.change(domains, work, **more)
        self.written.set()
        return result

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return await self._inner.read(work)

    shared = False

    def counted(self, _connection: Any, domain_id: str) -> int:
        return self.version(domain_id)

    def version(self, domain_id: str) -> int:
        return 0


def decision(number: int = 0, **changes: Any) -> Decision:
    told: dict[str, Any] = {
        "occurred_at": datetime(2026, 11, 2, 10, 0, 0, 250_000, tzinfo=UTC),
        "caller": Caller(operator="root"),
        "relation": "node-agent",
        "object_id": str(number),
        "status": 200,
        "reason": "granted",
        "correlation_id": f"c-{number}",
    }
    return Decision(**{**told, **changes})


def counter() -> Counter:
    return Counter("dropped", "d", registry=None)


def value(of: Counter) -> float:
    return float(next(iter(of.collect())).samples[0].value)


async def written(server: tenancy.Tenancy) -> list[dict[str, Any]]:
    rows = tables.audit_entries
    statement = select(rows.c.canonical).where(rows.c.chain_id == audit.PLATFORM).order_by(rows.c.seq)
    return [json.loads(row.canonical) for row in await server.rows(statement)]


async def test_decisions_stand_in_order_on_the_platform_chain() -> None:
    async with tenancy.opened() as server, trio.open_nursery() as nursery:
        store = Watched(server.store)
        before = len(await written(server))
        sink = QueuedAudit(store=store, bound=10, dropped=counter())
        sink.record_nowait(decision(1))
        sink.record_nowait(
            decision(2, status=403, reason="insufficient_relation", caller=Caller(node_id="n"))
        )
        sink.record_nowait(
            decision(3, status=404, reason="node_not_found", caller=None, object_id="\ud800" * 300)
        )
        nursery.start_soon(sink.run)
        with trio.fail_after(10):
            await store.written.wait()
        told = (await written(server))[before:]
        assert [entry["reason"] for entry in told] == ["granted", "insufficient_relation", "unknown"]
        assert [entry["relation_path"] for entry in told] == [
            ["200", "granted"],
            ["403", "insufficient_relation"],
            ["404", "node_not_found"],
        ]
        assert told[0]["occurred_at"] == "2026-11-02T10:00:00.25Z"
        assert [entry["correlation_id"] for entry in told] == ["c-1", "c-2", "c-3"]
        assert told[2]["object"]["id"] == "?" * 128
        assert await server.store.read(lambda c: audit_chain.verify_chain(c, audit.PLATFORM)) is None
        nursery.cancel_scope.cancel()


async def test_a_full_queue_drops_the_newest_counts_them_and_says_so_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with tenancy.opened() as server, trio.open_nursery() as nursery:
        dropped, store = counter(), Watched(server.store)
        before = len(await written(server))
        sink = QueuedAudit(store=store, bound=2, dropped=dropped)
        for number in range(5):
            sink.record_nowait(decision(number))
        assert value(dropped) == 3
        assert capsys.readouterr().out.count("audit_decisions_dropped") == 1
        nursery.start_soon(sink.run)
        with trio.fail_after(10):
            await store.written.wait()
        assert [entry["object"]["id"] for entry in (await written(server))[before:]] == ["0", "1"]
        nursery.cancel_scope.cancel()


async def test_an_outage_delays_decisions_and_loses_none_of_those_that_wait(autojump_clock: object) -> None:
    class Silent:
        """A store in memory without threads, away for a while."""

        def __init__(self) -> None:
            self.away, self.batches, self.written = 3, 0, trio.Event()

        async def change(self, _domains: Any, _work: Any, **_more: Any) -> None:
            if self.away:
                self.away -= 1
                raise Unavailable("away for the test")
            self.batches += 1
            self.written.set()

    store: Any = Silent()
    sink = QueuedAudit(store=store, bound=4, dropped=counter())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sink.run)
        sink.record_nowait(decision(1))
        await store.written.wait()
        nursery.cancel_scope.cancel()
    assert (store.away, store.batches) == (0, 1)


async def test_what_waits_at_the_end_is_still_written() -> None:
    async with tenancy.opened() as server:
        before = len(await written(server))
        sink = QueuedAudit(store=Watched(server.store), bound=4, dropped=counter())
        for number in range(3):
            sink.record_nowait(decision(number))
        with trio.CancelScope() as scope:
            scope.cancel()
            await sink.run()
        assert len(await written(server)) == before + 3
