"""Whatever is signed survives framing, any cut into pieces, parsing and verification."""

import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.agent import envelope, eventsource, grammar, mint

SEED = bytes(range(32))
KEY = envelope.public_key(SEED)
HEADER = {
    "id": "0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a0",
    "type": "node_state_updated",
    "scope": "domain:0190a8b8-a0c0-7a0a-8a0a-a0a0a0a0a0a1",
    "key_id": "k-1",
    "issued_at": "2026-05-27T10:00:00.1Z",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(body) + 1) for cut in cuts} | {0, len(body)})
    return [body[low:high] for low, high in itertools.pairwise(places)]


@settings(max_examples=60, deadline=None)
@given(
    payloads=st.lists(JSON, min_size=1, max_size=3),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
    key_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    cuts=st.lists(st.integers(min_value=0, max_value=5000), max_size=20),
)
def test_sign_frame_parse_verify(
    payloads: list[Any], ascii_only: bool, indent: int | None, key_id: str, cuts: list[int]
) -> None:
    header = {**HEADER, "key_id": key_id}
    spelled = [json.dumps(each, ensure_ascii=ascii_only, indent=indent) for each in payloads]
    raw = [each.encode("utf-8", "replace") for each in spelled]
    wires = [mint.wire(header, each, SEED) for each in raw]
    body = b":keep-alive\n\n".join(
        grammar.render(n + 1, header["type"], data) for n, data in enumerate(wires)
    )

    strict, lenient = grammar.Grammar(), eventsource.EventSource()
    frames, messages = [], []
    for piece in pieces_of(body, cuts):
        frames += strict.feed(piece)
        messages += lenient.feed(piece)

    events = [frame for frame in frames if frame.is_event]
    assert not strict.rest
    assert [each for frame in frames for each in frame.violations] == []
    assert b"".join(frame.raw for frame in frames) == body
    assert [message.data.encode() for message in messages] == wires
    for frame, payload in zip(events, raw, strict=True):
        reading = envelope.judge(frame.data, {key_id: KEY})
        assert reading.violations == ()
        assert reading.envelope is not None
        assert json.loads(reading.envelope.payload) == json.loads(payload)


@settings(max_examples=80, deadline=None)
@given(body=st.text(alphabet="id:event dat\n\r1\0é").map(str.encode), cuts=st.lists(st.integers(0, 100)))
def test_the_cut_never_matters(body: bytes, cuts: list[int]) -> None:
    whole, rest = grammar.frames(body)
    strict, lenient = grammar.Grammar(), eventsource.EventSource()
    frames, messages = [], []
    for piece in pieces_of(body, cuts):
        frames += strict.feed(piece)
        messages += lenient.feed(piece)
    assert (frames, strict.rest) == (whole, rest)
    assert messages == eventsource.EventSource().feed(body)


@settings(max_examples=60, deadline=None)
@given(flip=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_no_flipped_bit_is_accepted(flip: int, bit: int) -> None:
    wire = bytearray(mint.wire(HEADER, b'{"a":[1,2,{"b":"c"}]}', SEED))
    wire[flip % len(wire)] ^= 1 << bit
    assert envelope.judge(bytes(wire), {"k-1": KEY}).violations
