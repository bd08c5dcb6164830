"""Request and Response: what passes between the connection and the handlers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, read whole and within its limits. Header names are lower case, in wire order."""

    method: str
    path: str  # percent-decoded
    target: bytes  # as sent
    query: Mapping[str, tuple[str, ...]]
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    http_version: bytes  # b"1.1" or b"1.0"
    client: str  # address of the peer
    correlation_id: str  # ERR-3
    path_parameters: Mapping[str, str] = field(default_factory=lambda: _NO_PARAMETERS)

    def header_lines(self, name: bytes) -> tuple[bytes, ...]:
        """Every value of a header, in order; `name` in lower case."""
        return tuple(value for key, value in self.headers if key == name)

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, or None."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer. The connection adds Content-Length, Date, X-Correlation-Id and the version header."""

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Peer(Protocol):
    """The other end of a connection once its bytes are written by hand: nothing here waits but the waits.

    Plain sockets today (`wire/peer.py`); a TLS peer would stand in for it here and nowhere else.
    """

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Hand over what the peer's window takes; 0: nothing now. Raises OSError when it is gone."""
        ...

    async def wait_writable(self) -> None:
        """Returns when some bytes may fit. Raises trio.ClosedResourceError once closed."""
        ...

    async def wait_gone(self) -> None:
        """Returns when the peer has left, or speaks where it should listen, or `close` was called."""
        ...

    def finish(self) -> None:
        """Say that nothing more will come; what was handed over still arrives."""
        ...

    def close(self) -> None:
        """Let go; whoever waits is woken. What was handed over still arrives."""
        ...

    def abort(self) -> None:
        """Cut the connection; what was not yet delivered is lost."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """An answer without an end: after the head the connection belongs to `serve` until it returns.

    `serve` gets the peer and whether the body is chunked (HTTP/1.1) or ended by the close (SSE-12).
    """

    headers: tuple[tuple[bytes, bytes], ...]
    serve: Callable[[Peer, bool], Awaitable[None]]


Handler = Callable[[Request], Awaitable[Response | Takeover]]
