"""The agent against the reference server, a process of its own: follow, lose the place, come back, agree."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import trio

from conformance.agent import keys
from conformance.agent.stub import Agent, agent_of
from conformance.target import driver as drivers
from conformance.target import reference
from conformance.target.driver import LineDriver
from conformance.target.model import Target

PATIENCE = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """A running server, somebody who makes things happen, and an agent of node_a."""

    target: Target
    driver: LineDriver
    agent: Agent
    http: httpx.AsyncClient

    @property
    def domain_id(self) -> str:
        return str(self.target.identities["node_a"].domain_id)

    async def put(self, key: str, value: str) -> None:
        path = f"/v1/nodes/{self.target.identities['node_a'].node_id}/state/metadata/{key}"
        answer = await self.http.put(path, json={"value": value})
        assert answer.status_code == 200

    async def told(self, value: str) -> None:
        """Returns once the agent has seen that value."""
        await self.agent.wait_for(lambda event: f'"value":"{value}"'.encode() in event.payload)


@asynccontextmanager
async def running() -> AsyncIterator[Bus]:
    async with (
        reference.started(descoped=False, claims=("stream",)) as target,
        drivers.opened(target.driver) as driver,
        httpx.AsyncClient(
            base_url=target.base_url,
            headers={"Authorization": f"Bearer {target.identities['operator'].credential}"},
            trust_env=False,
        ) as http,
    ):
        own = target.identities["node_a"]
        pinned = next(each for each in target.pinned if each.domain_id == own.domain_id)
        agent = agent_of(
            base_url=target.base_url,
            node_id=str(own.node_id),
            domain_id=str(own.domain_id),
            credential=str(own.credential),
            signing_key_id=pinned.key_id,
            signing_public_key=pinned.public_key,
        )
        assert isinstance(driver, LineDriver)
        with trio.fail_after(PATIENCE):
            async with agent.running():
                await agent.wait_ready()
                yield Bus(target=target, driver=driver, agent=agent, http=http)


async def test_follows_and_agrees() -> None:
    async with running() as bus:
        for value in ("red", "<green>", "blue"):
            await bus.put("colour", value)
        await bus.told("blue")
        assert await bus.agent.differences() == ()
        assert list(bus.agent.violations) == []


async def test_comes_back_with_its_last_id() -> None:
    async with running() as bus:
        await bus.put("colour", "red")
        await bus.told("red")
        await bus.driver.call("drop_streams", {})
        await bus.put("colour", "blue")
        await bus.told("blue")
        assert bus.agent.tally.connections == 2
        assert bus.agent.tally.recoveries == 1
        assert await bus.agent.differences() == ()


async def test_recovers_after_410() -> None:
    async with running() as bus:
        await bus.put("colour", "red")
        await bus.told("red")
        refusal = {
            "operation_id": "GetNodeEvents",
            "count": 3,
            "status": 503,
            "code": "event_stream_unavailable",
        }
        await bus.driver.call("answer", refusal)
        await bus.driver.call("drop_streams", {})
        await bus.put("colour", "green")
        await bus.put("colour", "blue")
        await bus.driver.call("evict", {})
        while bus.agent.tally.recoveries == 1:
            await bus.agent.wait_change()
        await bus.put("colour", "white")
        await bus.told("white")
        assert all(b'"green"' not in event.payload for event in bus.agent.events)
        assert await bus.agent.differences() == ()


async def test_follows_the_chain_and_catches_up() -> None:
    async with running() as bus:
        first = bus.agent.chain.active
        await bus.driver.call("signing_key", {"domain_id": bus.domain_id, "action": "rotate"})
        await bus.put("colour", "red")
        await bus.told("red")
        assert bus.agent.chain.active != first
        late = agent_of(
            base_url=bus.target.base_url,
            node_id=str(bus.target.identities["node_a"].node_id),
            domain_id=bus.domain_id,
            credential=str(bus.target.identities["node_a"].credential),
        )
        async with late.running():
            await late.wait_ready()
            assert late.chain.active == bus.agent.chain.active
            await bus.put("colour", "blue")
            event = await late.wait_for(lambda event: b'"blue"' in event.payload)
        assert event.standing is keys.Standing.TRUSTED
        assert json.loads(event.payload)["node_id"] == bus.target.identities["node_a"].node_id
        assert list(late.violations) == []
