"""Each way of breaking section 2 has its clause."""

import pytest

from conformance.agent import grammar

GOOD = b"id: 7\nevent: a\ndata: {}\n\n"


def clauses(body: bytes) -> list[str]:
    found, _ = grammar.frames(body)
    return sorted({each.clause for frame in found for each in frame.violations})


@pytest.mark.parametrize(
    "body", [GOOD, b":hi\n\n" + GOOD, grammar.KEEP_ALIVE, GOOD + b"id: 9\nevent: b\ndata: x: y\n\n"]
)
def test_lawful(body: bytes) -> None:
    assert clauses(body) == []


@pytest.mark.parametrize(
    ("body", "clause"),
    [
        (b"event: a\nid: 7\ndata: {}\n\n", "SSE-2"),
        (b"id:7\nevent: a\ndata: {}\n\n", "SSE-2"),
        (b"id: 7\nevent: a\ndata: {\ndata: }\n\n", "SSE-2"),
        (b"id: 7\nevent: a\nretry: 1\ndata: {}\n\n", "SSE-2"),
        (b"id: 7\n:comment\nevent: a\ndata: {}\n\n", "SSE-2"),
        (GOOD + b"\n", "SSE-2"),
        (b"id: 07\nevent: a\ndata: {}\n\n", "SSE-3"),
        (b"id: +7\nevent: a\ndata: {}\n\n", "SSE-3"),
        (b"id: 18446744073709551616\nevent: a\ndata: {}\n\n", "SSE-3"),
        (GOOD + GOOD, "SSE-3"),
        (b"\xef\xbb\xbf:x\n\n", "SSE-5"),
        (b"id: 7\r\nevent: a\r\ndata: {}\r\n\n", "SSE-5"),
        (b"id: 7\nevent: a\ndata: \xff\n\n", "SSE-5"),
        (b"id: 7\nevent: a\ndata: \0\n\n", "SSE-5"),
    ],
)
def test_broken(body: bytes, clause: str) -> None:
    assert clause in clauses(body)


def test_a_torn_frame_is_left_over() -> None:
    assert grammar.frames(GOOD + b"id: 8\nev")[1] == b"id: 8\nev"


def seen(body: bytes) -> list[tuple[str, int, str]]:
    found, _ = grammar.frames(body)
    return [(each.clause, each.at, each.seen) for frame in found for each in frame.violations]


SECOND = len(GOOD)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (b"\n", [("SSE-2", SECOND, "an empty line that ends no frame")]),
        (b"event: a\nid: 8\ndata: 1\n\n", [("SSE-2", SECOND, "an event frame of event, id, data")]),
        (
            b"id: 8\nevent: a\n:x\ndata: 1\n\n",
            [("SSE-2", SECOND, "an event frame of id, event, a comment, data")],
        ),
        (
            b"id: 8\nevent: a\ndata:" + b"x" * 90 + b"\n\n",
            [("SSE-2", SECOND, f"the line {b'data:' + b'x' * 75!r}")],
        ),
        (b"id: 08\nevent: a\ndata: 1\n\n", [("SSE-3", SECOND, "id b'08'")]),
        (b"id: 7\nevent: a\ndata: 1\n\n", [("SSE-3", SECOND, "id 7 after 7")]),
        (b"id: 6\nevent: a\ndata: 1\n\n", [("SSE-3", SECOND, "id 6 after 7")]),
        (b"id: 8\nevent: a\ndata: \0\n\n", [("SSE-5", SECOND + 21, "NUL")]),
        (b"id: 8\nevent: a\ndata: \r1\n\n", [("SSE-5", SECOND + 21, "CR")]),
        (b"id: 8\nevent: a\ndata: \xff\n\n", [("SSE-5", SECOND + 21, "bytes that are no UTF-8")]),
        (grammar.BOM + b":x\n\n", [("SSE-5", SECOND, "a byte order mark")]),
    ],
)
def test_what_is_wrong_and_where(second: bytes, expected: list[tuple[str, int, str]]) -> None:
    assert seen(GOOD + second) == expected


def test_the_highest_sequence_is_one_and_the_next_is_none() -> None:
    highest = grammar.render(2**64 - 1, "a", b"1")
    above = grammar.render(2**64, "a", b"1")
    assert [frame.sequence for frame in grammar.frames(highest + above)[0]] == [2**64 - 1, None]


def test_frames_know_where_they_stand() -> None:
    found, rest = grammar.frames(GOOD + b"\n" + GOOD + b"da")
    assert [(frame.start, frame.end) for frame in found] == [(0, 25), (25, 26), (26, 51)]
    assert [frame.raw for frame in found] == [GOOD, b"\n", GOOD] and rest == b"da"


def test_an_order_is_kept_over_what_has_no_sequence() -> None:
    broken = b"id: x\nevent: a\ndata: 1\n\n"
    assert seen(GOOD + broken + GOOD)[-1] == ("SSE-3", len(GOOD + broken), "id 7 after 7")


def test_keep_alives_are_those_bytes_and_no_others() -> None:
    about = [b":\n\n", b":keep-alive \n\n", b": keep-alive\n\n", b":zeep-alive\n\n"]
    found, _ = grammar.frames(grammar.KEEP_ALIVE + b"".join(about) + grammar.KEEP_ALIVE + GOOD)
    assert [frame.start for frame in grammar.keep_alives(found)] == [0, 13 + len(b"".join(about))]


def test_an_event_needs_a_field() -> None:
    found, _ = grammar.frames(b":x\n\n" + GOOD + b":x\ndata: 1\n\n")
    assert [frame.is_event for frame in found] == [False, True, True]
    assert [frame.value("id") for frame in found] == [None, b"7", None]
    assert [(frame.event, frame.data) for frame in found] == [("", b""), ("a", b"{}"), ("", b"1")]
