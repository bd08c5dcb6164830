"""The real bus as the bench uses it: engines, relay and replicas, each a process, and a producer."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import trio

from tests.benchmarks import order
from tests.benchmarks.producer import Job
from tests.benchmarks.race import Process, processor_seconds, requests_of, started
from tests.benchmarks.workload import node_ids
from tests.services import deployment
from tests.services.deployment import Deployment, Member

NODES = 1000
_SEED = '[[operators]]\nname = "operator"\nrelations = [{relation = "manage", object = "*"}]\n'
_PATIENCE_SECONDS = 1200.0


class Void(Exception):
    """A stream did not end with exactly its frames: the run says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What runs. Its methods block: they are for a worker thread."""

    running: Deployment
    producer: Process
    ready: dict[str, Any]
    stored: dict[str, int] = field(default_factory=dict)  # what the log holds for resuming streams

    def begin(self, job: Job) -> None:
        """Have a job done; the producer tells when it is."""
        self.producer.say(msgspec.to_builtins(job))

    def produce(self, job: Job) -> dict[str, float]:
        """Have a job done; answers what the producer tells."""
        self.begin(job)
        return self.producer.hear()

    def measured(self, job: Job, *, latency: bool = True) -> dict[str, Any]:
        """A job on live streams: what producer and load generator tell. Raises Void."""
        with self.streams(job.nodes, orders_of(job), latency=latency) as client:
            client.hear()
            told = self.produce(job)
            client.say({"frames": job.frames})
            seen = client.hear()
        check(job, seen)
        return {**told, **seen}

    @contextmanager
    def streams(
        self, count: int, orders: list[tuple[int, int]], *, cursor: int | None = None, latency: bool = True
    ) -> Iterator[Process]:
        """A load generator with the streams of some Nodes, each replica serving its share of them."""
        with started(["tests.benchmarks.client"], None) as client:
            job: dict[str, object] = {
                "job": "streams",
                "host": "127.0.0.1",
                "ports": [replica.port for replica in self.running.replicas],
                "requests": requests_of(node_ids(count), self.ready, "events", cursor),
                "orders": orders,
                "latency": latency,
                "patience": _PATIENCE_SECONDS,
            }
            client.say(job)
            yield client

    def stop_relay(self) -> None:
        """End it in its own way."""
        trio.from_thread.run(self.running.relays[0].stop)

    def start_relay(self) -> None:
        """Have it back, ready."""
        trio.from_thread.run(self.running.relays[0].start)

    def processors(self) -> dict[str, float]:
        """Seconds of processor that each process has used, by what it is; replicas together."""
        nats = self.running.nats.process
        assert nats is not None
        return {
            "relay": sum(map(_used, self.running.relays)),
            "replicas together": sum(map(_used, self.running.replicas)),
            "NATS": processor_seconds(nats.pid),
        }

    @property
    def members(self) -> list[Member]:
        """The processes whose memory is told."""
        return [*self.running.relays, *self.running.replicas]


def orders_of(job: Job) -> list[tuple[int, int]]:
    """For each stream the number of its first frame in a job, and the step from one to the next."""
    if job.kind == "single":
        return [(number, job.nodes) for number in range(job.nodes)]
    return [(0, 1)] * job.nodes


def check(job: Job, seen: dict[str, Any]) -> None:
    """Every stream has exactly its frames; their order the load generator has seen. Raises Void."""
    if seen["counts"] != order.counts(job.kind, job.nodes, job.commits * job.rows) or seen["closed"]:
        raise Void(
            f"{job}: {seen['frames']} frames, {seen['closed']} streams closed, counts {seen['counts']}"
        )


def _used(member: Member) -> float:
    assert member.process is not None
    return processor_seconds(member.process.pid)


def resident_mb(member: Member) -> float:
    """Resident memory of a process."""
    assert member.process is not None
    status = Path(f"/proc/{member.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def wait_quiet() -> None:
    """Between rows: what a row has left behind is not the next one's."""
    time.sleep(1.0)


@asynccontextmanager
async def opened(room: Path, replicas: int) -> AsyncIterator[Scene]:
    """Everything started below `room`, ended with the block."""
    async with deployment.running(room, replicas=replicas, seed=_SEED) as running:
        url = running.postgres.url(deployment.DATABASE)
        arguments = ["tests.benchmarks.producer", "--database-url", url, "--nodes", str(NODES)]
        with started([*arguments, "--key", str(room / "master.key")], None) as producer:
            ready = await trio.to_thread.run_sync(producer.hear)
            yield Scene(running=running, producer=producer, ready=ready)
