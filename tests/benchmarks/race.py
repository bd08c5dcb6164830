"""One server and one load generator, each on a core of its own, through one workload."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, cast

from tests.benchmarks.workload import node_ids

SERVER_CORE, CLIENT_CORE = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A server to measure: `module` is started as a process that speaks the job lines."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is asked of a server, and how it is measured."""

    name: str
    streams: int
    job: dict[str, object] | None = None  # what the server produces; None: only what it has stored
    cursor: int | None = None
    frames_stored: int = 0
    latency: bool = False


class Process:
    """A child that takes and gives JSON lines."""

    def __init__(self, arguments: list[str], core: int | None) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if core is not None:
            os.sched_setaffinity(self.child.pid, {core})

    def say(self, job: dict[str, object]) -> None:
        pipe = cast(IO[str], self.child.stdin)
        pipe.write(json.dumps(job) + "\n")
        pipe.flush()

    def hear(self) -> dict[str, Any]:
        for line in cast(IO[str], self.child.stdout):
            if line.startswith("{"):
                return cast(dict[str, Any], json.loads(line))
        raise RuntimeError(f"{self.child.args!r} ended with {self.child.wait()} and no answer")

    def cpu_seconds(self) -> float:
        """User and system time of the child so far."""
        return processor_seconds(self.child.pid)

    def rss_kb(self) -> int:
        """Resident memory of the child."""
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def stop(self) -> None:
        cast(IO[str], self.child.stdin).close()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.contextmanager
def started(arguments: list[str], core: int | None) -> Iterator[Process]:
    """A child for the length of the block, on a core of its own where one is named."""
    process = Process(arguments, core)
    try:
        yield process
    finally:
        process.stop()


def requests_of(nodes: list[str], ready: dict[str, Any], path: str, cursor: int | None) -> list[str]:
    """A GET for each Node's agent, as bytes of HTTP."""
    credentials = ready.get("authorization", {})
    lines = []
    for node in nodes:
        extra = f"Authorization: {credentials[node]}\r\n" if node in credentials else ""
        extra += f"Last-Event-ID: {cursor}\r\n" if cursor is not None else ""
        lines.append(f"GET /v1/nodes/{node}/{path} HTTP/1.1\r\nHost: bench\r\n{extra}\r\n")
    return lines


def streams(variant: Variant, workload: Workload) -> dict[str, float]:
    """Run a streaming workload once; figures by name. Raises where a frame is missing."""
    nodes = node_ids(workload.streams)
    with started(
        [variant.module, *variant.arguments, "--nodes", str(workload.streams)], SERVER_CORE
    ) as server:
        ready = server.hear()
        memory = server.rss_kb()
        with started(["tests.benchmarks.client"], CLIENT_CORE) as client:
            requests = requests_of(nodes, ready, "events", workload.cursor)
            job: dict[str, object] = {"job": "streams", "host": "127.0.0.1", "ports": [ready["ready"]]}
            client.say({**job, "requests": requests, "latency": workload.latency})
            connected = client.hear()
            grown = server.rss_kb() - memory
            cpu = server.cpu_seconds()
            total = workload.streams * workload.frames_stored
            if workload.job is not None:
                server.say(workload.job)
                total = int(server.hear()["frames"])
            client.say({"frames": total})
            seen = client.hear()
            cpu = server.cpu_seconds() - cpu
    if seen["frames"] != total or seen["closed"]:
        raise RuntimeError(f"{variant.name}, {workload.name}: {seen} but {total} frames were sent")
    return {
        "frames_per_second": total / seen["seconds"],
        "cpu_us_per_frame": cpu * 1e6 / max(total, 1),
        "accepts_per_second": workload.streams / connected["seconds"],
        "kb_per_stream": grown / workload.streams,
        **{f"delay_{name}_us": value for name, value in seen["delay_us"].items()},
        **{f"last_byte_{name}_us": value for name, value in seen["last_byte_us"].items()},
    }


def gets(variant: Variant, connections: int, seconds: float) -> dict[str, float]:
    """Keep-alive GETs of the small JSON answer."""
    with started([variant.module, *variant.arguments, "--nodes", str(connections)], SERVER_CORE) as server:
        ready = server.hear()
        with started(["tests.benchmarks.client"], CLIENT_CORE) as client:
            requests = requests_of(node_ids(connections), ready, "state", None)
            job: dict[str, object] = {"job": "gets", "host": "127.0.0.1", "port": ready["ready"]}
            client.say({**job, "requests": requests, "seconds": seconds})
            seen = client.hear()
    return {"requests_per_second": seen["requests"] / seen["seconds"]}
