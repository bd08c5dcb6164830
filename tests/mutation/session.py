"""One module's mutants by cosmic-ray, in a copy of the work tree: nobody's files change under them."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# The tests of a module take some seconds; a mutant that never ends is killed by this.
_PATIENCE = 60.0

# Engines and other plug-ins take as long to load as most of these tests take to run.
_QUICKLY = "-p no:cacheprovider -p no:schemathesis --noconftest"


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Mutant:
    """One line of a module, and what became of it."""

    module: str
    was: str
    becomes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a module's mutants came to, and those that no test noticed."""

    module: str
    counts: Mapping[str, int]
    survivors: Sequence[Mutant]

    @property
    def whole(self) -> bool:
        """Whether every mutant was tried; some of its own changes cosmic-ray cannot write."""
        return sum(self.counts.values()) > 0 and set(self.counts) <= {"killed", "survived", "not made"}


class CannotMutate(Exception):
    """The tests fail without any mutation, or the tool does."""


def explore(cosmic_ray: Path, module: str, tests: Sequence[str], room: Path, kept: Path) -> Outcome:
    """Every mutant of the module against the tests; resumes what `kept` holds of the same module and tests.

    Raises CannotMutate.
    """
    tree = room / module.replace("/", "-")
    _copy(tree)
    kept.mkdir(parents=True, exist_ok=True)
    session = kept / f"{Path(module).stem}-{_digest(module, tests)}.sqlite"
    configuration = tree / "mutation.toml"
    configuration.write_text(_configuration(module, tests), encoding="utf-8")
    run = _Tool(cosmic_ray, tree)
    run("baseline", str(configuration))
    if not session.exists():
        begun = session.with_suffix(".new")
        run("init", str(configuration), str(begun), "--force")
        begun.replace(session)
    run("exec", str(configuration), str(session))
    outcome = read(module, run("dump", str(session)))
    shutil.rmtree(tree)
    return outcome


def read(module: str, dump: str) -> Outcome:
    """cosmic-ray's dump (a JSON pair of work item and result per line) as an outcome."""
    pairs = [json.loads(line) for line in dump.splitlines()]
    counts = Counter(_fate(result) for _, result in pairs)
    survivors = {_mutant(module, result["diff"]) for _, result in pairs if _fate(result) == "survived"}
    return Outcome(module=module, counts=dict(sorted(counts.items())), survivors=sorted(survivors))


def _fate(result: dict[str, Any] | None) -> str:
    if result is None:
        return "not tried"
    if result["worker_outcome"] == "exception" and not result["diff"]:
        return "not made"
    return str(result["test_outcome"] or result["worker_outcome"])


def _mutant(module: str, diff: str) -> Mutant:
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    return Mutant(module=module, was=_changed(lines, "-"), becomes=_changed(lines, "+"))


def _changed(lines: Sequence[str], sign: str) -> str:
    return " ".join(line[1:].strip() for line in lines if line.startswith(sign))


class _Tool:
    def __init__(self, program: Path, tree: Path) -> None:
        self._program, self._tree = program, tree

    def __call__(self, *arguments: str) -> str:
        """Standard output of one command of cosmic-ray, run in the copy."""
        done = subprocess.run(
            [str(self._program), *arguments],
            cwd=self._tree,
            env={**os.environ, "PYTHONPATH": str(self._tree)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CannotMutate(f"cosmic-ray {arguments[0]}: {(done.stderr or done.stdout)[-2000:]}")
        return done.stdout


def _configuration(module: str, tests: Sequence[str]) -> str:
    command = f"{sys.executable} -m pytest -q -x {_QUICKLY} {' '.join(tests)}"
    return (
        f"[cosmic-ray]\nmodule-path = {json.dumps(module)}\ntimeout = {_PATIENCE}\nexcluded-modules = []\n"
        f'test-command = {json.dumps(command)}\n[cosmic-ray.distributor]\nname = "local"\n'
    )


def _copy(tree: Path) -> None:
    for name in _tracked():
        place = tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, place)


def _tracked() -> Iterator[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return (name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def _digest(module: str, tests: Sequence[str]) -> str:
    files = [ROOT / module]
    for each in tests:
        files += sorted((ROOT / each).rglob("*.py")) if (ROOT / each).is_dir() else [ROOT / each]
    return sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]
