"""`make bench-real`: Postgres, NATS, a relay and replicas under load; its section of docs/performance.md.

Nothing is injected: rows are committed by producer transactions, and every stream must end with exactly its
frames in order, or the run is void.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import trio

from tests.benchmarks import figures, scene, sections
from tests.benchmarks.figures import Figure
from tests.benchmarks.producer import Job
from tests.benchmarks.scene import NODES, Scene

COMMAND = "make bench-real"
MINUTES = 10.0
REPLICAS = 2
STREAMS = 20  # of the delay rows, as in the embedded bench
DELAY_SECONDS = 6.0
COMMITS_A_SECOND = 100
KEPT_UP = 0.97  # below this share of its rate the producer is told to have fallen behind
# performance.md, "End to end".
RATE_ASKED, P50_MS, P99_MS = 2000, 20.0, 100.0
RELAY_ASKED = 10_000.0
MISSED = 1000
CATCH_UP_ROWS = 100_000
SINGLES = 20_000
LAST_BYTES = 40
LAST_BYTE_PAUSE = 0.5
STEADY_RATE = 500
SAMPLE_SECONDS = 5.0
LOG_TAIL = 2000  # what a member said last, where a run fails


def delays(on: Scene, _size: float) -> list[Figure]:
    """Commit to wire, broadcasts and single events; the clock starts inside the producer's transaction."""
    found: list[Figure] = []
    for rate in (100, 1000, 2000):
        for kind in ("broadcast", "single"):
            job = _at_rate(kind, rate, DELAY_SECONDS)
            seen = on.measured(job)
            reached = min(job.frames / seen["committed"], rate)
            what = f"commit to wire, {rate:,} frames/s, {_said(kind)}"
            if reached < rate * KEPT_UP:
                what += f" (its producer made {reached:,.0f})"
            for name, asked in (("p50", P50_MS), ("p99", P99_MS)):
                target = ("≤", asked) if rate == RATE_ASKED else None
                value = seen["delay_us"][name] / 1000
                found.append(Figure(what=f"{what}, {name}", value=value, unit="ms", asked=target))
    return found


def _said(kind: str) -> str:
    return f"broadcasts to {STREAMS}" if kind == "broadcast" else "a Node an event"


def _at_rate(kind: str, rate: int, seconds: float) -> Job:
    """Broadcasts are a commit each; single events are gathered to no more than COMMITS_A_SECOND."""
    if kind == "broadcast":
        return Job(kind=kind, nodes=STREAMS, commits=int(rate * seconds / STREAMS), rate=rate)
    rows = max(1, rate // COMMITS_A_SECOND)
    return Job(kind=kind, nodes=STREAMS, rows=rows, commits=int(rate * seconds / rows), rate=rate)


def broadcasts(on: Scene, size: float) -> list[Figure]:
    """The relay under broadcasts to 1,000 Nodes, committed back to back, every stream open."""
    job = Job(kind="broadcast", nodes=NODES, commits=int(MISSED * size), drain=True)
    before = on.processors()
    seen = on.measured(job, latency=False)
    used = {name: seconds - before[name] for name, seconds in on.processors().items()}
    on.stored.update(before=int(seen["before"]), rows=job.commits)
    what = "relay, broadcasts to 1,000 Nodes back to back"
    return [
        Figure(what=what, value=job.commits / seen["left"], unit="rows/s"),
        Figure(what=what, value=job.frames / seen["left"], unit="frames/s", asked=("≥", RELAY_ASKED)),
        Figure(what="the same on the wire", value=job.frames / seen["seconds"], unit="frames/s"),
        *(
            Figure(what=f"the same, processor of {name}", value=seconds / job.frames * 1e6, unit="µs/frame")
            for name, seconds in used.items()
        ),
    ]


def resumes(on: Scene, size: float) -> list[Figure]:
    """1,000 streams at once, each with 1,000 missed events."""
    if not on.stored:
        broadcasts(on, size)
    rows = on.stored["rows"]
    job = Job(kind="broadcast", nodes=NODES, commits=rows)
    began = time.monotonic()
    with on.streams(NODES, scene.orders_of(job), cursor=on.stored["before"], latency=False) as client:
        accepted = client.hear()["seconds"]
        client.say({"frames": job.frames})
        seen = client.hear()
    whole = time.monotonic() - began
    scene.check(job, seen)
    what = f"1,000 resumes at once, {rows:,} missed events each"
    return [
        Figure(what=f"{what}, until all are admitted", value=accepted, unit="s"),
        Figure(what=f"{what}, until the last byte", value=whole, unit="s"),
        Figure(what=what, value=job.frames / seen["seconds"], unit="frames/s"),
    ]


def singles(on: Scene, size: float) -> list[Figure]:
    """The relay under events for one Node each: a commit each, and ten of them in a commit."""
    found: list[Figure] = []
    for rows in (1, 10):
        commits = int(SINGLES * size / (10 if rows == 1 else rows))
        job = Job(kind="single", nodes=NODES, rows=rows, commits=commits, drain=True)
        seen = on.measured(job, latency=False)
        what = f"relay, a Node an event, {rows} a commit, back to back"
        found.append(Figure(what=what, value=job.commits / seen["left"], unit="commits/s"))
        found.append(Figure(what=what, value=job.frames / seen["left"], unit="frames/s"))
    return found


def catch_up(on: Scene, size: float) -> list[Figure]:
    """100,000 rows committed while no relay runs; then one starts."""
    job = Job(kind="single", nodes=NODES, rows=500, commits=int(CATCH_UP_ROWS * size / 500))
    on.stop_relay()
    with on.streams(NODES, scene.orders_of(job), latency=False) as client:
        client.hear()
        on.produce(job)
        began = time.monotonic()
        on.start_relay()
        client.say({"frames": job.frames})
        seen = client.hear()
        whole = time.monotonic() - began
    scene.check(job, seen)
    what = f"catch-up of {job.frames:,} rows"
    return [
        Figure(what=f"{what}, start of the relay to last byte", value=whole, unit="s"),
        Figure(what=f"{what}, first byte to last", value=job.frames / seen["seconds"], unit="rows/s"),
    ]


def last_bytes(on: Scene, size: float) -> list[Figure]:
    """A broadcast to 1,000 Nodes every half second: commit to the last stream's last byte."""
    job = Job(kind="broadcast", nodes=NODES, commits=int(LAST_BYTES * size), rate=NODES / LAST_BYTE_PAUSE)
    told = on.measured(job)["last_byte_us"]
    what = "a broadcast to 1,000 Nodes, commit to last byte"
    return [Figure(what=f"{what}, {name}", value=told[name] / 1000, unit="ms") for name in ("p50", "max")]


def memory(on: Scene, _size: float, *, minutes: float = MINUTES) -> list[Figure]:
    """Resident memory of relay and replicas under steady load; growth is that of the second half."""
    seconds = minutes * 60
    job = Job(kind="broadcast", nodes=STREAMS, commits=int(STEADY_RATE * seconds / STREAMS), rate=STEADY_RATE)
    samples: dict[str, list[tuple[float, float]]] = {member.name: [] for member in on.members}
    with on.streams(STREAMS, scene.orders_of(job), latency=False) as client:
        client.hear()
        began = time.monotonic()
        on.begin(job)
        while (at := time.monotonic() - began) < seconds:
            for member in on.members:
                samples[member.name].append((at, scene.resident_mb(member)))
            time.sleep(min(SAMPLE_SECONDS, seconds / 4))
        on.producer.hear()
        client.say({"frames": job.frames})
        seen = client.hear()
    scene.check(job, seen)
    return [figure for name, taken in samples.items() for figure in _growth(name, taken, minutes)]


def _growth(name: str, taken: Sequence[tuple[float, float]], minutes: float) -> list[Figure]:
    what = f"{name}, {minutes:g} min at {STEADY_RATE} frames/s"
    later = taken[len(taken) // 2 :]
    return [
        Figure(what=f"{what}, at first", value=taken[0][1], unit="MB"),
        Figure(what=f"{what}, at last", value=taken[-1][1], unit="MB"),
        Figure(what=f"{what}, growth in the second half", value=figures.slope(later) * 60, unit="MB/min"),
    ]


Row = Callable[[Scene, float], list[Figure]]
# In this order: resumes read what the broadcasts have left.
ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "delays": delays,
        "last-bytes": last_bytes,
        "singles": singles,
        "broadcasts": broadcasts,
        "resumes": resumes,
        "catch-up": catch_up,
        "memory": memory,
    }
)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the document that gets the section; only of all rows")
    parser.add_argument("--row", action="append", choices=ROWS, help="only this one; repeatable")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of the memory row")
    parser.add_argument("--size", type=float, default=1.0, help="share of the full number of events")
    parser.add_argument("--replicas", type=int, default=REPLICAS)
    told = parser.parse_args(given)
    if told.write is not None and (told.row or told.size != 1.0):
        parser.error("--write takes every row in full size")
    return told


def _measured(name: str, row: Row, on: Scene, size: float) -> list[Figure]:
    """A row's figures; one that is void is told, and the others go on."""
    try:
        return row(on, size)
    except (scene.Void, RuntimeError, KeyError) as failure:
        print(f"{name}: {failure}", file=sys.stderr, flush=True)
        return [Figure(what=name, value=0, unit="", void=True)]


async def run(told: argparse.Namespace, room: Path) -> list[Figure]:
    """Every row that is asked for, one after the other."""
    rows: dict[str, Row] = {**ROWS, "memory": partial(memory, minutes=told.minutes)}
    found: list[Figure] = []
    async with scene.opened(room, told.replicas) as on:
        for name in told.row or ROWS:
            measured = await trio.to_thread.run_sync(_measured, name, rows[name], on, told.size)
            print("\n".join(figures.table(measured)[2:]), flush=True)
            found += measured
            await trio.to_thread.run_sync(scene.wait_quiet)
    return found


def _tell_logs(room: Path) -> None:
    for log in sorted(room.glob("*.log")):
        print(log.name, log.read_text(encoding="utf-8")[-LOG_TAIL:], file=sys.stderr)


def main() -> int:
    """Measure, print, and write where asked."""
    told = arguments()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as room:
        found = trio.run(run, told, Path(room))
        if any(figure.void for figure in found):
            _tell_logs(Path(room))
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    lasted = (time.monotonic() - began) / 60
    note = (
        f"Command: `{COMMAND}`. {machine}; one relay, {told.replicas} replicas; one run of {lasted:.0f} min."
    )
    if told.write:
        sections.write(told.write, COMMAND, [note, "", *figures.table(found)])
    print(note)
    return int(any(figure.void for figure in found))


if __name__ == "__main__":
    raise SystemExit(main())
