"""One request out of the inbox: its head through h11, its operation, its body within the operation's cap."""

from collections.abc import Mapping
from dataclasses import dataclass

import h11

from reference_server.errors import Refusal
from reference_server.wire import heads
from reference_server.wire.messages import Request
from reference_server.wire.reading import Inbox
from reference_server.wire.router import Operation

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A request head that is in order."""

    method: str
    path: str
    segments: list[bytes]
    query: Mapping[str, tuple[str, ...]]
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    http_version: bytes

    def request(
        self, *, body: bytes, path_parameters: Mapping[str, str], client: str, correlation_id: str
    ) -> Request:
        """The whole request."""
        return Request(
            method=self.method,
            path=self.path,
            target=self.target,
            query=self.query,
            headers=self.headers,
            body=body,
            http_version=self.http_version,
            client=client,
            correlation_id=correlation_id,
            path_parameters=path_parameters,
        )


def read_head(connection: h11.Connection, head: bytes) -> Head:
    """Parse one whole head. Raises Refusal (400) and h11.RemoteProtocolError."""
    heads.check_bytes(head)
    connection.receive_data(head)
    event = connection.next_event()
    assert isinstance(event, h11.Request)  # noqa: S101  # of a whole head h11 makes a request, or raises
    headers = tuple(event.headers)
    heads.check_headers(headers, event.http_version)
    segments, query = heads.split_target(event.target)
    return Head(
        method=event.method.decode("ascii"),
        path="/" + "/".join(map(heads.segment_text, segments)),
        segments=segments,
        query=heads.query_of(query),
        target=event.target,
        headers=headers,
        http_version=event.http_version,
    )


def announced(head: Head, operation: Operation, most: int) -> int:
    """The bytes to expect of a body: what its head says, else the operation's cap. Raises Refusal (413)."""
    limit = min(operation.body_limit, most)
    for name, value in head.headers:
        if name == b"content-length":
            if int(value) > limit:
                raise Refusal(operation.too_large)
            return int(value)
    return limit


async def read_body(connection: h11.Connection, inbox: Inbox, operation: Operation, limit: int) -> bytes:
    """The body up to its end. Raises Refusal: 413 past the limit, 400 where the peer ends early."""
    pieces: list[bytes] = []
    size = 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if not inbox.held and not await inbox.more():
                raise Refusal(None, status=400)
            connection.receive_data(inbox.cut(len(inbox.held)))
        elif isinstance(event, h11.Data):
            size += len(event.data)
            if size > limit:
                raise Refusal(operation.too_large)
            pieces.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            return b"".join(pieces)
