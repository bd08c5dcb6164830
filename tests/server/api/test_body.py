"""What a door takes as JSON (ENV-5), and what its shape must be."""

import msgspec
import pytest

from reference_server.api import body
from reference_server.errors import Refusal


class Thing(msgspec.Struct):
    name: str = ""
    size: int = 0


def test_a_proper_body_is_decoded() -> None:
    assert body.decode(
        b' {"name": "a\\u00e4", "size": 3, "more": [1]} ', Thing, code="invalid_body"
    ) == Thing("a\u00e4", 3)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b'{"name": 3}',
        b'{"name": null}',
        b'{"size": "3"}',
        b'{"size": 3.5}',
        b'{"size": true}',
        b'{"name": "a", "name": "b"}',
        b'{"more": {"x": 1, "x": 1}}',
        b'{"name": "\\ud800"}',
        b'{"name": "\\u0000"}',
        b'{"name": "\xff"}',
        b'{"more": 1e999}',
        b'{"more": NaN}',
        b'{"name": "a"} x',
        b'\xef\xbb\xbf{"name": "a"}',
        b'{"more": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_everything_else_is_refused_with_the_operations_code(sent: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        body.decode(sent, Thing, code="malformed_heartbeat_request")
    assert (caught.value.status, caught.value.code) == (400, "malformed_heartbeat_request")
    assert caught.value.detail == Refusal("malformed_heartbeat_request").detail
