"""The newest part of the log by Node: what is here is whole, and what is not is not guessed."""

from reference_server.log.recent import Recent
from reference_server.ports import Appended, SignedBody, Tail

BODY = SignedBody(event_id="e", event_type="t", domain_id="d", key_id="k", wire=b"x" * 100)


def tail(first: int, *nodes: str) -> Tail:
    entries = tuple(enumerate(nodes, first))
    return Tail(appended=[Appended(body=BODY, entries=entries)], read_to=entries[-1][0])


def read(
    recent: Recent, node: str, after: int, up_to: int, entries: int = 100
) -> tuple[list[int], int] | None:
    found = recent.read(node, after, up_to, entries=entries, size=10_000)
    if found is None:
        return None
    return [sequence for piece in found.appended for sequence, _ in piece.entries], found.read_to


def test_a_nodes_entries_in_order_and_no_others() -> None:
    recent = Recent(1_000_000)
    recent.add(4, tail(5, "a", "b", "a"))
    recent.add(7, tail(8, "b", "a"))
    assert read(recent, "a", 4, 9) == ([5, 7, 9], 9)
    assert read(recent, "a", 5, 8) == ([7], 8)
    assert read(recent, "c", 4, 9) == ([], 9)


def test_a_bounded_answer_is_complete_to_its_last_entry() -> None:
    recent = Recent(1_000_000)
    recent.add(0, tail(1, "a", "b", "a", "a"))
    assert read(recent, "a", 0, 4, entries=2) == ([1, 3], 3)
    assert read(recent, "a", 3, 4, entries=2) == ([4], 4)


def test_what_is_not_whole_here_is_not_answered() -> None:
    recent = Recent(1_000_000)
    assert read(recent, "a", 0, 1) is None
    recent.add(4, tail(5, "a"))
    assert read(recent, "a", 3, 5) is None  # something may stand before
    assert read(recent, "a", 4, 6) is None  # and behind
    recent.add(9, tail(10, "a"))  # a gap: what was before is of no use
    assert read(recent, "a", 4, 10) is None
    assert read(recent, "a", 9, 10) == ([10], 10)
    recent.clear()
    assert read(recent, "a", 9, 10) is None


def test_the_oldest_goes_where_the_bound_is_reached_and_where_the_log_lets_go() -> None:
    recent = Recent(16_000)
    for at in range(100):
        recent.add(at, tail(at + 1, "a"))
    assert read(recent, "a", 0, 100) is None
    assert read(recent, "a", 95, 100) == ([96, 97, 98, 99, 100], 100)
    recent.forget_below(101)
    assert read(recent, "a", 95, 100) is None


def test_a_part_that_is_evicted_in_half_goes_whole() -> None:
    recent = Recent(1_000_000)
    recent.add(0, tail(1, "a", "a", "a"))
    recent.forget_below(2)
    assert read(recent, "a", 1, 3) is None
