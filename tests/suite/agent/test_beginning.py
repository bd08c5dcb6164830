"""What stands at the very beginning of a stream, and nowhere else."""

import pytest

from conformance.agent.eventsource import EventSource, Message

BOM = b"\xef\xbb\xbf"
EVENT = b"data: x\n\n"


@pytest.mark.parametrize(
    ("before", "heard"), [(b"", True), (BOM, True), (b"\n" + BOM, False), (BOM + BOM, False)]
)
def test_a_byte_order_mark_is_one_at_the_first_byte_alone(before: bytes, heard: bool) -> None:
    message = Message(last_id="", event="message", data="x")
    assert EventSource().feed(before + EVENT) == ([message] if heard else [])
