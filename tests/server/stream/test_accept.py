"""Accept headers (SSE-10)."""

import pytest

from reference_server.stream import accept


@pytest.mark.parametrize(
    "lines",
    [
        [], [b""], [b"*/*"], [b"text/*"], [b"text/event-stream"], [b"Text/Event-Stream; charset=utf-8"],
        [b"application/json, text/event-stream;q=0.1"], [b"application/json", b"*/*;q=0.1"],
        [b"text/event-stream, */*;q=0"], [b"application/problem+json, text/event-stream"],
    ],
)  # fmt: skip
def test_admitted(lines: list[bytes]) -> None:
    assert accept.admits(lines, b"text", b"event-stream")


@pytest.mark.parametrize(
    "lines",
    [
        [b"application/json"], [b"text/html"], [b"text/event-stream;q=0"], [b"*/*, text/event-stream;q=0.0"],
        [b"text/*;q=0, */*"], [b"text/event-stream;q=nan"], [b"text/event-stream;q=x"], [b";"],
    ],
)  # fmt: skip
def test_excluded(lines: list[bytes]) -> None:
    assert not accept.admits(lines, b"text", b"event-stream")
