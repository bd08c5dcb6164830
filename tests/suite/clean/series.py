"""Runs in a row that must all come out alike: which there are, how one is done, and what is kept of it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]

# What a verdict depends on: a change of anything else leaves the runs done so far valid.
JUDGED = ("conformance", "reference_server", "fixtures/second", "openapi", "requirements.txt")

# A run takes half a minute, three times as long with both cores taken; one that hangs is a dirty one.
_PATIENCE = 600.0

_SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100_000))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """So many runs of one command in a row, with so many processes that keep a core busy each."""

    name: str
    runs: int
    command: Sequence[str]
    spinning: int = 0


_REFERENCE = (sys.executable, "-m", "conformance", "run", "--reference")
SERIES = (
    Series(name="reference", runs=30, command=_REFERENCE),
    Series(name="reference, every core loaded", runs=10, command=_REFERENCE, spinning=os.cpu_count() or 1),
    Series(name="second implementation", runs=5, command=(sys.executable, "-m", "fixtures.second.certify")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run came to; it is clean with exit code 0 and nothing but passes and what its target lacks."""

    series: str
    number: int
    exit_code: int
    seconds: float
    seed: int | None = None
    verdicts: Mapping[str, int] = field(default_factory=dict)
    digest_of_verdicts: str = ""
    trouble: Sequence[str] = ()

    @property
    def clean(self) -> bool:
        """Whether it may stand in the row."""
        return self.exit_code == 0 and not self.trouble and bool(self.verdicts)


Perform = Callable[[Series, int], Run]


def perform(series: Series, number: int) -> Run:
    """Does one run, the machine loaded as its series says."""
    with tempfile.TemporaryDirectory(prefix="clean-") as room, _load(series.spinning):
        began = time.monotonic()
        command = [*series.command, "--out", str(Path(room) / "run")]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            code = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with the server that it started
            code = process.wait()
        seconds = round(time.monotonic() - began, 1)
        return told(series.name, number, code, seconds, Path(room) / "run" / "run.json")


def told(series: str, number: int, code: int, seconds: float, report: Path) -> Run:
    """A run by its exit code and its own report; without a readable report it is not clean."""
    try:
        record = json.loads(report.read_bytes())
        checks: list[dict[str, Any]] = record["checks"]
        seed = int(record["header"]["seed"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        trouble = (f"no report: {type(error).__name__}",)
        return Run(series=series, number=number, exit_code=code, seconds=seconds, trouble=trouble)
    verdicts = [str(each["verdict"]) for each in checks]
    lines = "\n".join(sorted(f"{each['id']} {each['verdict']}" for each in checks))
    return Run(
        series=series,
        number=number,
        exit_code=code,
        seconds=seconds,
        seed=seed,
        verdicts={name: verdicts.count(name) for name in sorted(set(verdicts))},
        digest_of_verdicts=hashlib.sha256(lines.encode()).hexdigest(),
        trouble=tuple(
            f"{each['id']}: {each['verdict']}"
            for each in checks
            if each["verdict"] not in ("pass", "not_testable", "not_applicable")
        ),
    )


def in_a_row(series: Sequence[Series], kept: Path, do: Perform = perform) -> Iterator[Run]:
    """Every run of every series, those in `kept` first; ends after the first that is not clean.

    A clean run is appended to `kept` (JSON lines) at once, so that an interrupted row goes on where it was;
    a dirty one empties it, since the row is broken.
    """
    done = {(each.series, each.number): each for each in _read(kept)}
    for one in series:
        for number in range(1, one.runs + 1):
            earlier = done.get((one.name, number))
            run = earlier or do(one, number)
            if not run.clean:
                kept.unlink(missing_ok=True)
                yield run
                return
            if not earlier:
                _append(kept, run)
            yield run


def _read(kept: Path) -> Iterator[Run]:
    for line in kept.read_text(encoding="utf-8").splitlines(keepends=True) if kept.exists() else ():
        if line.endswith("\n"):  # the last one may be torn
            yield Run(**json.loads(line))


def _append(kept: Path, run: Run) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    whole = "".join(json.dumps(asdict(each)) + "\n" for each in (*_read(kept), run))
    beside = kept.with_suffix(".new")
    beside.write_text(whole, encoding="utf-8")
    beside.replace(kept)


@contextmanager
def _load(processes: int) -> Iterator[None]:
    spinning = [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in spinning:
            each.kill()
            each.wait()
