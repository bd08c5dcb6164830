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
