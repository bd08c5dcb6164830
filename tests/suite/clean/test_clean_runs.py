"""A row of clean runs is what it says: it goes on where it was, and one dirty run breaks it."""

import json
import sys
from pathlib import Path

import pytest

from conformance.catalogue import load
from tests.suite.clean import __main__ as clean
from tests.suite.clean import series
from tests.suite.clean.series import Run, Series

PAIR = (Series(name="one", runs=3, command=()), Series(name="two", runs=2, command=()))
ALL = [("one", 1), ("one", 2), ("one", 3), ("two", 1), ("two", 2)]


class Performer:
    """Does no run but answers for it: clean, but for the one named."""

    def __init__(
        self, dirty: tuple[str, int] | None = None, dies_before: tuple[str, int] | None = None
    ) -> None:
        self.done: list[tuple[str, int]] = []
        self._dirty, self._dies_before = dirty, dies_before

    def __call__(self, one: Series, number: int) -> Run:
        """Exit code 0 and one pass, or exit code 1."""
        place = (one.name, number)
        if place == self._dies_before:
            raise KeyboardInterrupt
        self.done.append(place)
        code = int(place == self._dirty)
        return Run(series=one.name, number=number, exit_code=code, seconds=1.5, verdicts={"pass": 1})


def _row(kept: Path, performer: Performer) -> list[Run]:
    return list(series.in_a_row(PAIR, kept, performer))


def test_every_run_of_every_series(tmp_path: Path) -> None:
    performer = Performer()
    runs = _row(tmp_path / "kept", performer)
    assert performer.done == ALL and all(run.clean for run in runs)


def test_an_interrupted_row_goes_on_where_it_was(tmp_path: Path) -> None:
    kept = tmp_path / "deep" / "kept"
    with pytest.raises(KeyboardInterrupt):
        _row(kept, Performer(dies_before=("one", 3)))
    with kept.open("a") as torn:
        torn.write('{"series": "one", "numb')
    again = Performer()
    runs = _row(kept, again)
    assert again.done == ALL[2:] and [(run.series, run.number) for run in runs] == ALL


def test_a_dirty_run_breaks_the_row(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    runs = _row(kept, Performer(dirty=("one", 2)))
    assert [run.clean for run in runs] == [True, False]
    fresh = Performer()
    _row(kept, fresh)
    assert fresh.done == ALL


@pytest.mark.parametrize(
    ("report", "trouble"),
    [
        (None, ("no report: FileNotFoundError",)),
        ("{", ("no report: JSONDecodeError",)),
        ("[]", ("no report: TypeError",)),
        (["pass", "warn"], ("C-1: warn",)),
        (["pass", "fail"], ("C-1: fail",)),
        (["pass", "not_testable"], ()),
    ],
)
def test_what_a_run_told(tmp_path: Path, report: str | list[str] | None, trouble: tuple[str, ...]) -> None:
    path = tmp_path / "run.json"
    if isinstance(report, str):
        path.write_text(report)
    elif report is not None:
        checks = [{"id": f"C-{at}", "verdict": verdict} for at, verdict in enumerate(report)]
        path.write_text(json.dumps({"header": {"seed": 7}, "checks": checks}))
    run = series.told("one", 1, 0, 2.0, path)
    assert run.trouble == trouble and run.clean is (not trouble)


def test_exit_code_alone_makes_it_dirty(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"header": {"seed": 7}, "checks": [{"id": "C-1", "verdict": "pass"}]}))
    assert series.told("one", 1, 0, 2.0, path).clean and not series.told("one", 1, 3, 2.0, path).clean


def test_a_run_is_a_process_of_its_own_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import json, pathlib, sys; room = pathlib.Path(sys.argv[2]); room.mkdir();"
        "checks = [{'id': 'C-1', 'verdict': 'pass'}];"
        "(room / 'run.json').write_text(json.dumps({'header': {'seed': 7}, 'checks': checks}))"
    )
    one = Series(name="one", runs=1, command=(sys.executable, "-c", program), spinning=1)
    run = series.perform(one, 1)
    assert run.clean and run.seed == 7 and run.verdicts == {"pass": 1}
    monkeypatch.setattr(series, "_PATIENCE", 0.2)
    hangs = Series(name="one", runs=1, command=(sys.executable, "-c", "import time; time.sleep(60)"))
    assert not series.perform(hangs, 1).clean


def test_the_record_names_what_was_run(tmp_path: Path) -> None:
    runs = [
        Performer()(series.SERIES[0], 1),
        Performer(dirty=(series.SERIES[0].name, 2))(series.SERIES[0], 2),
    ]
    clean.write(tmp_path / "record.json", runs)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["exit_code"] == 1 and record["catalogue"] == load.catalogue().digest
    assert record["series"]["reference"]["asked"] == 30 and record["series"]["reference"]["clean"] == 1
    assert len(record["runs"]) == 2 and len(record["commit"]) == 40
