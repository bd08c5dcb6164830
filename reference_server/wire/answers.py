"""Answers as bytes: the headers that each carries, whole bodies through h11, and the head of a stream."""

from http import HTTPStatus

import h11

from reference_server.wire.messages import Response, Takeover

_API_VERSION = (b"X-Plexsphere-API-Version", b"v1")
_NO_STORE = (b"Cache-Control", b"no-store")
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


def whole(
    connection: h11.Connection,
    response: Response,
    *,
    date: bytes,
    correlation_id: str,
    with_body: bool,
    close: bool,
) -> bytes:
    """The bytes of an answer with a body of known length; `close` announces the end of the connection.

    Raises h11.LocalProtocolError where the connection can carry no answer.
    """
    headers = [
        (b"Date", date),
        (b"X-Correlation-Id", correlation_id.encode()),
        _API_VERSION,
        *response.headers,
    ]
    if not any(name.lower() == b"cache-control" for name, _ in response.headers):
        headers.append(_NO_STORE)
    if response.status not in _WITHOUT_BODY:
        headers += (
            (b"Content-Type", response.content_type),
            (b"Content-Length", b"%d" % len(response.body)),
        )
    if close:
        headers.append((b"Connection", b"close"))
    event = h11.Response(
        status_code=response.status, headers=headers, reason=_REASONS.get(response.status, b"")
    )
    data = connection.send(event) or b""
    if with_body and response.status not in _WITHOUT_BODY and response.body:
        data += connection.send(h11.Data(data=response.body)) or b""
    return data + (connection.send(h11.EndOfMessage()) or b"")


def stream_head(takeover: Takeover, *, date: bytes, correlation_id: str, chunked: bool) -> bytes:
    """The head of an answer without an end (SSE-1, SSE-6, SSE-12); no request follows on its connection."""
    headers = [
        (b"Date", date),
        (b"X-Correlation-Id", correlation_id.encode()),
        _API_VERSION,
        *takeover.headers,
        (b"Connection", b"close"),
    ]
    if chunked:
        headers.append((b"Transfer-Encoding", b"chunked"))
    lines = [b"HTTP/1.1 200 OK", *(b"%b: %b" % header for header in headers), b"", b""]
    return b"\r\n".join(lines)
