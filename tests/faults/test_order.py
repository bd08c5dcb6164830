"""Commit order on real connections: nothing passed over, the fold ends where the pull does (OUT-1, OUT-2)."""

import itertools
import json
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trio

from conformance.agent import fold
from reference_server.clock import SystemClock
from reference_server.control import blocks, state_entries
from reference_server.control.state_entries import Content, Place
from reference_server.ids import Uuid7Ids
from reference_server.outbox import append
from reference_server.ports import Change
from reference_server.store import dialing, postgres
from reference_server.store.postgres import PostgresStore
from tests.faults import scale
from tests.faults.agents import Agent, until
from tests.faults.relays import high
from tests.real import bus
from tests.real.bus import RealBus
from tests.services import deployment, nats
from tests.services.deployment import DATABASE, Deployment

_SOURCE = "tenancy.NodeStateEntryChanged"
_SAMPLES = 30
_OPEN_SECONDS = scale.of(2.0, 60.0)
# Both engines' disks sync now and then: so many samples may meet that.
_SYNCS = 2
# What two cores that do other things, too, may add to a median of some milliseconds.
_NOISE = 0.05


def _put(change: Change, domain_id: str, node_id: str, key: str) -> None:
    """An operator's door without its audit row: the state, and the row that tells of it."""
    assert state_entries.write(change, Place(node_id=node_id, bucket="metadata", key=key), Content(value=key))
    payload = blocks.read_node_state(change.connection, node_id)
    append.append(change, domain_id=domain_id, source=_SOURCE, recipients=[node_id], payload=payload)


async def _written_against_each_other(store: PostgresStore, domain_id: str, node_id: str) -> None:
    """Two transactions of one Domain: the one that wrote its row first commits last, if it can."""
    appended, second_done = trio.Event(), threading.Event()
    token = trio.lowlevel.current_trio_token()

    def first(change: Change) -> None:
        _put(change, domain_id, node_id, "first")
        token.run_sync_soon(appended.set)
        second_done.wait(1.0)  # behind the Domain's lock the second one cannot come to its end

    def second(change: Change) -> None:
        _put(change, domain_id, node_id, "second")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.change, [domain_id], first)
        await appended.wait()
        await store.change([domain_id], second)
        second_done.set()


def _pull(on: Deployment, name: str) -> bytes:
    node = on.credentials["nodes"][name]
    headers = {"Authorization": f"Bearer {node['credential']}"}
    answer = httpx.get(f"{on.url}/v1/nodes/{node['id']}/state", headers=headers, timeout=10, trust_env=False)
    assert answer.status_code == 200 and "Age" not in answer.headers
    return answer.content


async def _differs(on: Deployment, store: PostgresStore, name: str) -> bool:
    """Whether the fold of what the stream brings ends elsewhere than the pull."""
    node = on.credentials["nodes"][name]
    agent = Agent(node_id=node["id"], credential=node["credential"], port=lambda: on.replicas[0].port)
    [relay] = on.relays
    async with trio.open_nursery() as nursery:
        nursery.start_soon(agent.run)
        await until(lambda: agent.is_open, 20)
        state = fold.start(await trio.to_thread.run_sync(_pull, on, name))
        await relay.stop()  # so that both rows are there before it looks
        await _written_against_each_other(store, node["domain_id"], node["id"])
        await relay.start()
        await until(lambda: len(agent.frames) == 2, 20)
        nursery.cancel_scope.cancel()
    for _, data in agent.frames:
        envelope = json.loads(data)
        state = fold.apply(state, envelope["type"], json.dumps(envelope["payload"]).encode())
    return bool(fold.differences(state, await trio.to_thread.run_sync(_pull, on, name)))


async def test_the_fold_ends_where_the_pull_ends_and_not_without_the_domains_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deployment.running(tmp_path, replicas=1) as on:
        clock = SystemClock()
        place = dialing.place_of(on.postgres.url(DATABASE))
        store = await PostgresStore.open(place, clock=clock, ids=Uuid7Ids(clock))
        try:
            assert not await _differs(on, store, "node_a")
            nobodys = itertools.count(1)
            monkeypatch.setattr(postgres, "lock_of", lambda _domain: next(nobodys))
            assert await _differs(on, store, "node_b")
        finally:
            await store.aclose()


async def test_a_smaller_row_id_that_commits_last_is_not_passed_over_by_the_process(
    fresh_database: Callable[[], str], nats_engine: nats.Nats
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real, trio.open_nursery() as nursery:
        slow, quick = await real.domain(), await real.domain()
        node, other = real.ids.uuid7(), real.ids.uuid7()
        nursery.start_soon(_relayed, real)
        held = _Held()
        told: list[str] = []

        def work(change: Change) -> None:
            told.append(_append(change, slow, node))
            held.hold()

        nursery.start_soon(real.store.change, [slow], work)
        await held.reached.wait()
        later: list[str] = []
        for _ in range(3):
            later += await real.publish(quick, [other])
            await _lands(real, quick, other, later)
        assert await real.on_log(slow, node) == []
        held.may_go.set()
        await _lands(real, slow, node, told)
        assert await real.on_log(quick, other) == later
        nursery.cancel_scope.cancel()


async def test_an_unrelated_transaction_that_stays_open_does_not_change_the_lag(
    fresh_database: Callable[[], str], nats_engine: nats.Nats
) -> None:
    async with bus.opened(fresh_database(), nats_engine.url) as real, trio.open_nursery() as nursery:
        domain, node, stranger = await real.domain(), real.ids.uuid7(), await real.domain()
        nursery.start_soon(_relayed, real)
        await _lag(real, domain, node)
        before = await _lags(real, domain, node, 0)
        held = _Held()

        def work(change: Change) -> None:
            # It has a transaction id, a row in the outbox, and stands still longer than a producer may.
            change.connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            _append(change, stranger, node)
            held.hold()

        nursery.start_soon(real.store.change, [stranger], work)
        await held.reached.wait()
        during = await _lags(real, domain, node, _OPEN_SECONDS)
        held.may_go.set()
        assert statistics.median(during) < statistics.median(before) + _NOISE
        assert sorted(during)[-1 - _SYNCS] < max(before) + bus.TICK_SECONDS / 2
        nursery.cancel_scope.cancel()


class _Held:
    """A transaction that stays open until it may go."""

    def __init__(self) -> None:
        self.reached, self.may_go = trio.Event(), threading.Event()
        self._token = trio.lowlevel.current_trio_token()

    def hold(self) -> None:
        self._token.run_sync_soon(self.reached.set)
        self.may_go.wait(_OPEN_SECONDS + 60)


def _append(change: Change, domain_id: str, *node_ids: str) -> str:
    payload = json.dumps({"node_id": node_ids[0]}).encode()
    return append.append(change, domain_id=domain_id, source=bus.SOURCE, recipients=node_ids, payload=payload)


async def _relayed(real: RealBus) -> None:
    """A relay that is woken by commits."""
    relay = real.relay()
    real.store.on_outbox_written(relay.wake)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(real.store.run)
        nursery.start_soon(relay.run)


async def _lands(real: RealBus, domain_id: str, node_id: str, wanted: list[str]) -> None:
    with trio.fail_after(20):
        while await real.on_log(domain_id, node_id) != wanted:  # noqa: ASYNC110  # a log tells nobody
            await trio.sleep(0.01)


async def _lags(real: RealBus, domain_id: str, node_id: str, seconds: float) -> list[float]:
    """From commit to log, again and again, for at least so long."""
    began = time.monotonic()
    found: list[float] = []
    while len(found) < _SAMPLES or time.monotonic() - began < seconds:
        found.append(await _lag(real, domain_id, node_id))
        await trio.sleep(0.02)
    return found


async def _lag(real: RealBus, domain_id: str, node_id: str) -> float:
    before = await high(real)
    await real.publish(domain_id, [node_id])
    began = time.perf_counter()
    with trio.fail_after(20):
        while await high(real) == before:  # noqa: ASYNC110  # a log tells nobody
            await trio.sleep(0.001)
    return time.perf_counter() - began
