"""The log lets its readers down: consumer gone, jumped, deleted, made again; never met by silence (LOG-2).

Done to a real NATS under a real replica and a real relay, one after the other, while an agent follows.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import trio

from reference_server.log import nats_link, subjects
from reference_server.log.ensure import LEAP
from reference_server.log.nats_link import NatsLink, NatsPlace
from tests.faults.agents import Agent, until
from tests.faults.test_replicas import agent_of, asked, put
from tests.services import deployment
from tests.services.deployment import Deployment, Member

# Three and a half silent seconds of a consumer, a back-off of at most two, and what a busy machine takes.
_COMES = 25.0


class _Watched:
    """A deployment of one replica, the agent that follows it, and a hand on the log behind their backs."""

    def __init__(self, on: Deployment, link: NatsLink, agent: Agent) -> None:
        self.on = on
        self.link = link
        self.agent = agent
        self._count = 0

    @property
    def replica(self) -> Member:
        return self.on.replicas[0]

    async def tell(self) -> str:
        """Change the Node's state; answers the value, of which its stream will tell."""
        self._count += 1
        value = f"value {self._count}"
        assert (await put(self.on, self.replica, "node_a", value)).is_success
        return value

    async def hears(self, value: str) -> None:
        """Returns once the agent was told of a value."""
        await until(lambda: any(value.encode() in data for _, data in self.agent.frames), _COMES)

    async def at(self, cursor: int) -> httpx.Response:
        """The answer to a cursor that is refused."""
        headers = {"Authorization": f"Bearer {self.agent.credential}", "Last-Event-ID": str(cursor)}
        url = f"{self.replica.url}/v1/nodes/{self.agent.node_id}/events"

        def ask() -> httpx.Response:
            with (
                httpx.Client(timeout=20, trust_env=False) as http,
                http.stream("GET", url, headers=headers) as got,
            ):
                if got.status_code != 200:
                    got.read()
                return got

        return await trio.to_thread.run_sync(ask)

    async def refused(self, cursor: int) -> httpx.Response:
        """The first refusal of a cursor, which comes soon."""
        with trio.fail_after(_COMES):
            while (answer := await self.at(cursor)).status_code == 200:  # noqa: ASYNC110  # asked again
                await trio.sleep(0.1)
        return answer


@asynccontextmanager
async def _watched(room: Path) -> AsyncIterator[_Watched]:
    async with (
        deployment.running(room, replicas=1, options=("--relay-tick-seconds", "0.5")) as on,
        nats_link.linked(NatsPlace(url=on.nats.url)) as link,
        trio.open_nursery() as nursery,
    ):
        agent = agent_of(on, "node_a", on.replicas[0])
        nursery.start_soon(agent.run)
        await until(lambda: agent.is_open, 20)
        watched = _Watched(on, link, agent)
        await watched.hears(await watched.tell())
        yield watched
        nursery.cancel_scope.cancel()


def _exactly_once(agent: Agent) -> None:
    sequences = [sequence for sequence, _ in agent.frames]
    assert sequences == sorted(set(sequences))
    assert len(set(agent.events)) == len(agent.events)


async def test_a_lost_consumer_is_replaced_and_nothing_is_missed(tmp_path: Path) -> None:
    async with _watched(tmp_path) as on:
        told = []
        for _ in range(2):
            consumers = await on.link.call(lambda: on.link.stream.consumers_info(subjects.STREAM))
            assert consumers
            for each in consumers:
                name = each.name
                await on.link.call(lambda name=name: on.link.stream.delete_consumer(subjects.STREAM, name))
            told.append(await on.tell())
            await on.hears(told[-1])
        _exactly_once(on.agent)
        seen = [data for _, data in on.agent.frames]
        assert [sum(value.encode() in data for data in seen) for value in told] == [1, 1]


async def test_a_log_that_restarts_is_read_on_from_where_it_was(tmp_path: Path) -> None:
    async with _watched(tmp_path) as on:
        await trio.to_thread.run_sync(on.on.nats.kill)
        value = await on.tell()  # the door of the producer does not need the log
        await trio.to_thread.run_sync(on.on.nats.start)
        await on.hears(value)
        _exactly_once(on.agent)
        assert {status for status, _ in on.agent.refused} <= {503}


async def test_a_sequence_that_jumped_ends_streams_and_old_cursors_are_gone(tmp_path: Path) -> None:
    async with _watched(tmp_path) as on:
        cursor = on.agent.cursor or 0
        opened = on.agent.opened
        beyond = cursor + LEAP
        await on.link.call(lambda: on.link.stream.purge_stream(subjects.STREAM, seq=beyond + 1))
        gone = await on.refused(cursor)
        assert (gone.status_code, gone.json()["code"]) == (410, "last_event_id_outside_replay_window")
        await on.tell()
        await until(lambda: (410, None) in on.agent.refused, _COMES)
        assert on.agent.opened == opened  # the agent would have to pull
        on.agent.frames.clear()
        await until(lambda: on.agent.is_open, _COMES)
        await on.hears(await on.tell())
        assert on.agent.frames[-1][0] > beyond


async def test_a_deleted_log_is_said_to_be_away_until_a_start_makes_it_again_beyond(tmp_path: Path) -> None:
    async with _watched(tmp_path) as on:
        cursor = on.agent.cursor or 0
        await on.link.call(lambda: on.link.stream.delete_stream(subjects.STREAM))
        away = await on.refused(cursor)
        assert away.status_code == 503 and int(away.headers["Retry-After"]) > 0
        health = await asked(on.on, on.replica, "GET", "/v1/health")
        assert health.status_code == 200 and health.json()["status"] == "degraded"
        lost = await on.tell()
        state = await asked(on.on, on.replica, "GET", f"/v1/nodes/{on.agent.node_id}/state", node="node_a")
        assert lost in state.text and "Age" not in state.headers
        [relay] = on.on.relays
        await relay.stop()
        await relay.start()  # it makes the log anew; the replica is not touched
        await until(lambda: (410, None) in on.agent.refused, _COMES)
        assert (await on.at(cursor)).status_code == 410
        on.agent.frames.clear()  # as after a pull
        await until(lambda: on.agent.is_open, _COMES)
        await on.hears(await on.tell())
        assert on.agent.frames[-1][0] > cursor + LEAP
        said = on.replica.log.read_text()
        assert "event_bus_away" in said and "Traceback" not in said
        paused = [json.loads(line) for line in relay.log.read_text().splitlines() if "relay_paused" in line]
        assert paused and all(line["reason"] for line in paused)
