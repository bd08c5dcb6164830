"""Each verb of the real deployment's driver, asked through its child process, and the effect that is seen."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from conformance.probe.obstacle import CannotAct
from conformance.target import driver as drivers
from conformance.target.model import DriverSpec
from tests.faults.agents import Agent, until
from tests.faults.test_replicas import agent_of, asked, put
from tests.services import certify, deployment, verbs
from tests.services.deployment import DATABASE, Deployment, Member

_COMES = 60.0


class Seen:
    """The deployment behind its driver, and an agent at each replica."""

    def __init__(self, on: Deployment, driver: Any, agents: list[Agent]) -> None:
        self.on = on
        self.driver = driver
        self.agents = agents

    @property
    def node(self) -> dict[str, str]:
        return dict(self.on.credentials["nodes"]["node_a"])

    async def do(self, verb: str, **parameters: object) -> Any:
        return await self.driver.call(verb, parameters)

    async def pulled(self, replica: Member) -> httpx.Response:
        return await asked(self.on, replica, "GET", f"/v1/nodes/{self.node['id']}/state", node="node_a")

    async def each(self, wanted: Callable[[Member], Awaitable[bool]]) -> None:
        """Returns once every replica shows it."""
        with trio.fail_after(_COMES):
            for replica in self.on.replicas:
                while not await wanted(replica):  # noqa: ASYNC110  # it has to be asked
                    await trio.sleep(0.1)

    async def streams_are_open(self) -> None:
        await until(lambda: all(agent.is_open for agent in self.agents), _COMES)

    async def streams_reopen(self, before: list[int]) -> None:
        """Every stream that was open has ended, and is back."""
        await until(lambda: all(a.opened > was for a, was in zip(self.agents, before, strict=True)), _COMES)
        await self.streams_are_open()

    def opened(self) -> list[int]:
        return [agent.opened for agent in self.agents]

    def pids(self) -> list[int]:
        members = (*self.on.relays, *self.on.replicas)
        return [member.process.pid for member in members if member.process is not None]


async def restart(seen: Seen) -> None:
    before, pids = seen.opened(), seen.pids()
    await seen.do("restart")
    await seen.streams_reopen(before)
    assert [new == old for new, old in zip(seen.pids(), pids, strict=True)] == [True, False, False]


async def restart_by_kill(seen: Seen) -> None:
    before, pids = seen.opened(), seen.pids()
    await seen.do("restart", kill=True)
    await seen.streams_reopen(before)
    assert not set(pids) & set(seen.pids())


async def stop_the_log(seen: Seen) -> None:
    await seen.do("stop", what="log")
    try:
        await seen.each(lambda replica: _says(seen, replica, "event_stream", "ok", no=True))
        await until(lambda: all((503 in dict(a.refused)) for a in seen.agents), _COMES)
        for replica in seen.on.replicas:
            assert (await seen.pulled(replica)).status_code == 200
    finally:
        await seen.do("start", what="log")
    await seen.streams_are_open()


async def stop_the_database(seen: Seen) -> None:
    for replica in seen.on.replicas:
        assert "Age" not in (await seen.pulled(replica)).headers
    await seen.do("stop", what="database")
    try:
        for replica in seen.on.replicas:
            assert "Age" in (await seen.pulled(replica)).headers
            assert (await put(seen.on, replica, "node_a", "refused")).status_code == 503
        assert all(agent.is_open for agent in seen.agents)
    finally:
        await seen.do("start", what="database")
    assert (await put(seen.on, seen.on.replicas[0], "node_a", "again")).is_success


async def _says(seen: Seen, replica: Member, part: str, status: str, *, no: bool = False) -> bool:
    checks = (await asked(seen.on, replica, "GET", "/v1/health")).json()["checks"]
    return ({each["name"]: each["status"] for each in checks}[part] == status) is not no


async def evict(seen: Seen) -> None:
    assert (await put(seen.on, seen.on.replicas[0], "node_a", "goes")).is_success
    await until(lambda: all(agent.frames for agent in seen.agents), _COMES)
    told = max(agent.cursor or 0 for agent in seen.agents)
    bounds = await seen.do("evict")
    assert told < bounds["low"] <= bounds["high"] + 1  # something may have been published meanwhile
    cursor = {"Authorization": f"Bearer {seen.node['credential']}", "Last-Event-ID": "0"}
    for replica in seen.on.replicas:
        url = f"{replica.url}/v1/nodes/{seen.node['id']}/events"
        assert (await _got(url, cursor)).status_code == 410


async def _got(url: str, headers: dict[str, str]) -> httpx.Response:
    def ask() -> httpx.Response:
        with (
            httpx.Client(timeout=20, trust_env=False) as http,
            http.stream("GET", url, headers=headers) as got,
        ):
            return got

    return await trio.to_thread.run_sync(ask)


async def advance_clock(seen: Seen) -> None:
    await seen.do("advance_clock", seconds=3600)
    for member in (*seen.on.replicas, *seen.on.relays):
        told = (await asked(seen.on, member, "GET", "/v1/health")).headers["Date"]
        assert parsedate_to_datetime(told) - datetime.now(UTC) > timedelta(minutes=59)


async def wire(seen: Seen) -> None:
    await seen.do("wire", port="SnapshotProvider", wired=False)
    assert [(await seen.pulled(replica)).status_code for replica in seen.on.replicas] == [501, 501]
    await seen.do("wire", port="SnapshotProvider", wired=True)
    assert [(await seen.pulled(replica)).status_code for replica in seen.on.replicas] == [200, 200]


async def drop_streams(seen: Seen) -> None:
    before = seen.opened()
    assert (await seen.do("drop_streams", node_id=seen.node["id"]))["dropped"] == 2
    await seen.streams_reopen(before)


async def publish(seen: Seen) -> None:
    payload = {"node_id": seen.node["id"], "secrets": [{"name": "s", "version": 1}]}
    told = await seen.do(
        "publish",
        domain_id=seen.node["domain_id"],
        node_ids=[seen.node["id"]],
        type="node_secrets_updated",
        payload=payload,
    )
    await until(lambda: all(told["event_id"] in agent.events for agent in seen.agents), _COMES)


async def signing_key(seen: Seen) -> None:
    before = [len(agent.frames) for agent in seen.agents]
    await seen.do("signing_key", domain_id=seen.node["domain_id"], action="rotate")

    def rotated(agent: Agent, since: int) -> bool:
        return any(json.loads(data)["type"] == "signing_key_rotated" for _, data in agent.frames[since:])

    await until(lambda: all(rotated(a, n) for a, n in zip(seen.agents, before, strict=True)), _COMES)


async def requests(seen: Seen) -> None:
    since = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    for replica in seen.on.replicas:
        await seen.pulled(replica)
    found = await seen.do("requests", node_id=seen.node["id"], operation_id="GetNodeState", since=since)
    assert found["count"] == len(found["requests"]) == 2


async def answer(seen: Seen) -> None:
    await seen.do("answer", operation_id="GetNodeState", count=1, status=503, code="datastore_unavailable")
    for replica in seen.on.replicas:
        assert [(await seen.pulled(replica)).status_code for _ in range(2)] == [503, 200]


# The clock goes last: a credential's or a snapshot's age is none of the others' business.
_EFFECTS = (
    publish,
    signing_key,
    requests,
    answer,
    wire,
    drop_streams,
    restart,
    stop_the_database,
    stop_the_log,
    restart_by_kill,
    evict,
    advance_clock,
)


@asynccontextmanager
async def _seen(room: Path) -> AsyncIterator[Seen]:
    async with deployment.running(room) as on, trio.open_nursery() as nursery:
        await nursery.start(verbs.serve, room / "verbs.sock", verbs.Levers(on))
        spec = DriverSpec(kind="command", command=tuple(certify.driver_command(on)))
        async with drivers.opened(spec) as driver:
            agents = [agent_of(on, "node_a", replica) for replica in on.replicas]
            for agent in agents:
                nursery.start_soon(agent.run)
            seen = Seen(on, driver, agents)
            await seen.streams_are_open()
            yield seen
        nursery.cancel_scope.cancel()


@pytest.mark.timeout(600)
async def test_every_verb_has_an_effect_that_is_seen(tmp_path: Path) -> None:
    async with _seen(tmp_path) as seen:
        assert seen.driver.verbs == set(drivers.VERBS)
        assert seen.driver.powers >= {"stop log", "stop database", "restart by kill"}
        names = {effect.__name__ for effect in _EFFECTS}
        assert all(
            verb in {"hello", "start"} or any(n.startswith(verb) for n in names) for verb in drivers.VERBS
        )
        for effect in _EFFECTS:
            print(effect.__name__, flush=True)
            await effect(seen)
            await seen.streams_are_open()
        with pytest.raises(CannotAct):
            await seen.do("evict", through=-1)
        await until(lambda: not _unsent(seen.on), _COMES)  # nor did any of it lose what was told


def _unsent(on: Deployment) -> int:
    with on.postgres.connected(DATABASE) as connection:
        asked = "SELECT count(*) FROM outbox_events WHERE status IN ('pending', 'parked')"
        return int(connection.run(asked)[0][0])
