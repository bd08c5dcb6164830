"""The suite's readings of a stream against httpx-sse, which others wrote; sections are of WHATWG HTML.

Where the two lawfully part, a row of PARTINGS says in what, with the section that decides.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import httpx_sse
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.agent import grammar
from conformance.agent.eventsource import EventSource, Message
from conformance.probe.frames import FrameSplitter

BOM = grammar.BOM

# What makes streams interesting: names, ends, colons, spaces, text of one to four bytes, and broken UTF-8.
TOKENS = (
    "data", "event", "id", "retry", "dat", "datas", ":", ": ", " ", "  ", "\n", "\n\n", "\r", "\r\n", "\r\r",
    "\0", "1", "07", "a", "é", "\u2028", "\x85", "\ufeff", "😀", "data: x\n\n", "id: 5\n", "event: e\n",
)  # fmt: skip
BROKEN = (b"\xff", b"\xe2\x82", b"\xc3", b"\xf0\x9f")
RAW = st.lists(st.sampled_from([*(each.encode() for each in TOKENS), *BROKEN]), max_size=24).map(b"".join)
# Lines that mean something, each with any of the three ends, which 9.2.5 lets a stream mix.
LINE = st.tuples(
    st.sampled_from(["data", "data", "event", "id", "retry", "", "other"]),
    st.sampled_from([":", ": ", ":  ", ""]),
    st.sampled_from(["", " ", "x", "y ", " z", ":", "7", "a\0b", "\u2028", "é"]),
    st.sampled_from(["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "\n\r", "\n\r\n"]),
).map("".join)
SOUP = RAW | st.lists(LINE | st.just(" \n"), max_size=10).map(lambda lines: "".join(lines).encode())
CUTS = st.lists(st.integers(min_value=0, max_value=400), max_size=12)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=12)


class Pieces(httpx.SyncByteStream):
    """A body that arrives in these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces


def cut(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({each % (len(body) + 1) for each in cuts} | {0, len(body)})
    return [body[low:high] for low, high in itertools.pairwise(places)]


def bytewise(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


def ours(pieces: list[bytes]) -> list[Message]:
    source = EventSource()
    return [message for piece in pieces for message in source.feed(piece)]


def theirs(pieces: list[bytes]) -> list[Message]:
    """All that httpx-sse yields over an HTTP response whose body comes so."""
    head = {"Content-Type": "text/event-stream; charset=utf-8"}
    response = httpx.Response(200, headers=head, stream=Pieces(pieces))
    return [
        Message(last_id=each.id, event=each.event, data=each.data)
        for each in httpx_sse.EventSource(response).iter_sse()
    ]


def with_data(messages: list[Message]) -> list[Message]:
    """Without those that have none: to httpx-sse an empty data field and none at all are one (PARTINGS)."""
    return [each for each in messages if each.data]


@settings(max_examples=400, deadline=None)
@given(body=SOUP, cuts=CUTS)
def test_any_bytes_in_any_pieces_are_the_same_messages(body: bytes, cuts: list[int]) -> None:
    body = body if not body.startswith(BOM) else b"\n" + body
    pieces = cut(body, cuts)
    assert with_data(ours(pieces)) == with_data(theirs(pieces))
    assert ours(bytewise(body)) == ours(pieces), "also cut between CR and LF, and inside a character"
    assert with_data(ours([BOM + body])) == with_data(ours(pieces)), "9.2.5: one byte order mark is no text"


@settings(max_examples=200, deadline=None)
@given(
    frames=st.lists(st.tuples(TEXT, TEXT.filter(bool)), min_size=1, max_size=5),
    between=st.lists(TEXT, max_size=3),
    cuts=CUTS,
)
def test_what_the_grammar_admits_is_read_alike_by_all(
    frames: list[tuple[str, str]], between: list[str], cuts: list[int]
) -> None:
    """Strict, lenient, the splitter of the probes and httpx-sse agree on every lawful stream (9.2.6)."""
    comments = b"".join(b":%s\n\n" % each.encode() for each in between)
    body = b"".join(
        grammar.render(number, event or "e", data.encode()) + comments
        for number, (event, data) in enumerate(frames, 1)
    )
    wanted = [
        Message(last_id=str(number), event=event or "e", data=data)
        for number, (event, data) in enumerate(frames, 1)
    ]
    pieces = cut(body, cuts)
    strict, splitter = grammar.Grammar(), FrameSplitter()
    read = [frame for piece in pieces for frame in strict.feed(piece)]
    split = [frame for piece in pieces for frame in splitter.feed(0, piece)]
    assert not strict.rest and [each for frame in read for each in frame.violations] == []
    assert with_data(theirs(pieces)) == ours(pieces) == wanted
    told = [(str(each.sequence), each.event, each.data.decode()) for each in read if each.is_event]
    assert told == [(each.last_id, each.event, each.data) for each in wanted]
    told = [(each.id, each.event, each.data) for each in split if not each.comment]
    assert told == [(each.last_id, each.event, each.data) for each in wanted]


@settings(max_examples=200, deadline=None)
@given(body=SOUP.map(lambda body: body.replace(b"\r", b"\n").replace(BOM, b"")), cuts=CUTS)
def test_where_lines_end_in_lf_the_splitter_cuts_where_the_oracle_does(body: bytes, cuts: list[int]) -> None:
    splitter, pieces = FrameSplitter(), cut(body, cuts)
    split = [frame for piece in pieces for frame in splitter.feed(0, piece)]
    assert [each.data for each in split if each.data] == [each.data for each in with_data(theirs(pieces))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """A stream on which not all agree. `breaks` are the clauses that the strict grammar finds broken."""

    why: str
    body: bytes
    lenient: tuple[tuple[str, str, str], ...]
    oracle: tuple[tuple[str, str, str], ...]
    breaks: tuple[str, ...]


ONE = (("7", "a", "{}"),)

PARTINGS = (
    # httpx-sse against the standard, which the lenient reading follows.
    Parting(
        why="9.2.6, dispatch, step 2: a block without data dispatches nothing; httpx-sse yields it empty",
        body=b"id: 7\nevent: a\n\n",
        lenient=(),
        oracle=(("7", "a", ""),),
        breaks=("SSE-2",),
    ),
    Parting(
        why="9.2.6: the id stays, the rest does not; to httpx-sse each later empty line is an event with it",
        body=b"id: 7\nevent: a\ndata: {}\n\n:keep-alive\n\n",
        lenient=ONE,
        oracle=(*ONE, ("7", "message", "")),
        breaks=(),
    ),
    Parting(
        why="9.2.6: an empty data field is data all the same, an empty string",
        body=b"id: 7\nevent: a\ndata\n\n",
        lenient=(("7", "a", ""),),
        oracle=(("7", "a", ""),),
        breaks=("SSE-2",),
    ),
    Parting(
        why="9.2.5: one leading byte order mark is no text; httpx-sse takes it into the first field's name",
        body=BOM + b"id: 7\nevent: a\ndata: {}\n\n",
        lenient=ONE,
        oracle=(("", "a", "{}"),),
        breaks=("SSE-5",),
    ),
    # The standard against the protocol: agents read what servers must not send.
    Parting(
        why="9.2.5: CR LF and CR end a line as LF does; section 2 of the protocol knows LF alone",
        body=b"id: 7\r\nevent: a\rdata: {}\r\n\n",
        lenient=ONE,
        oracle=ONE,
        breaks=("SSE-2", "SSE-3", "SSE-5"),
    ),
    Parting(
        why="9.2.6: the space behind the colon may be left out",
        body=b"id:7\nevent:a\ndata:{}\n\n",
        lenient=ONE,
        oracle=ONE,
        breaks=("SSE-2",),
    ),
    Parting(
        why="9.2.6: fields come in any order",
        body=b"data: {}\nevent: a\nid: 7\n\n",
        lenient=ONE,
        oracle=ONE,
        breaks=("SSE-2",),
    ),
    Parting(
        why="9.2.6: several data fields are joined by LF",
        body=b"id: 7\nevent: a\ndata: {\ndata: }\n\n",
        lenient=(("7", "a", "{\n}"),),
        oracle=(("7", "a", "{\n}"),),
        breaks=("SSE-2",),
    ),
    Parting(
        why="9.2.6: of two fields of one name the last counts",
        body=b"id: 6\nid: 7\nevent: b\nevent: a\ndata: {}\n\n",
        lenient=ONE,
        oracle=ONE,
        breaks=("SSE-2",),
    ),
    Parting(
        why="9.2.6: unknown fields, retry and comments inside a block change nothing",
        body=b"id: 7\nretry: 5\nevent: a\nfoo: bar\n:x\ndata: {}\n\n",
        lenient=ONE,
        oracle=ONE,
        breaks=("SSE-2",),
    ),
    Parting(
        why="9.2.6: an id with a NUL is ignored, and the one before stays",
        body=b"id: 7\nevent: a\ndata: {}\n\nid: 8\0\nevent: a\ndata: {}\n\n",
        lenient=(*ONE, *ONE),
        oracle=(*ONE, *ONE),
        breaks=("SSE-3", "SSE-5"),
    ),
    Parting(
        why="9.2.6: an id is any text; the protocol's is a sequence that grows",
        body=b"id: seven\nevent: a\ndata: {}\n\n",
        lenient=(("seven", "a", "{}"),),
        oracle=(("seven", "a", "{}"),),
        breaks=("SSE-3",),
    ),
    Parting(
        why="9.2.5: what is no UTF-8 is read as U+FFFD",
        body=b"id: 7\nevent: a\ndata: \xff\n\n",
        lenient=(("7", "a", "\ufffd"),),
        oracle=(("7", "a", "\ufffd"),),
        breaks=("SSE-5",),
    ),
    Parting(
        why="9.2.6: an event without a type is a message",
        body=b"id: 7\ndata: {}\n\n",
        lenient=(("7", "message", "{}"),),
        oracle=(("7", "message", "{}"),),
        breaks=("SSE-2",),
    ),
    Parting(
        why="9.2.6: a block that has not ended when the stream does is thrown away (SSE-8)",
        body=b"id: 7\nevent: a\ndata: {}\n",
        lenient=(),
        oracle=(),
        breaks=(),
    ),
    Parting(
        why="9.2.5: a CR at the very end ends its line without waiting for a LF",
        body=b"id: 7\nevent: a\ndata: {}\n\r",
        lenient=ONE,
        oracle=ONE,
        breaks=(),
    ),
)


@pytest.mark.parametrize("row", PARTINGS, ids=lambda row: row.why)
def test_where_they_part(row: Parting) -> None:
    for pieces in ([row.body], bytewise(row.body)):
        assert [(each.last_id, each.event, each.data) for each in ours(pieces)] == list(row.lenient)
        assert [(each.last_id, each.event, each.data) for each in theirs(pieces)] == list(row.oracle)
    found, _ = grammar.frames(row.body)
    assert tuple(sorted({each.clause for frame in found for each in frame.violations})) == row.breaks


def test_a_torn_block_moves_no_cursor() -> None:
    """9.2.6: the id counts from the dispatch on, also of a block without data; a torn one never does."""
    source = EventSource()
    source.feed(b"id: 7\ndata: x\n\nid: 8\ndata: y\n")
    assert source.last_id == "7"
    source.feed(b"\nid: 9\n\nid: 10\n")
    assert source.last_id == "9"
