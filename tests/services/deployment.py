"""The whole bus as it is deployed: Postgres, NATS, a relay and two replicas, each a process, one balancer."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from tests.services import nats, postgres
from tests.services.balancer import Balancer
from tests.services.ports import free_port

DATABASE = "bus"
OPERATORS = {"operator": "manage", "operator_agent": "node-agent"}
# A start takes two seconds; a machine that is busy with other tests may take its time.
_READY_SECONDS = 180.0
_PAUSE = 0.05
_STOP_SECONDS = 20.0


@dataclass(slots=True, kw_only=True)
class Member:
    """One process of ours: a relay or a replica."""

    name: str
    room: Path
    command: tuple[str, ...]
    url: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def faults(self) -> Path:
        """Its fault channel."""
        return self.room / f"{self.name}.sock"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.room / f"{self.name}.log"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def start(self) -> None:
        """Run it, and wait until it is ready; a second start takes the port of the first."""
        ready = self.room / f"{self.name}.ready"
        ready.unlink(missing_ok=True)
        port = str(self.port) if self.url else "0"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220  # it returns at once
                [*self.command, "--port", port, "--ready-file", str(ready), "--faults", str(self.faults)],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=Path(__file__).parents[2],
            )
        until = time.monotonic() + _READY_SECONDS
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.name}: {self.log.read_text()[-2000:]}")
            await trio.sleep(_PAUSE)
        self.url = json.loads(ready.read_bytes())["url"]

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(_STOP_SECONDS)

    async def stop(self) -> None:
        """End it in its own way."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        with trio.move_on_after(_STOP_SECONDS):
            while self.process.poll() is None:  # noqa: ASYNC110  # a process tells nobody when it ends
                await trio.sleep(_PAUSE)
        self.kill()


@dataclass(slots=True, kw_only=True)
class Deployment:
    """Everything that is running."""

    room: Path
    postgres: postgres.Postgres
    nats: nats.Nats
    relays: Sequence[Member]
    replicas: Sequence[Member]
    url: str = ""  # of the balancer

    @property
    def credentials(self) -> Mapping[str, Any]:
        """What the seed made, as the first replica wrote it."""
        told: Mapping[str, Any] = json.loads((self.room / "replica1.credentials.json").read_bytes())
        return told


@asynccontextmanager
async def running(
    room: Path,
    *,
    relays: int = 1,
    replicas: int = 2,
    seed: str | None = None,
    options: Sequence[str] = (),
    between: Callable[[int], Awaitable[int]] | None = None,
    launch: Sequence[str] = ("-m", "reference_server", "serve"),
) -> AsyncIterator[Deployment]:
    """The deployment with its files below `room`, until the block ends.

    `options` are for relays and replicas alike; `between` answers the port to use instead of an engine's;
    `launch` is what comes behind the interpreter of a replica: one with a planted defect has its own.
    """
    async with AsyncExitStack() as stack:
        for name in ("postgres", "nats"):
            (room / name).mkdir(exist_ok=True)
        database = stack.enter_context(postgres.running(room / "postgres", free_port()))
        broker = stack.enter_context(nats.running(room / "nats", free_port()))
        database.make(DATABASE)
        (room / "master.key").write_text(base64.b64encode(os.urandom(32)).decode())
        (room / "seed.toml").write_text(seed or ordinary_seed())
        database_url, nats_url = database.url(DATABASE), broker.url
        if between is not None:
            database_url = database.tcp_url(DATABASE, await between(database.port))
            nats_url = f"nats://127.0.0.1:{await between(broker.port)}"
        engines = (
            *("--database-url", database_url, "--nats-url", nats_url, *options),
            *("--master-key-file", str(room / "master.key"), "--log-format", "json"),
        )
        deployment = Deployment(
            room=room,
            postgres=database,
            nats=broker,
            relays=[
                _member(room, f"relay{n + 1}", ("-m", "reference_server", "relay", *engines))
                for n in range(relays)
            ],
            replicas=[
                _member(
                    room, f"replica{n + 1}", (*launch, *_serve(room, f"replica{n + 1}", replicas), *engines)
                )
                for n in range(replicas)
            ],
        )
        for replica in deployment.replicas:
            stack.push_async_callback(replica.stop)
            _hand_on_credentials(room, replica.name)
            await replica.start()
        for relay in deployment.relays:
            stack.push_async_callback(relay.stop)
            await relay.start()
        nursery = await stack.enter_async_context(trio.open_nursery())
        port = await nursery.start(Balancer([replica.port for replica in deployment.replicas]).serve)
        deployment.url = f"http://127.0.0.1:{port}"
        yield deployment
        nursery.cancel_scope.cancel()


def _member(room: Path, name: str, arguments: tuple[str, ...]) -> Member:
    return Member(name=name, room=room, command=(sys.executable, *arguments))


def _serve(room: Path, name: str, replicas: int) -> tuple[str, ...]:
    return (
        *("--replicas", str(replicas), "--seed-file", str(room / "seed.toml")),
        *("--credentials-file", str(room / f"{name}.credentials.json")),
    )


def _hand_on_credentials(room: Path, name: str) -> None:
    """A Node's credential is told once: later replicas are given what the first one wrote."""
    first = room / "replica1.credentials.json"
    if first.exists():
        shutil.copy(first, room / f"{name}.credentials.json")


def ordinary_seed() -> str:
    """Two Domains with keys, four Nodes, two operators."""
    parts = [
        f'[[operators]]\nname = "{name}"\ntoken = "op_{base64.urlsafe_b64encode(os.urandom(24)).decode()}"\n'
        f'relations = [{{relation = "{relation}", object = "*"}}]\n'
        for name, relation in OPERATORS.items()
    ]
    for letter, number in (("a", 40), ("b", 41)):
        parts.append(
            f'[[domains]]\nname = "Real {letter}"\nslug = "real-{letter}"\n'
            f'mesh_cidr = "10.{number}.0.0/24"\nsigning_key = "active"\n'
        )
    nodes = {"node_a": "a", "node_b": "a", "node_other": "b", "node_revoked": "a"}
    for name, letter in nodes.items():
        revoked = "true" if name == "node_revoked" else "false"
        parts.append(f'[[nodes]]\nname = "{name}"\ndomain = "real-{letter}"\nrevoked = {revoked}\n')
    return "\n".join(parts)
