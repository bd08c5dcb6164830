"""A tiny HTTP target on loopback: answers bytes that a test hands it, and remembers what was asked."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from conformance.acting import Kit
from conformance.probe.canary import Canary
from conformance.probe.client import Client
from conformance.probe.clock import RunClock
from conformance.probe.grounds import Grounds
from conformance.probe.ledger import FileLedger
from conformance.probe.policy import Restraint
from conformance.probe.recorder import Recorder
from conformance.probe.stage import Stage
from conformance.probe.vault import Vault
from conformance.probe.verbs import Driver
from conformance.target.driver import NoDriver
from conformance.target.grade import Effect, Grade
from conformance.target.model import Claims, Identity, Target

SECRET = "nsk_tiny_" + "A" * 64
NODE = "0198c0de-0000-7000-8000-00000000a001"
PROBLEM = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nnope"


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    target: str
    head: bytes
    body: bytes


Answer = Callable[[Asked, trio.SocketStream], Awaitable[None]]


@dataclass(slots=True)
class Tiny:
    url: str
    asked: list[Asked] = field(default_factory=list)


async def not_found(asked: Asked, stream: trio.SocketStream) -> None:
    await stream.send_all(PROBLEM)


def ok(body: bytes, *headers: str) -> bytes:
    lines = [b"HTTP/1.1 200 OK", *(each.encode() for each in headers), b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@asynccontextmanager
async def serving(answer: Answer = not_found) -> AsyncIterator[Tiny]:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        tiny = Tiny(f"http://127.0.0.1:{port}")

        async def handle(stream: trio.SocketStream) -> None:
            asked = await _asked(stream)
            if asked is not None:
                tiny.asked.append(asked)
                try:
                    await answer(asked, stream)
                except trio.BrokenResourceError:
                    return

        nursery.start_soon(trio.serve_listeners, handle, listeners)
        yield tiny
        nursery.cancel_scope.cancel()


async def _asked(stream: trio.SocketStream) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            piece = await stream.receive_some()
        except trio.BrokenResourceError:
            return None
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    wanted = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(body) < wanted:
        body += await stream.receive_some()
    method, target, _ = (head.split(b"\r\n")[0].decode("latin-1") + "  ").split(" ")[:3]
    return Asked(method, target, head, body)


def target_at(url: str, **more: object) -> Target:
    identities = {
        "node_a": Identity(label="node_a", credential=SECRET, node_id=NODE),
        "operator": Identity(label="operator", credential="operator-token-1"),
    }
    return Target(name="tiny", base_url=url, identities=identities, **more)  # type: ignore[arg-type]  # as it is


def vault() -> Vault:
    made = Vault(random.Random(1))
    made.add("node_a", SECRET)
    made.add("operator", "operator-token-1")
    return made


def kit_at(
    url: str, *, driver: Driver | None = None, restraint: Restraint | None = None, connections: int = 8
) -> Kit:
    clock = RunClock()
    target = target_at(url)
    return Kit(
        target=target,
        claims=Claims(profiles=("stream",), grade=Grade.G3, effects=frozenset(Effect)),
        client=Client(
            target,
            max_connections=connections,
            restraint=restraint or Restraint(may_write=True, requests=1000, watchful=False),
        ),
        driver=driver or NoDriver(),
        vault=vault(),
        clock=clock,
        canary=Canary(clock.now),
        ledger=FileLedger(None, base_url=url),
        seed=7,
    )


@asynccontextmanager
async def staged(url: str, **more: object) -> AsyncIterator[Stage]:
    kit = kit_at(url, **more)  # type: ignore[arg-type]  # as it is
    async with trio.open_nursery() as nursery:
        rng = random.Random(3)
        yield Stage(
            target=kit.target,
            claims=kit.claims,
            client=kit.client,
            recorder=Recorder("tiny", kit.clock, kit.vault),
            vault=kit.vault,
            driver=kit.driver,
            grounds=Grounds(prefix="tiny", rng=rng, ledger=kit.ledger),
            rng=rng,
            nursery=nursery,
        )
        nursery.cancel_scope.cancel()
    await kit.client.aclose()
