"""The forgiving splitter: blocks with offsets, however the bytes arrive."""

import pytest

from conformance.probe.frames import FrameSplitter

BODY = (
    b':keep-alive\n\nid: 7\nevent: rotate_keys\ndata: {"id":"x"}\n\nid:8\r\ndata:a\r\ndata:b\r\n\r\nid: 9\n'
)


@pytest.mark.parametrize("step", [1, 2, 5, len(BODY)])
def test_blocks_are_cut_at_empty_lines(step: int) -> None:
    splitter = FrameSplitter()
    found = [frame for at in range(0, len(BODY), step) for frame in splitter.feed(at, BODY[at : at + step])]
    assert [each.comment for each in found] == [True, False, False]
    assert [each.id for each in found] == ["", "7", "8"]
    assert found[1].event == "rotate_keys" and found[1].envelope == {"id": "x"}
    assert found[2].data == "a\nb" and found[2].envelope == {}
    assert all(BODY[each.start : each.start + len(each.raw)] == each.raw for each in found)
