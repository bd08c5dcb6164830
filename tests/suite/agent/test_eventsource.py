"""The lenient reading at its edges: where lines end, and what only stands at the start."""

import pytest

from conformance.agent.eventsource import EventSource, Message


def read(*pieces: bytes) -> list[tuple[str, str, str]]:
    source = EventSource()
    found: list[Message] = [each for piece in pieces for each in source.feed(piece)]
    return [(each.last_id, each.event, each.data) for each in found]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((b"data: 1\r", b"\n\r\n"), [("", "message", "1")]),
        ((b"data: 1\r", b"\r"), [("", "message", "1")]),
        ((b"data: 1\r\rdata: 2\r\r",), [("", "message", "1"), ("", "message", "2")]),
        ((b"data: 1\r\r", b"\ndata: 2\n\n"), [("", "message", "1"), ("", "message", "2")]),
        ((b"\n", b"\ndata: 1\n\n"), [("", "message", "1")]),
        ((b"data: 1\n", b"\n"), [("", "message", "1")]),
        ((b"data: 1\n\n\ndata: 2\n\n",), [("", "message", "1"), ("", "message", "2")]),
        (("\ufeffdata: 1\n\n".encode(),), [("", "message", "1")]),
        (("data: 1\n\ufeffdata: 2\n\n".encode(),), [("", "message", "1")]),
        (("id: 3\n\n\ufeffdata: 2\n\n".encode(),), []),
        ((b"id: 7\nevent: a\n\ndata: 1\n\n",), [("7", "message", "1")]),
        ((b"id: 7\nid: \x00\ndata: 1\n\n",), [("7", "message", "1")]),
        ((b"data\ndata:\ndata:  x\n\n",), [("", "message", "\n\n x")]),
    ],
)
def test_messages(pieces: tuple[bytes, ...], expected: list[tuple[str, str, str]]) -> None:
    assert read(*pieces) == expected


def test_an_id_counts_when_its_block_has_ended() -> None:
    source = EventSource()
    source.feed(b"id: 7\ndata: 1\n\nid: 8\ndata: 2\n")
    assert source.last_id == "7"
    source.feed(b"\n")
    assert source.last_id == "8"
