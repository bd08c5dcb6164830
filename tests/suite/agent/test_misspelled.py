"""Spellings that come behind the right one in the order of bytes are wrong, too."""

import base64

import pytest

from conformance.agent import envelope
from tests.suite.agent.test_envelope import GOOD, SIGNATURE_AT, signed, told

SHORT = base64.b64encode(bytes(range(33)))


def clauses(data: bytes) -> list[str]:
    return [clause for clause, _, _ in told(data)]


def test_an_escape_that_need_not_be() -> None:
    assert clauses(signed(scope="a/b").replace(b"a/b", b"a\\/b")) == ["ENV-4"]


@pytest.mark.parametrize("at", range(1, 60))
def test_a_signature_with_an_escaped_character(at: int) -> None:
    text = GOOD[SIGNATURE_AT:-1]
    data = GOOD[:SIGNATURE_AT] + text[:at] + b"\\u%04x" % text[at] + text[at + 1 :] + GOOD[-1:]
    assert clauses(data) == ["ENV-3"]


def test_a_signature_that_is_too_short() -> None:
    assert envelope.signature_bytes(SHORT.decode()) is None
    assert clauses(GOOD[:SIGNATURE_AT] + b'"' + SHORT + b'"}') == ["ENV-7"]


def test_white_space_behind_the_comma_behind_the_payload() -> None:
    assert clauses(GOOD.replace(b'},"signature"', b'}, "signature"')) == ["ENV-2"]


def test_more_behind_the_object_than_there_is_of_it() -> None:
    behind = b"x" * (2 * len(GOOD))
    assert told(GOOD + behind) == [("ENV-1", len(GOOD), f"{len(behind)} bytes after the object")]
