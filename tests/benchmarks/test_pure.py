"""What of the benches is no measurement: order, tables, percentiles, sections, and the command line."""

import pytest

from tests.benchmarks import figures, order, real, sections
from tests.benchmarks.figures import Figure
from tests.benchmarks.order import Order
from tests.benchmarks.producer import Job


def test_a_stream_brings_its_numbers_under_rising_ids() -> None:
    due = Order(due=3, step=10)
    assert due.holds([b"7", b"9"], [b"3", b"13"])
    assert due.holds([], [])
    assert due.holds([b"12"], [b"23"])


@pytest.mark.parametrize(
    ("ids", "serials"),
    [
        ([b"1", b"2"], [b"0", b"2"]),  # one is missing
        ([b"1", b"2"], [b"1", b"0"]),  # out of order
        ([b"1", b"2"], [b"0", b"0"]),  # one comes twice
        ([b"2", b"1"], [b"0", b"1"]),  # ids fall
        ([b"1"], [b"0", b"1"]),  # a frame without its id
    ],
)
def test_anything_else_does_not_hold(ids: list[bytes], serials: list[bytes]) -> None:
    assert not Order(due=0, step=1).holds(ids, serials)


def test_what_each_stream_must_end_with() -> None:
    assert order.counts("broadcast", 3, 5) == [5, 5, 5]
    assert order.counts("single", 3, 5) == [2, 2, 1]


def test_percentiles_in_microseconds() -> None:
    assert figures.percentiles([1000 * n for n in range(1, 101)]) == {"p50": 51, "p99": 100, "max": 100}
    assert figures.percentiles([]) == {}


def test_growth_is_the_slope() -> None:
    assert figures.slope([(0, 10), (10, 30), (20, 50)]) == pytest.approx(2)
    assert figures.slope([(0, 10)]) == 0


def test_a_table_says_what_is_met_missed_and_void() -> None:
    told = figures.table(
        [
            Figure(what="a", value=12_345.6, unit="frames/s", asked=("≥", 10_000)),
            Figure(what="b", value=20.5, unit="ms", asked=("≤", 20)),
            Figure(what="c", value=1, unit="s"),
            Figure(what="d", value=0, unit="", void=True),
        ]
    )
    assert told[2:] == [
        "| a | 12,346 frames/s | ≥ 10,000 frames/s | met |",
        "| b | 20.5 ms | ≤ 20 ms | **missed** |",
        "| c | 1.0 s |  |  |",
        "| d | |  | **void** |",
    ]


def test_each_target_owns_its_section() -> None:
    document = sections.put("# Title\n\ntext\n", "make one", ["1"])
    document = sections.put(document, "make two", ["2"])
    again = sections.put(document, "make one", ["1 again"])
    assert again == document.replace("\n1\n", "\n1 again\n")
    assert again.startswith("# Title\n\ntext\n\n<!-- from here on written by `make one` -->\n")


def test_only_whole_runs_are_written() -> None:
    assert real.arguments(["--row", "memory", "--minutes", "1"]).minutes == 1
    assert real.arguments([]).minutes == 10
    with pytest.raises(SystemExit):
        real.arguments(["--write", "x.md", "--row", "memory"])


def test_a_job_makes_its_frames() -> None:
    assert Job(kind="single", nodes=10, commits=4, rows=5).frames == 20
    assert Job(kind="broadcast", nodes=10, commits=4, rows=5).frames == 200
