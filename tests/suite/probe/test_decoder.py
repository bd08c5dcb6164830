"""What recorded bytes add to a body, and when a message was whole."""

import pytest

from conformance.probe.decoder import ResponseDecoder

HEAD = b"HTTP/1.1 200 OK\r\nX-Case: Kept\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = HEAD + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


@pytest.mark.parametrize("step", [1, 3, 7, len(CHUNKED)])
def test_chunks_are_taken_apart_however_they_arrive(step: int) -> None:
    decoder = ResponseDecoder("GET")
    pieces = [decoder.feed(at, CHUNKED[at : at + step]) for at in range(0, len(CHUNKED), step)]
    assert b"".join(each.raw for each in pieces) == CHUNKED
    assert b"".join(each.body for each in pieces) == b"hello world"
    assert decoder.complete and decoder.head is not None
    assert ("X-Case", "Kept") in decoder.head.headers


def test_a_cut_message_is_not_complete() -> None:
    decoder = ResponseDecoder("GET")
    decoder.feed(1, CHUNKED[:-5])
    decoder.feed(2, b"")
    assert not decoder.complete and not decoder.malformed


def test_the_close_ends_a_message_of_http_1_0() -> None:
    decoder = ResponseDecoder("GET")
    decoder.feed(1, b"HTTP/1.0 200 OK\r\n\r\ndata: x\n\n")
    assert not decoder.complete
    decoder.feed(2, b"")
    assert decoder.complete


def test_what_is_no_http_is_malformed() -> None:
    decoder = ResponseDecoder("GET")
    decoder.feed(1, b"SSH-2.0-tiny\r\n\r\n")
    assert decoder.malformed and decoder.head is None


def test_an_answer_to_head_has_no_body() -> None:
    decoder = ResponseDecoder("HEAD")
    decoder.feed(1, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    assert decoder.complete
