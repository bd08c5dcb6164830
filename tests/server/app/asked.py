"""A server around planted ports, and what is asked of it on the wire."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import trio

from reference_server import app, seed, seeding
from reference_server.app import Ports
from reference_server.settings import Settings

SETTINGS = Settings(port=0, data=":memory:", grace_seconds=2)
NOWHERE = "0190a8b8-a0c0-7000-8000-00000000ffff"
PATIENCE = 20
SEED = """
[[operators]]
name = "root"
relations = [{relation = "manage", object = "*"}, {relation = "node-agent", object = "*"}]

[[domains]]
name = "A"
slug = "a"
mesh_cidr = "10.1.0.0/16"
signing_key = "active"

[[nodes]]
name = "one"
domain = "a"

[[nodes]]
name = "two"
domain = "a"
"""


@dataclass(frozen=True, kw_only=True)
class Bus:
    """A running server and its credentials."""

    http: httpx.AsyncClient
    facts: Mapping[str, Any]

    def id(self, name: str) -> str:
        return str(self.facts["nodes"][name]["id"])

    def agent(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.facts['nodes'][name]['credential']}"}

    @property
    def root(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.facts['operators']['root']['token']}"}


@asynccontextmanager
async def running(place: Path, plant: Callable[[Ports], Ports]) -> AsyncIterator[Bus]:
    await trio.Path(place).write_text(SEED)
    async with app.embedded(SETTINGS) as ports:
        means = seeding.Means(
            store=ports.store,
            ids=ports.ids,
            keyring=ports.keyring,
            minting=app.minting(SETTINGS, ports),
            operators=ports.operators,
            earlier={},
            keeps_credentials=True,
        )
        facts = await seeding.apply(seed.read(str(place)), means)
        application = app.build(SETTINGS, plant(ports))
        async with trio.open_nursery() as nursery:
            url = await nursery.start(lambda task_status: application.serve(task_status=task_status))
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as http:
                yield Bus(http=http, facts=facts)
            application.stop()


# ---- what is asked


async def own_state(bus: Bus) -> int:
    return (await bus.http.get(f"/v1/nodes/{bus.id('one')}/state", headers=bus.agent("one"))).status_code


async def state_as_stranger(bus: Bus) -> int:
    headers = {"Authorization": "Bearer nobody-whom-we-know"}
    return (await bus.http.get(f"/v1/nodes/{bus.id('one')}/state", headers=headers)).status_code


async def state_of_another(bus: Bus) -> int:
    return (await bus.http.get(f"/v1/nodes/{bus.id('two')}/state", headers=bus.agent("one"))).status_code


async def events_of_nobody(bus: Bus) -> int:
    async with bus.http.stream("GET", f"/v1/nodes/{NOWHERE}/events", headers=bus.root) as answer:
        return answer.status_code


async def first_event(bus: Bus) -> str:
    return await _fate(bus, 1)


async def second_event(bus: Bus) -> str:
    return await _fate(bus, 2)


async def _fate(bus: Bus, count: int) -> str:
    """Whether the last of so many events came, or its Node was told to pull instead (LOG-8)."""
    fate = ""
    async with trio.open_nursery() as nursery:

        async def come() -> None:
            nonlocal fate
            async with _stream(bus) as stream:
                for number in range(1, count + 1):
                    with trio.CancelScope(shield=True):  # httpx leaves a request that was cut off open
                        await _tell(bus, f"k{number}")
                    await stream.come(number)
            fate = "delivered"
            nursery.cancel_scope.cancel()

        async def missing() -> None:
            nonlocal fate
            while not await _reconciles(bus):  # noqa: ASYNC110  # a heartbeat is how a Node learns of it
                await trio.sleep(0.02)
            fate = "withheld"
            nursery.cancel_scope.cancel()

        nursery.start_soon(come)
        nursery.start_soon(missing)
    return fate


@dataclass(kw_only=True)
class Stream:
    """An open stream of Node one, read by hand."""

    wire: trio.SocketStream
    seen: bytearray = field(default_factory=bytearray)

    async def come(self, events: int) -> None:
        """Return once so many events have come since it was opened."""
        while self.seen.count(b"\ndata:") < events:
            more = await self.wire.receive_some()
            assert more, "the stream has ended"
            self.seen += more


@asynccontextmanager
async def _stream(bus: Bus) -> AsyncIterator[Stream]:
    wire = await trio.open_tcp_stream(bus.http.base_url.host, bus.http.base_url.port or 0)
    async with wire:
        asked = f"GET /v1/nodes/{bus.id('one')}/events HTTP/1.1\r\nHost: a\r\n"
        await wire.send_all(f"{asked}Authorization: {bus.agent('one')['Authorization']}\r\n\r\n".encode())
        stream = Stream(wire=wire)
        while b"\r\n\r\n" not in stream.seen:
            stream.seen += await wire.receive_some()
        assert stream.seen.startswith(b"HTTP/1.1 200 "), bytes(stream.seen)
        yield stream


async def _tell(bus: Bus, key: str) -> None:
    path = f"/v1/nodes/{bus.id('one')}/state/metadata/{key}"
    assert (await bus.http.put(path, headers=bus.root, json={"value": "1"})).status_code < 300


async def _reconciles(bus: Bus) -> bool:
    beat = {
        "client_now": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "binary_checksum": "A" * 43 + "=",
        "binary_version": "1",
        "nat_summary": {},
    }
    path = f"/v1/nodes/{bus.id('one')}/heartbeat"
    answer = await bus.http.post(path, headers=bus.agent("one"), json=beat)
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["reconcile"])


async def relayed_twice(bus: Bus) -> str:
    """What /v1/metrics says of entries that the relay appended a second time."""
    async with _stream(bus) as stream:
        for number, key in enumerate("ab", 1):  # once the second is here the first one's nonces are in
            await _tell(bus, key)
            await stream.come(number)
    shown = (await bus.http.get("/metrics")).text
    counted = [
        line for line in shown.splitlines() if line.startswith('sse_nonce_replay_total{layer="relay"}')
    ]
    return "counted" if counted else "not counted"
