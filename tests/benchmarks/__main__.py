"""`make bench`: both servers through every workload, interleaved; a section of docs/performance.md."""

import argparse
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import sections
from tests.benchmarks.race import Variant, Workload, gets, streams
from tests.benchmarks.workload import STORED

COMMAND = "make bench"
REPETITIONS = 3
OURS = Variant(name="busproof", module="tests.benchmarks.reference", arguments=("--stage", "wire"))
WHOLE = Variant(name="busproof", module="tests.benchmarks.reference", arguments=("--stage", "whole"))
RIVAL = Variant(name="sse-starlette", module="tests.benchmarks.rival")
GET_CONNECTIONS = 32

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the comparison: `figure` of `run` for both, and the ratio asked of us."""

    title: str
    run: Callable[[Variant], Figures]
    figure: str
    target: float
    unit: str
    less_is_better: bool = False
    ours_alone: Callable[[], Figures] | None = None  # where our side of the race is another workload


def _streams(workload: Workload) -> Callable[[Variant], Figures]:
    return lambda variant: streams(variant, workload)


def _broadcast(count: int, **job: object) -> Workload:
    return Workload(name=f"W1 {count}", streams=count, job={"kind": "broadcast", "seconds": 2.5, **job})


def _one_write(count: int) -> Callable[[], Figures]:
    return lambda: streams(OURS, _broadcast(count, each=True))


W2 = Workload(name="W2", streams=1000, job={"kind": "broadcast", "seconds": 3, "pause": 0.1}, latency=True)
W3 = Workload(name="W3", streams=1000, job={"kind": "single", "seconds": 2.5})
W4 = Workload(name="W4", streams=200, cursor=0, frames_stored=STORED)
IDLE = Workload(name="idle", streams=5000)

# performance.md, "Targets for the whole server".
ROWS = (
    Row(
        title="W1, 100 Nodes",
        run=_streams(_broadcast(100)),
        figure="frames_per_second",
        target=4,
        unit="frames/s",
    ),
    Row(
        title="W1, 1,000 Nodes",
        run=_streams(_broadcast(1000)),
        figure="frames_per_second",
        target=12,
        unit="frames/s",
    ),
    Row(
        title="W1, 100 Nodes, a write a frame",
        run=_streams(_broadcast(100)),
        ours_alone=_one_write(100),
        figure="frames_per_second",
        target=2.5,
        unit="frames/s",
    ),
    Row(
        title="W1, 1,000 Nodes, a write a frame",
        run=_streams(_broadcast(1000)),
        ours_alone=_one_write(1000),
        figure="frames_per_second",
        target=4,
        unit="frames/s",
    ),
    Row(
        title="W2, time to last byte, p50",
        run=_streams(W2),
        figure="last_byte_p50_us",
        target=3,
        unit="µs",
        less_is_better=True,
    ),
    Row(
        title="W2, CPU a frame",
        run=_streams(W2),
        figure="cpu_us_per_frame",
        target=3,
        unit="µs",
        less_is_better=True,
    ),
    Row(
        title="W3, one Node an event",
        run=_streams(W3),
        figure="frames_per_second",
        target=1.2,
        unit="frames/s",
    ),
    Row(
        title="W4, 200 resumes of 1,000",
        run=_streams(W4),
        figure="frames_per_second",
        target=20,
        unit="frames/s",
    ),
    Row(title="accepts", run=_streams(IDLE), figure="accepts_per_second", target=5, unit="streams/s"),
    Row(
        title="snapshot pull",
        run=lambda variant: gets(variant, GET_CONNECTIONS, 3),
        figure="requests_per_second",
        target=0.5,
        unit="requests/s",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the repetitions of one row gave."""

    row: Row
    ours: list[float]
    rival: list[float]

    @property
    def ratio(self) -> float:
        """How many times better we are (medians)."""
        ours, rival = statistics.median(self.ours), statistics.median(self.rival)
        return rival / ours if self.row.less_is_better else ours / rival


def _spread(values: list[float]) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return (
        f"{middle:,.0f} ({low:,.0f}–{high:,.0f})" if middle >= 10 else f"{middle:.1f} ({low:.1f}–{high:.1f})"
    )


def compare(repetitions: int) -> list[Measured]:
    """Every row, the two servers taking turns."""
    measured = [Measured(row=row, ours=[], rival=[]) for row in ROWS]
    for number in range(1, repetitions + 1):
        for each in measured:
            alone = each.row.ours_alone
            ours = alone() if alone is not None else each.row.run(OURS)
            each.ours.append(ours[each.row.figure])
            each.rival.append(each.row.run(RIVAL)[each.row.figure])
            print(
                f"{number}/{repetitions} {each.row.title}:",
                f"{each.ours[-1]:,.1f} against {each.rival[-1]:,.1f}",
                flush=True,
            )
    return measured


def idle_memory() -> float:
    """Resident KB of one idle stream, 10,000 of them on one process."""
    return streams(OURS, Workload(name="idle", streams=10_000))["kb_per_stream"]


def _delays(what: str, seen: Figures) -> str:
    return f"| {what} | {seen['delay_p50_us'] / 1000:.1f} | {seen['delay_p99_us'] / 1000:.1f} |"


def end_to_end() -> list[str]:
    """Commit to socket through every part, embedded."""
    lines = ["| rate | p50 ms | p99 ms |", "|---|---|---|"]
    for rate in (100, 1000, 2000):
        job: dict[str, object] = {"kind": "broadcast", "seconds": 4, "rate": rate}
        seen = streams(WHOLE, Workload(name="whole", streams=20, job=job, latency=True))
        lines.append(_delays(f"{rate:,} frames/s", seen))
        print(lines[-1], flush=True)
    single: dict[str, object] = {"kind": "single", "seconds": 4, "rate": 100}
    seen = streams(WHOLE, Workload(name="whole", streams=20, job=single, latency=True))
    lines.append(_delays("100 commits/s, a Node each", seen))
    burst: dict[str, object] = {"kind": "broadcast", "seconds": 4}
    seen = streams(WHOLE, Workload(name="whole", streams=1000, job=burst))
    lines.append(
        f"\nBroadcasts to 1,000 Nodes, committed back to back: {seen['frames_per_second']:,.0f} frames/s."
    )
    return lines


def table(measured: list[Measured]) -> list[str]:
    """The comparison as Markdown."""
    lines = ["| workload | busproof | sse-starlette | ratio | asked | |", "|---|---|---|---|---|---|"]
    for each in measured:
        met = "met" if each.ratio >= each.row.target else "**missed**"
        ours, rival = _spread(each.ours), _spread(each.rival)
        title, asked = f"{each.row.title}, {each.row.unit}", f"{each.row.target:g}x"
        lines.append(f"| {title} | {ours} | {rival} | {each.ratio:.1f}x | {asked} | {met} |")
    return lines


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    given = parser.parse_args()
    lines = table(compare(given.repetitions))
    memory = idle_memory()
    lines += ["", f"Idle: {memory:.1f} KB a stream, 10,000 streams on one process (asked: at most 8)."]
    lines += ["", "End to end, embedded (asked: p50 at most 5 ms, p99 at most 100 ms at 2,000 frames/s):", ""]
    lines += end_to_end()
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    note = (
        f"Command: `{COMMAND}`. {machine}; {given.repetitions} interleaved repetitions, median (least–most)."
    )
    lines = [note, "", *lines]
    print("\n".join(lines))
    if given.write:
        sections.write(given.write, COMMAND, lines)


if __name__ == "__main__":
    main()
