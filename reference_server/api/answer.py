"""Whole answers: JSON bodies and the empty one."""

import msgspec

from reference_server.wire.messages import Response

_ENCODER = msgspec.json.Encoder()

EMPTY = Response(status=204)


def ok(value: object) -> Response:
    """200 with `value` as JSON."""
    return Response(status=200, body=_ENCODER.encode(value))


def created(value: object, *, location: str | None = None) -> Response:
    """201 with `value` as JSON, and where it can be read from now on (contract_facts 1.5)."""
    headers = () if location is None else ((b"Location", location.encode()),)
    return Response(status=201, body=_ENCODER.encode(value), headers=headers)
